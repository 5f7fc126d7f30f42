"""By how much each arm differs from none, on one test set and with few seeds; and how sure that is."""

from typing import Any

from chest_xray.core.types import Array, DataFrame
from chest_xray.metrics.bootstrap import interval, resample_weights
from chest_xray.metrics.comparison import (
    METRICS,
    compare_decisions,
    interval_over_both,
    smallest_difference,
    weigh_metric,
)
from chest_xray.metrics.summary import Evaluation

REFERENCE = "none"  # the arm that every other is compared with


def compare_arms(study_predictions: DataFrame, evaluation: Evaluation) -> dict[str, Any]:
    """Estimate by how much each arm differs from none, and by how much seeds differ.

    Args:
        study_predictions: From `join_runs`.
        evaluation: Seed of the bootstrap.

    Returns:
        `num_images`, `num_healthy`, `num_diseased`, `num_groups`, `seeds`, `steps` (`fewest`, `most`). `arms`: of each
        arm and metric `by_seed`, `mean` and `deviation` (standard, over seeds). `differences`: of each arm but none and
        each metric `value`, the mean over seeds, with `low`, `high` (95%) and `standard_error` over patients and the
        `smallest` difference that so many patients show; `by_seed` and `deviation`; and `both`: low, high and smallest
        over patients and seeds. `mcnemar`: of each arm but none and each seed what
        `chest_xray.metrics.comparison.compare_decisions` gives, against none of the same seed.
    """
    runs = _split_by_run(study_predictions)
    sample = next(iter(runs[REFERENCE].values()))
    label, groups = sample["label"].to_numpy(), sample["group"].to_numpy()
    values = _weigh_all(runs, resample_weights(groups, evaluation.seed))
    others = [arm for arm in runs if arm != REFERENCE]
    num_groups = int(sample["group"].nunique())
    return {
        **{"num_images": len(label), "num_healthy": int((label == 0).sum()), "num_diseased": int((label == 1).sum())},
        **{"num_groups": num_groups, "seeds": [int(seed) for seed in runs[REFERENCE]]},
        "steps": {"fewest": int(study_predictions["steps"].min()), "most": int(study_predictions["steps"].max())},
        "arms": {arm: {name: _spread(each[:, 0]) for name, each in values[arm].items()} for arm in runs},
        "differences": {
            arm: {name: _differ(values[arm][name] - values[REFERENCE][name], num_groups) for name in METRICS}
            for arm in others
        },
        "mcnemar": {arm: _disagree(label, runs[REFERENCE], runs[arm]) for arm in others},
    }


def _split_by_run(study_predictions: DataFrame) -> dict[str, dict[int, DataFrame]]:
    runs: dict[str, dict[int, DataFrame]] = {}
    for arm, of_arm in study_predictions.groupby("arm", sort=False):
        runs[str(arm)] = {int(str(seed)): table for seed, table in of_arm.groupby("seed", sort=False)}
    return runs


def _weigh_all(runs: dict[str, dict[int, DataFrame]], weights: Array) -> dict[str, dict[str, Array]]:
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


def _spread(by_seed: Array) -> dict[str, Any]:
    import numpy as np

    return {"by_seed": by_seed.tolist(), "mean": float(by_seed.mean()), "deviation": float(np.std(by_seed, ddof=1))}


def _differ(paired: Array, num_groups: int) -> dict[str, Any]:
    """Judge the paired differences of a metric, of shape (seeds, 1 + resamples)."""
    import numpy as np

    by_seed, averaged = paired[:, 0], paired.mean(axis=0)
    error = float(np.nanstd(averaged[1:]))
    return {
        **interval(averaged[0], averaged[1:]),
        **{"standard_error": error, "smallest": smallest_difference(error)},
        **{name: each for name, each in _spread(by_seed).items() if name != "mean"},
        "both": interval_over_both(by_seed, error, num_groups),
    }


def _disagree(label: Array, without: dict[int, DataFrame], given: dict[int, DataFrame]) -> list[dict[str, Any]]:
    return [
        {"seed": int(seed)}
        | compare_decisions(label, without[seed]["decision"].to_numpy(), given[seed]["decision"].to_numpy())
        for seed in without
    ]
