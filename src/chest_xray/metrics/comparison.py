"""Networks on the same test images: paired differences over patients and seeds, and disagreement."""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import AliasChoices, Field

from chest_xray.core.libraries import np
from chest_xray.core.types import Array, DataFrame, Result, flatten
from chest_xray.metrics.binary import compute_shares, count_outcomes, weighted_auc
from chest_xray.metrics.bootstrap import Draws, compute_in_resamples, find_widest, interval
from chest_xray.metrics.results import Estimate, Interval, Method

MetricName = Literal["accuracy", "sensitivity", "specificity", "auc"]
RunName = Literal["baseline", "augmented"]
Passes = Literal["single", "flips"]  # without and with flip test-time augmentation
Resampled = dict[MetricName, dict[Method, Array]]

METRICS: tuple[MetricName, ...] = get_args(MetricName)
RUNS: tuple[RunName, ...] = get_args(RunName)
PASSES: tuple[Passes, ...] = get_args(Passes)
IGNORED_SETTINGS = ("run.title", "run.augmentation.", "run.flip_tta", "trained.")  # compared elsewhere, or set alike
POWER, CONFIDENCE = 0.8, 0.95  # of the minimum detectable difference
REFERENCE = "none"  # the arm that every other is compared with
WHOLE = "everything"  # the arm that has the augmentation of the run `augmented`

# The minimum detectable difference, with its name in earlier versions.
Detectable = Annotated[float, Field(validation_alias=AliasChoices("detectable", "smallest"))]


class Bounds(Result):
    """A 95% interval."""

    low: float
    high: float


class IntervalOverBoth(Bounds):
    """See `interval_over_both`."""

    detectable: Detectable


class PairedDifference(Interval):
    """The mean of paired differences of a metric, with the widest of its 95% intervals; see `estimate_difference`."""

    value: float
    low: float
    high: float
    intervals: dict[Method, Bounds]
    standard_error: float
    detectable: Detectable
    p: float


class Disagreement(Result):
    """See `compare_decisions`."""

    corrected: int
    regressed: int
    p: float


class DifferingSetting(Result):
    """A setting such as "training.epochs" with its value in each run; None: it has none."""

    name: str
    first: Any
    second: Any


class ComparedImages(Result):
    """How many test images and patients (`num_groups`) networks are compared on."""

    num_images: int
    num_normal: int
    num_pneumonia: int
    num_groups: int

    def count(self, metric: MetricName) -> int:
        """Return the number of images that a metric is computed from."""
        return {"sensitivity": self.num_pneumonia, "specificity": self.num_normal}.get(metric, self.num_images)


class ComparedMetric(Result):
    """A metric of both runs without flip test-time augmentation; the difference is augmented minus baseline."""

    baseline: float
    augmented: float
    difference: PairedDifference


class Cell(Result):
    """The metrics of a run with one kind of passes."""

    run: RunName
    passes: Passes
    accuracy: Estimate
    sensitivity: Estimate
    specificity: Estimate
    auc: Estimate


class OptimizerSteps(Result):
    """Steps of the optimizer in each run, and up to the weights that were kept."""

    baseline_steps: int
    baseline_kept: int
    augmented_steps: int
    augmented_kept: int


class RepeatedComparison(Bounds):
    """The difference in accuracy that a study found over several seeds; the interval is over patients and seeds.

    `fewest` and `most` are the optimizer steps of its runs.
    """

    num_seeds: int
    fewest: int
    most: int
    value: float


class Comparison(ComparedImages):
    """What augmentation in training changes, and what flip test-time augmentation does in each run.

    `mcnemar` is of the decisions without flips, `flips` the change by flips within each run, `stopped_early` the runs
    that took fewer epochs than were set, and `study` what a study of the same augmentation found.
    """

    metrics: dict[MetricName, ComparedMetric]
    mcnemar: Disagreement
    cells: list[Cell]
    flips: dict[RunName, dict[MetricName, PairedDifference]]
    settings: list[DifferingSetting]
    steps: OptimizerSteps
    stopped_early: list[RunName]
    study: RepeatedComparison | None


class SeedSummary(Result):
    """A metric of one arm; the standard deviation is over seeds."""

    by_seed: list[float]
    mean: float
    deviation: float


class ArmDifference(PairedDifference):
    """An arm minus `REFERENCE`, as the mean over paired seeds; the intervals besides `both` are over patients alone."""

    by_seed: list[float]
    deviation: float
    both: IntervalOverBoth


class SeedDisagreement(Disagreement):
    """Disagreement of an arm with `REFERENCE` of the same seed."""

    seed: int


class StepRange(Result):
    """Optimizer steps of the runs of a study."""

    fewest: int
    most: int


class Study(ComparedImages):
    """Arms of augmentation over the same seeds; differences and McNemar's tests are of each arm but `REFERENCE`."""

    seeds: list[int]
    steps: StepRange
    arms: dict[str, dict[MetricName, SeedSummary]]
    differences: dict[str, dict[MetricName, ArmDifference]]
    mcnemar: dict[str, list[SeedDisagreement]]


def list_differing_settings(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[DifferingSetting]:
    """Return the settings besides augmentation and flips in which two runs differ; both are from `record_settings`."""
    one, other = ({name: value for name, value in flatten(run) if value != {}} for run in (first, second))
    return [
        DifferingSetting(name=name, first=one.get(name), second=other.get(name))
        for name in one | other
        if not name.startswith(IGNORED_SETTINGS) and one.get(name) != other.get(name)
    ]


def count_images(table: DataFrame) -> dict[str, int]:
    """Return the fields of `ComparedImages` for a table of `label` and `group`, one row an image."""
    num, num_pneumonia, num_groups = len(table), int((table["label"] == 1).sum()), int(table["group"].nunique())
    return {
        "num_images": num,
        "num_normal": num - num_pneumonia,
        "num_pneumonia": num_pneumonia,
        "num_groups": num_groups,
    }


def compare_decisions(label: Array, first: Array, second: Array) -> Disagreement:
    """Count the images on which the decisions of two networks (True: PNEUMONIA) disagree; all of shape (images,).

    Returns:
        `corrected`: images that the first gets wrong and the second right; `regressed`: the other way round; `p`,
        two-sided and exact (McNemar 1947), that such a split is chance.
    """
    from scipy.stats import binomtest

    first_right, second_right = first == (label == 1), second == (label == 1)
    corrected, regressed = int((second_right & ~first_right).sum()), int((first_right & ~second_right).sum())
    p = binomtest(corrected, corrected + regressed).pvalue if corrected + regressed else 1.0
    return Disagreement(corrected=corrected, regressed=regressed, p=float(p))


def minimum_detectable_difference(standard_error: float, freedom: float = math.inf) -> float:
    """Return the true difference that a two-sided test at 5% detects with a power of 80%, from its standard error.

    With infinite degrees of freedom, as hundreds of patients nearly are, it is 2.8 standard errors (Cohen 1988).
    """
    from scipy.stats import t

    return float((t.ppf((1 + CONFIDENCE) / 2, freedom) + t.ppf(POWER, freedom)) * standard_error)


def interval_over_both(by_seed: Array, standard_error: float, num_groups: int) -> IntervalOverBoth:
    """Return an interval of the mean difference that covers other patients and other seeds.

    The variance is that over patients plus that of a mean over seeds, and the t distribution has the degrees of freedom
    of such a sum (Satterthwaite 1946). With three seeds these are about 2 where the seeds contribute most of the
    variance, which makes the interval wide, and many where the patients do. It is symmetric and assumes normal
    differences; three seeds estimate their standard deviation only within a factor of 0.5 to 6.

    Args:
        by_seed: The paired difference of each of two or more seeds, in [-1, 1], shape (seeds,).
        standard_error: Of the mean difference, over patients or blocks of patients.
        num_groups: Number of patients.
    """
    from scipy.stats import t

    over_patients, num = standard_error**2, len(by_seed)
    over_seeds = float(np.var(by_seed, ddof=1)) / num
    total = over_patients + over_seeds
    denominator = over_patients**2 / (num_groups - 1) + over_seeds**2 / (num - 1)
    freedom = total**2 / denominator if denominator else math.inf
    half_width = float(t.ppf((1 + CONFIDENCE) / 2, freedom)) * math.sqrt(total)
    mean = float(np.mean(by_seed))
    detectable = minimum_detectable_difference(math.sqrt(total), freedom)
    return IntervalOverBoth(low=max(mean - half_width, -1.0), high=min(mean + half_width, 1.0), detectable=detectable)


def split_by_arm_and_seed(study_predictions: DataFrame) -> dict[str, dict[int, DataFrame]]:
    """Return the predictions of each run, by arm and seed."""
    return {
        str(arm): {int(str(seed)): table for seed, table in runs.groupby("seed", sort=False)}
        for arm, runs in study_predictions.groupby("arm", sort=False)
    }


def resample_metrics(table: DataFrame, draws: Draws) -> Resampled:
    """Compute each of `METRICS` for each method of resampling.

    Args:
        table: `label`, `log_odds` and `decision` of each image. As probabilities, many large log odds would be 1.
        draws: Weights of shape (1 + resamples, images); see `chest_xray.metrics.bootstrap.draw_resamples`.

    Returns:
        Of shape (1 + resamples,): of the whole sample, then of each resample; NaN where nothing is counted.
    """
    label, log_odds, decision = (table[name].to_numpy() for name in ("label", "log_odds", "decision"))

    def compute(weights: Array) -> dict[MetricName, Array]:
        metrics = {
            **compute_shares(count_outcomes(label, decision, weights)),
            "auc": weighted_auc(label, log_odds, weights),
        }
        return {name: metrics[name] for name in METRICS}

    return compute_in_resamples(compute, draws)


def subtract(first: Draws, second: Draws) -> dict[Method, Array]:
    """Return paired differences of a metric of two sets of predictions for the same images in the same order."""
    return {method: values - second[method] for method, values in first.items()}


def resample_arms(runs: dict[str, dict[int, DataFrame]], draws: Draws) -> dict[str, Resampled]:
    """Return `resample_metrics` of every arm, of shape (seeds, 1 + resamples)."""
    stacked = {}
    for arm, tables in runs.items():
        seeds = [resample_metrics(table, draws) for table in tables.values()]
        stacked[arm] = {
            name: {method: np.stack([run[name][method] for run in seeds]) for method in draws} for name in METRICS
        }
    return stacked


def summarise_seeds(by_seed: Array) -> SeedSummary:
    """Return mean and standard deviation over seeds, and the values themselves."""
    return SeedSummary(by_seed=by_seed.tolist(), mean=by_seed.mean(), deviation=np.std(by_seed, ddof=1))


def estimate_difference(paired: Draws) -> PairedDifference:
    """Estimate the mean of paired differences of a metric.

    Args:
        paired: Of shape (seeds, 1 + resamples) or (1 + resamples,): of the whole test set, then of each resample.

    Returns:
        The widest 95% interval, and that of each method; the largest standard error, and with it the
        `minimum_detectable_difference` and `p`, two-sided, that there is no difference (Wald's test).
    """
    from scipy.stats import norm

    averaged = {method: np.atleast_2d(values).mean(axis=0) for method, values in paired.items()}
    value = float(next(iter(averaged.values()))[0])
    resampled: Draws = {method: values[1:] for method, values in averaged.items()}
    error = max(float(np.nanstd(values)) for values in resampled.values())
    return PairedDifference(
        **dict(find_widest(value, resampled)),
        intervals={
            method: Bounds.model_validate(interval(value, values), from_attributes=True)
            for method, values in resampled.items()
        },
        standard_error=error,
        detectable=minimum_detectable_difference(error),
        p=float(2 * norm.sf(abs(value) / error)) if error else float(value == 0),
    )


def estimate_over_seeds(paired: Draws, num_groups: int) -> ArmDifference:
    """Estimate paired differences as `estimate_difference` does, and over seeds too."""
    mean, by_seed = estimate_difference(paired), next(iter(paired.values()))[:, 0]
    spread = summarise_seeds(by_seed).model_dump(exclude={"mean"})
    return ArmDifference(**dict(mean), **spread, both=interval_over_both(by_seed, mean.standard_error, num_groups))


def select_same_comparison(study: Study | None) -> RepeatedComparison | None:
    """Select what a study found by the comparison that is made of two runs, if it made that comparison."""
    if study is None or WHOLE not in study.differences:
        return None
    difference = study.differences[WHOLE]["accuracy"]
    values = {"value": difference.value, "low": difference.both.low, "high": difference.both.high}
    return RepeatedComparison(num_seeds=len(study.seeds), **dict(study.steps), **values)


def count_disagreements(
    label: Array, reference: dict[int, DataFrame], arm: dict[int, DataFrame]
) -> list[SeedDisagreement]:
    """Count the images on which two arms disagree, for each seed, with McNemar's test."""
    decisions = {seed: (reference[seed]["decision"].to_numpy(), arm[seed]["decision"].to_numpy()) for seed in reference}
    return [SeedDisagreement(seed=seed, **dict(compare_decisions(label, *pair))) for seed, pair in decisions.items()]
