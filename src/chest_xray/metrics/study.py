"""Differences between the arms of the study, over patients and seeds."""

from typing import Any

from chest_xray.core.types import Array, DataFrame
from chest_xray.metrics.bootstrap import interval
from chest_xray.metrics.comparison import (
    METRICS,
    compare_decisions,
    interval_over_both,
    minimum_detectable_difference,
    weigh_metric,
)

REFERENCE = "none"  # the arm that every other is compared with


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


def estimate_difference(paired: Array, num_groups: int) -> dict[str, Any]:
    """Estimate the paired differences of a metric, of shape (seeds, 1 + resamples)."""
    import numpy as np

    by_seed, averaged = paired[:, 0], paired.mean(axis=0)
    error = float(np.nanstd(averaged[1:]))
    return {
        **interval(averaged[0], averaged[1:]),
        **{"standard_error": error, "smallest": minimum_detectable_difference(error)},
        **{name: each for name, each in summarise_seeds(by_seed).items() if name != "mean"},
        "both": interval_over_both(by_seed, error, num_groups),
    }


def count_disagreements(
    label: Array, without: dict[int, DataFrame], given: dict[int, DataFrame]
) -> list[dict[str, Any]]:
    """Count the images on which two arms disagree, for each seed, with McNemar's test."""
    return [
        {"seed": int(seed)}
        | compare_decisions(label, without[seed]["decision"].to_numpy(), given[seed]["decision"].to_numpy())
        for seed in without
    ]
