"""How well predictions agree with labels, at thresholds and over all of them, with 95% intervals.

In all functions `predictions` has one row per image, with `label` (1 is
PNEUMONIA), `logit`, `sigmoid`, `log_odds` and `probability`, as the node `predict_test` returns it; `operating_point`
was chosen on corrupted validation; and `weights` is how often each image counts, float64 of shape (resamples, images).
"""

import math
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import Field

from chest_xray.core.libraries import np
from chest_xray.core.types import Array, DataFrame, InputError, Options, Seed, UnitInterval
from chest_xray.metrics.binary import (
    compute_rates,
    count_cells,
    count_outcomes,
    proportions,
    weighted_auc,
    weighted_average_precision,
)
from chest_xray.metrics.bootstrap import (
    Draws,
    compute_in_resamples,
    find_runs,
    find_widest,
    widest,
)
from chest_xray.metrics.calibration_error import (
    MIN_PROBABILITY,
    calibration_errors,
    compute_error_by_chance,
    score_probabilities,
)
from chest_xray.metrics.comparison import subtract
from chest_xray.metrics.operating_point import Calibration, OperatingPoint, Point, compute_log_odds, to_probability
from chest_xray.metrics.results import (
    AT_HALF,
    UNKNOWN,
    CalibrationMetrics,
    CountedDecisions,
    Decisions,
    Dependence,
    Estimate,
    Gap,
    Interval,
    Stratum,
    SubsetMetrics,
)

SCHEMA_VERSION = 4  # of the JSON; 1 had no such key
LOGIT_AT_HALF = 0.0  # the usual threshold on a sigmoid, an output of 0.5
HEADLINES = ("accuracy", "sensitivity", "specificity", "balanced_accuracy")  # at the chosen threshold; and the AUC
Resampled = Mapping[str, Draws]  # by metric and method, of the images themselves and of each resample
Measure = TypeVar("Measure")


class Evaluation(Options):
    """How the test split is evaluated."""

    seed: Seed
    realistic_prevalence: UnitInterval
    conformal_coverage: UnitInterval
    decision_prevalences: tuple[UnitInterval, ...]
    aspect_cuts: tuple[Annotated[float, Field(gt=0)], ...]
    size_quantiles: tuple[UnitInterval, ...]
    block_length: Annotated[int, Field(ge=1)]
    num_series_blocks: Annotated[int, Field(ge=1)]


def list_thresholds(operating_point: OperatingPoint) -> dict[str, float]:
    """Return the calibrated log odds of each threshold: `AT_HALF`, an uncalibrated output of 0.5, and every rule."""
    at_half = float(compute_log_odds(np.asarray(LOGIT_AT_HALF), operating_point.calibration))
    return {AT_HALF: at_half} | {str(rule): point.log_odds for rule, point in operating_point.points.items()}


def measure(predictions: DataFrame, operating_point: OperatingPoint, prevalence: float, draws: Draws) -> Resampled:
    """Compute every metric in every resample; `prevalence` is the realistic share of PNEUMONIA, in (0, 1).

    Returns:
        By dotted name and method, each of shape (resamples,): `auc`, `pr_auc`, `calibration.slope` and so on (see
        `score_probabilities`), `balanced.f1` and so on for each of `list_thresholds` (see `compute_rates`).
    """
    label, log_odds, probability = (predictions[name].to_numpy() for name in ("label", "log_odds", "probability"))
    adjusted = adjust_to_prevalence(predictions, operating_point.calibration)

    def compute(weights: Array) -> dict[str, Array]:
        metrics = measure_ranking(label, log_odds, weights)
        scores = score_probabilities(label, adjusted, weights)
        metrics |= {f"calibration.{name}": values for name, values in scores.items()}
        metrics["unmoved.brier_unmoved"] = weights @ (probability - label) ** 2 / weights.sum(axis=1)
        metrics["unmoved.ece_unmoved"] = calibration_errors(label, probability, weights)
        for point, threshold in list_thresholds(operating_point).items():
            counts = count_outcomes(label, log_odds >= threshold, weights)
            metrics |= {f"{point}.{name}": values for name, values in compute_rates(counts, prevalence).items()}
        return metrics

    return compute_in_resamples(compute, draws)


def measure_ranking(label: Array, score: Array, weights: Array) -> dict[str, Array]:
    """Compute `auc` and `pr_auc` of a score in every resample; see `weighted_auc` for the arguments."""
    return {"auc": weighted_auc(label, score, weights), "pr_auc": weighted_average_precision(label, score, weights)}


def summarise(
    predictions: DataFrame, operating_point: OperatingPoint, measured: Resampled, strata: list[Stratum]
) -> SubsetMetrics:
    """Return all metrics of one subset; `measured` is from `measure`, and `strata` from `stratify`."""
    from sklearn.metrics import log_loss

    label, sigmoid = predictions["label"].to_numpy(), predictions["sigmoid"].to_numpy()
    points: dict[Any, Decisions] = {}
    for name, log_odds in list_thresholds(operating_point).items():
        cut = {"threshold": to_probability(log_odds), "log_odds": log_odds}
        is_positive = (predictions["log_odds"] >= log_odds).to_numpy()
        points[name] = describe_decisions(label, is_positive, cut, _select_group(measured, name))
    calibration = CalibrationMetrics(
        **{
            name: estimate(values, len(label))
            for group in ("calibration", "unmoved")
            for name, values in _select_group(measured, group).items()
        },
        ece_by_chance=compute_error_by_chance(adjust_to_prevalence(predictions, operating_point.calibration)),
        shift_of_prevalence=compute_prevalence_shift(label.mean(), operating_point.calibration),
    )
    clipped = sigmoid.astype("float32").clip(MIN_PROBABILITY, 1 - MIN_PROBABILITY)
    return SubsetMetrics(
        num_images=len(label),
        num_groups=int(predictions["group"].nunique()),
        prevalence=float(label.mean()),
        loss=float(log_loss(label, clipped.astype(float))),
        auc=estimate(measured["auc"], len(label)),
        pr_auc=estimate(measured["pr_auc"], len(label)),
        calibration=calibration,
        rule=operating_point.rule,
        at_half=points.pop(AT_HALF),
        points=points,
        sensitivity_by_aetiology={stratum.name: stratum.sensitivity for stratum in strata if stratum.by == "aetiology"},
        strata=strata,
    )


def count_decisions(predictions: DataFrame, point: Point) -> CountedDecisions:
    """Count correct and wrong decisions at an operating point, and return the rates with Wilson's intervals."""
    is_positive = (predictions["log_odds"] >= point.log_odds).to_numpy()
    counts = count_cells(predictions["label"].to_numpy(), is_positive)
    return CountedDecisions(threshold=point.threshold, log_odds=point.log_odds, **counts, **dict(proportions(counts)))


def describe_decisions(label: Array, decision: Array, cut: dict[str, Any], measured: Resampled) -> Decisions:
    """Return counts and metrics of decisions, with the widest of their intervals.

    Args:
        label: 0 or 1, shape (images,).
        decision: True where an image is classified as PNEUMONIA, shape (images,).
        cut: `threshold` and `log_odds`; see `chest_xray.metrics.results.Counts`.
        measured: From `compute_rates`, of the images themselves and then of resamples.
    """
    counts = count_cells(label, decision)
    wilson = dict(proportions(counts))
    wilson["balanced_accuracy"] = _average_shares(wilson["sensitivity"], wilson["specificity"])
    rates = {name: estimate(values, len(label)) for name, values in measured.items()}
    return Decisions(**cut, **counts, **{name: widen(rate, wilson.get(name, rate)) for name, rate in rates.items()})


def _average_shares(first: Estimate, second: Estimate) -> Estimate:
    """Return the mean of two independent shares, with the interval of Zou and Donner (2008) from Wilson's of both."""
    num = first.n + second.n
    if first.value is None or second.value is None:
        return UNKNOWN.with_n(num)
    value = (first.value + second.value) / 2
    below, above = (
        math.hypot(*(getattr(share, bound) - share.finite_value for share in (first, second))) / 2
        for bound in ("low", "high")
    )
    return Estimate(value=value, low=value - below, high=value + above, method="images", n=num)


def widen(bootstrapped: Estimate, wilson: Estimate) -> Estimate:
    """Return the wider interval of a share. Where no decision is wrong, only Wilson's has a width."""
    return wilson if wilson.value is None else widest(wilson, bootstrapped).with_n(wilson.n)


def estimate(measured: Draws, num: int) -> Estimate:
    """Return a metric of `num` images with the widest of its 95% intervals; see `find_widest`.

    `measured` is by method, of the images themselves and then of each resample, float64 of shape (1 + resamples,).
    """
    whole = float(next(iter(measured.values()))[0])
    return find_widest(whole, {method: values[1:] for method, values in measured.items()}).with_n(num)


def bootstrap_auc(predictions: DataFrame, draws: Draws) -> Estimate:
    """Return the AUC of images of both classes, in [0, 1], with the widest of its 95% intervals."""
    label, log_odds = predictions["label"].to_numpy(), predictions["log_odds"].to_numpy()
    areas = {method: weighted_auc(label, log_odds, weights) for method, weights in draws.items()}
    return estimate(areas, len(label))


def describe_dependence(
    predictions: DataFrame, operating_point: OperatingPoint, measured: Resampled, block_length: int
) -> Dependence:
    """Return the intervals of each method side by side, and the runs of errors at the point that decides.

    `predictions` also has `path` and `group`; `measured` is from `measure`, by blocks of `block_length` patients.
    """
    wilson = dict(count_decisions(predictions, operating_point.chosen))
    wilson["balanced_accuracy"] = _average_shares(wilson["sensitivity"], wilson["specificity"])
    intervals = {}
    for name in (*(f"{operating_point.rule}.{headline}" for headline in HEADLINES), "auc"):
        short = name.rpartition(".")[2]
        first = [wilson[short]] if short in wilson else []
        num = first[0].n if first else len(predictions)
        intervals[short] = [*first, *(estimate({method: values}, num) for method, values in measured[name].items())]
    is_positive = (predictions["log_odds"] >= operating_point.chosen.log_odds).to_numpy()
    return Dependence(block_length=block_length, intervals=intervals, runs=find_runs(predictions, is_positive))


def measure_gap(validation: Resampled, test: Resampled, operating_point: OperatingPoint) -> Gap:
    """Return by how much each metric of `measure` is larger on test; resampled independently, as patients differ."""
    with np.errstate(invalid="ignore"):  # infinite on both sides
        changes = {name: subtract(values, validation[name]) for name, values in test.items()}
    gaps = {name: Interval(**estimate(change, 0).model_dump(exclude={"n"})) for name, change in changes.items()}
    rates: dict[Any, Any] = {point: _select_group(gaps, point) for point in list_thresholds(operating_point)}
    return Gap(
        rule=operating_point.rule,
        at_half=rates.pop(AT_HALF),
        points=rates,
        auc=gaps["auc"],
        pr_auc=gaps["pr_auc"],
        calibration=_select_group(gaps, "calibration"),
    )


def _select_group(measured: Mapping[str, Measure], group: str) -> dict[str, Measure]:
    """Return the metrics whose dotted names begin with a group, by the rest of their names."""
    return {name.removeprefix(f"{group}."): values for name, values in measured.items() if name.startswith(f"{group}.")}


def adjust_to_prevalence(predictions: DataFrame, calibration: Calibration) -> Array:
    """Return the probabilities, in [0, 1], at the prevalence of the evaluated images, which are of both classes.

    Probabilities are calibrated for `expected_prevalence`. Where PNEUMONIA is more or less frequent, they are biased,
    however good the network is. The difference of the log odds of both prevalences is added (Saerens et al. 2002).
    """
    from scipy.special import expit

    shift = compute_prevalence_shift(predictions["label"].mean(), calibration)
    return np.asarray(expit(predictions["log_odds"].to_numpy() + shift))


def compute_prevalence_shift(prevalence: float, calibration: Calibration) -> float:
    """Return the log odds that adjust probabilities from the expected prevalence to another one."""
    from scipy.special import logit

    return float(logit(prevalence) - logit(calibration.expected_prevalence))


def require_both_classes(predictions: DataFrame, subset: str) -> None:
    """Refuse predictions from which no metric can be computed; `subset` is named in the message.

    Raises:
        InputError: The images are all of one class, or a probability is not a number.
    """
    for name in ("log_odds", "probability"):
        missing = int(predictions[name].isna().sum())
        if missing:
            raise InputError(
                f"received {missing} probabilities of {len(predictions)} that are not numbers ({subset}, {name}); "
                "expected values in [0, 1]. Train again: the weights of this model are broken."
            )
    counts = predictions["label"].value_counts().to_dict()
    if len(counts) < 2:
        raise InputError(
            f"received {subset} images of one class alone (label: images {counts}); expected NORMAL and PNEUMONIA. Put "
            "the missing class into its folder, or change the split, and run data_processing again."
        )
