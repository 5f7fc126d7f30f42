"""Networks on the same test images: paired differences over patients and seeds, and disagreement."""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from chest_xray.core.types import Array, DataFrame
from chest_xray.metrics.bootstrap import find_widest, interval, weighted_auc
from chest_xray.metrics.results import Method

Draws = Mapping[Method, Array]  # for each method of resampling, the whole sample first and then every resample

RUNS = ("baseline", "augmented")
PASSES = ("single", "flips")  # without and with flip test-time augmentation
NOT_COMPARED = ("run.title", "run.augmentation.", "run.flip_tta", "trained.")  # compared elsewhere, or set alike
METRICS = ("accuracy", "sensitivity", "specificity", "auc")
POWER, CONFIDENCE = 0.8, 0.95  # of the minimum detectable difference
REFERENCE = "none"  # the arm that every other is compared with
WHOLE = "everything"  # the arm that has the augmentation of the run `augmented`


def weigh_metric(name: str, label: Array, log_odds: Array, decision: Array) -> Callable[[Array], Array]:
    """Return a metric as a function of how often each image counts.

    Args:
        name: One of `METRICS`.
        label: 0 (NORMAL) or 1 (PNEUMONIA), shape (images,).
        log_odds: Higher means more likely pneumonia, shape (images,); many large ones have the probability 1.
        decision: Whether an image is classified as PNEUMONIA, bool, shape (images,).

    Returns:
        From weights (resamples, images) to float64 in [0, 1] of shape (resamples,); NaN where nothing is counted.
    """
    if name == "auc":
        return lambda weights: weighted_auc(label, log_odds, weights)
    right = (decision == label).astype(float)
    counted = {"accuracy": label >= 0, "sensitivity": label == 1, "specificity": label == 0}[name].astype(float)
    return lambda weights: _share(weights @ (right * counted), weights @ counted)


def _share(part: Array, whole: Array) -> Array:
    """Part / whole, NaN where a resample has nothing to count."""
    import numpy as np

    return np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)


def list_differing_settings(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return each setting besides augmentation and flips in which two runs differ.

    Args:
        first: From `record_settings`.
        second: The same of the other run.

    Returns:
        `name`, such as "training.epochs", and the value in either run, `first` and `second` (None: it has none).
    """
    values = [dict(_flatten(each)) for each in (first, second)]
    return [
        {"name": name, "first": values[0].get(name), "second": values[1].get(name)}
        for name in dict.fromkeys([*values[0], *values[1]])
        if not name.startswith(NOT_COMPARED) and values[0].get(name) != values[1].get(name)
    ]


def _flatten(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def compare_decisions(label: Array, first: Array, second: Array) -> dict[str, Any]:
    """Count the images on which two networks disagree.

    Args:
        label: 0 or 1, shape (images,).
        first: Decisions of the first network, True for PNEUMONIA, shape (images,).
        second: The same of the second.

    Returns:
        `corrected`: images that the first gets wrong and the second right; `regressed`: the other way round; `p`,
        two-sided and exact (McNemar 1947), that such a split is chance.
    """
    from scipy.stats import binomtest

    first_right, second_right = first == (label == 1), second == (label == 1)
    corrected, regressed = int((second_right & ~first_right).sum()), int((first_right & ~second_right).sum())
    p = binomtest(corrected, corrected + regressed).pvalue if corrected + regressed else 1.0
    return {"corrected": corrected, "regressed": regressed, "p": float(p)}


def minimum_detectable_difference(standard_error: float, freedom: float = math.inf) -> float:
    """Return the true difference that would be shown in 80 of 100 such tests, at 5% and two-sided.

    Args:
        standard_error: Of the difference.
        freedom: Degrees of freedom of the standard error; without end, as over hundreds of patients, the result is 2.8
            times the standard error (Cohen 1988).

    Returns:
        In the unit of the standard error.
    """
    from scipy.stats import t

    return float((t.ppf((1 + CONFIDENCE) / 2, freedom) + t.ppf(POWER, freedom)) * standard_error)


def interval_over_both(by_seed: Array, standard_error: float, num_groups: int) -> dict[str, float]:
    """Return an interval of the mean difference that covers other patients and other seeds.

    The variance is that over patients plus that of a mean over seeds, and the t distribution has the degrees of freedom
    of such a sum (Satterthwaite 1946): with three seeds near 2 where seeds decide, which makes the interval wide, and
    many where patients do. It is symmetric, takes differences for normal, and rests on a spread over seeds that three
    seeds estimate only within a factor of 0.5 to 6.

    Args:
        by_seed: The difference of each seed, paired, of at least two; shape (seeds,).
        standard_error: Of their mean over patients, or over blocks of them.
        num_groups: Patients.

    Returns:
        `low`, `high` in [-1, 1], and `smallest`: see `minimum_detectable_difference`.
    """
    import numpy as np
    from scipy.stats import t

    over_patients, num = standard_error**2, len(by_seed)
    over_seeds = float(np.var(by_seed, ddof=1)) / num
    total = over_patients + over_seeds
    parts = over_patients**2 / (num_groups - 1) + over_seeds**2 / (num - 1)
    freedom = total**2 / parts if parts else math.inf
    reach = float(t.ppf((1 + CONFIDENCE) / 2, freedom)) * math.sqrt(total)
    mean = float(np.mean(by_seed))
    smallest = minimum_detectable_difference(math.sqrt(total), freedom)
    return {"low": max(mean - reach, -1.0), "high": min(mean + reach, 1.0), "smallest": smallest}


def split_by_arm_and_seed(study_predictions: DataFrame) -> dict[str, dict[int, DataFrame]]:
    """Return the predictions of each run, by arm and seed."""
    runs: dict[str, dict[int, DataFrame]] = {}
    for arm, of_arm in study_predictions.groupby("arm", sort=False):
        runs[str(arm)] = {int(str(seed)): table for seed, table in of_arm.groupby("seed", sort=False)}
    return runs


def resample_metrics(table: DataFrame, draws: Draws) -> dict[str, dict[Method, Array]]:
    """Compute each of `METRICS` for each method of resampling.

    Args:
        table: `label`, `log_odds` and `decision` of each image.
        draws: Weights of shape (1 + resamples, images); see `chest_xray.metrics.bootstrap.draw_resamples`.

    Returns:
        Of shape (1 + resamples,): of the whole sample, then of each resample.
    """
    label, log_odds, decision = (table[each].to_numpy() for each in ("label", "log_odds", "decision"))
    weighed = {name: weigh_metric(name, label, log_odds, decision) for name in METRICS}
    return {name: {method: weigh(each) for method, each in draws.items()} for name, weigh in weighed.items()}


def subtract(first: Draws, second: Draws) -> dict[Method, Array]:
    """Return paired differences of a metric of two sets of predictions for the same images in the same order."""
    return {method: each - second[method] for method, each in first.items()}


def resample_arms(runs: dict[str, dict[int, DataFrame]], draws: Draws) -> dict[str, dict[str, dict[Method, Array]]]:
    """Return `resample_metrics` of every arm, of shape (seeds, 1 + resamples)."""
    import numpy as np

    values = {arm: [resample_metrics(table, draws) for table in tables.values()] for arm, tables in runs.items()}
    return {
        arm: {name: {method: np.stack([each[name][method] for each in seeds]) for method in draws} for name in METRICS}
        for arm, seeds in values.items()
    }


def summarise_seeds(by_seed: Array) -> dict[str, Any]:
    """Return mean and standard deviation over seeds, and the values themselves."""
    import numpy as np

    return {"by_seed": by_seed.tolist(), "mean": float(by_seed.mean()), "deviation": float(np.std(by_seed, ddof=1))}


def estimate_difference(paired: Draws) -> dict[str, Any]:
    """Estimate the mean of paired differences of a metric.

    Args:
        paired: Of shape (seeds, 1 + resamples) or (1 + resamples,): of the whole test set, then of each resample.

    Returns:
        `value`; `low`, `high` and `method` of the widest 95% interval; `intervals`, that of each method; the largest
        `standard_error`, and with it `smallest` (see `minimum_detectable_difference`) and `p`, two-sided, that there
        is no difference (Wald's test).
    """
    import numpy as np
    from scipy.stats import norm

    averaged: dict[Method, Array] = {method: np.atleast_2d(each).mean(axis=0) for method, each in paired.items()}
    value = float(next(iter(averaged.values()))[0])
    resampled = {method: each[1:] for method, each in averaged.items()}
    error = max(float(np.nanstd(each)) for each in resampled.values())
    return {
        **find_widest(value, resampled).model_dump(),
        "intervals": {method: _bounds(value, each) for method, each in resampled.items()},
        "standard_error": error,
        "smallest": minimum_detectable_difference(error),
        "p": float(2 * norm.sf(abs(value) / error)) if error else float(value == 0),
    }


def _bounds(value: float, resampled: Array) -> dict[str, float | None]:
    return interval(value, resampled).model_dump(include={"low", "high"})


def estimate_over_seeds(paired: Draws, num_groups: int) -> dict[str, Any]:
    """Estimate paired differences as `estimate_difference` does, and over seeds too.

    Returns:
        Besides, `by_seed` and `deviation`, and `both`: see `interval_over_both`.
    """
    found, by_seed = estimate_difference(paired), next(iter(paired.values()))[:, 0]
    spread = {name: each for name, each in summarise_seeds(by_seed).items() if name != "mean"}
    return {**found, **spread, "both": interval_over_both(by_seed, found["standard_error"], num_groups)}


def select_same_comparison(study: dict[str, Any] | None) -> dict[str, Any] | None:
    """Select what a study (`compare_arms`) found by the comparison that is made of two runs, but over several seeds.

    Returns:
        `num_seeds`, the range of optimizer steps of its runs (`fewest`, `most`), and for accuracy, from
        `estimate_over_seeds`, `value`, and `low` and `high` over patients and seeds; None without such a study.
    """
    if study is None or WHOLE not in study["differences"]:
        return None
    found = study["differences"][WHOLE]["accuracy"]
    both = {bound: found["both"][bound] for bound in ("low", "high")}
    return {"num_seeds": len(study["seeds"]), **study["steps"], "value": found["value"], **both}


def count_disagreements(
    label: Array, without: dict[int, DataFrame], given: dict[int, DataFrame]
) -> list[dict[str, Any]]:
    """Count the images on which two arms disagree, for each seed, with McNemar's test."""
    return [
        {"seed": int(seed)}
        | compare_decisions(label, without[seed]["decision"].to_numpy(), given[seed]["decision"].to_numpy())
        for seed in without
    ]
