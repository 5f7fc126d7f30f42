"""Networks on the same test images: paired differences over patients and seeds, and disagreement."""

import math
from collections.abc import Callable
from typing import Any

from chest_xray.core.types import Array, DataFrame
from chest_xray.metrics.bootstrap import interval, weighted_auc

RUNS = ("baseline", "augmented")
METRICS = ("accuracy", "sensitivity", "specificity", "auc")
POWER, CONFIDENCE = 0.8, 0.95  # of the smallest difference that a test could show
REFERENCE = "none"  # the arm that every other is compared with


def weigh_metric(name: str, label: Array, probability: Array, decision: Array) -> Callable[[Array], Array]:
    """Return a metric as a function of how often each image counts.

    Args:
        name: One of `METRICS`.
        label: 0 or 1, 1 being diseased, shape (images,).
        probability: Of pneumonia, in [0, 1], shape (images,).
        decision: Whether an image is classified as PNEUMONIA, bool, shape (images,).

    Returns:
        From weights (resamples, images) to float64 in [0, 1] of shape (resamples,); NaN where nothing is counted.
    """
    if name == "auc":
        return lambda weights: weighted_auc(label, probability, weights)
    right = (decision == label).astype(float)
    counted = {"accuracy": label >= 0, "sensitivity": label == 1, "specificity": label == 0}[name].astype(float)
    return lambda weights: _share(weights @ (right * counted), weights @ counted)


def _share(part: Array, whole: Array) -> Array:
    """Part / whole, NaN where a resample has nothing to count."""
    import numpy as np

    return np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)


def compare_decisions(label: Array, first: Array, second: Array) -> dict[str, Any]:
    """Count the images on which two networks disagree.

    Args:
        label: 0 or 1, shape (images,).
        first: Decisions of the first network, True for PNEUMONIA, shape (images,).
        second: The same of the second.

    Returns:
        `corrected`: images that the first gets wrong and the second right; `regressed`: the other way round; `p`,
            two-sided
        and exact (McNemar 1947), that such a split is chance.
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
        standard_error: Of their mean over patients.
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


def resample_arms(runs: dict[str, dict[int, DataFrame]], weights: Array) -> dict[str, dict[str, Array]]:
    """Every metric of every arm, of shape (seeds, 1 + resamples): of the whole test set, then of each resample."""
    import numpy as np

    weights = np.vstack([np.ones(weights.shape[1]), weights])

    def weigh(name: str, table: DataFrame) -> Array:
        label, probability, decision = (table[each].to_numpy() for each in ("label", "probability", "decision"))
        return weigh_metric(name, label, probability, decision)(weights)

    return {
        arm: {name: np.stack([weigh(name, table) for table in tables.values()]) for name in METRICS}
        for arm, tables in runs.items()
    }


def summarise_seeds(by_seed: Array) -> dict[str, Any]:
    """Return mean and standard deviation over seeds, and the values themselves."""
    import numpy as np

    return {"by_seed": by_seed.tolist(), "mean": float(by_seed.mean()), "deviation": float(np.std(by_seed, ddof=1))}


def estimate_difference(paired: Array) -> dict[str, Any]:
    """Estimate the mean of paired differences of a metric over patients.

    Args:
        paired: Of shape (seeds, 1 + resamples): of the whole test set, then of each resample.

    Returns:
        `value`, `low`, `high` (95%), `standard_error` and `smallest`; see `minimum_detectable_difference`.
    """
    import numpy as np

    averaged = paired.mean(axis=0)
    error = float(np.nanstd(averaged[1:]))
    smallest = minimum_detectable_difference(error)
    return {**interval(averaged[0], averaged[1:]).model_dump(), "standard_error": error, "smallest": smallest}


def estimate_over_seeds(paired: Array, num_groups: int) -> dict[str, Any]:
    """Estimate paired differences over patients, as `estimate_difference` does, and over seeds too.

    Returns:
        Besides, `by_seed` and `deviation`, and `both`: see `interval_over_both`.
    """
    found, by_seed = estimate_difference(paired), paired[:, 0]
    spread = {name: each for name, each in summarise_seeds(by_seed).items() if name != "mean"}
    return {**found, **spread, "both": interval_over_both(by_seed, found["standard_error"], num_groups)}


def count_disagreements(
    label: Array, without: dict[int, DataFrame], given: dict[int, DataFrame]
) -> list[dict[str, Any]]:
    """Count the images on which two arms disagree, for each seed, with McNemar's test."""
    return [
        {"seed": int(seed)}
        | compare_decisions(label, without[seed]["decision"].to_numpy(), given[seed]["decision"].to_numpy())
        for seed in without
    ]
