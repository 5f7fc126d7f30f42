"""The metadata baseline: how well the class is told from the header of a file, without a look at its pixels."""

from typing import Any

from chest_xray.core.types import Array, DataFrame
from chest_xray.metrics.binary import count, rate
from chest_xray.metrics.summary import measure_ranking


def find_best_threshold(values: Array, labels: Array) -> tuple[float, str]:
    """The value and direction of highest balanced accuracy (Youden 1950): accuracy would follow the class shares."""
    best = []
    for direction in ("at most", "at least"):
        sensitivity, specificity, cuts = sweep_thresholds(orient(values, direction), labels)
        top = int((sensitivity + specificity).argmax())
        best.append((sensitivity[top] + specificity[top], abs(float(cuts[top])), direction))
    _, threshold, direction = max(best, key=lambda each: each[0])
    return threshold, direction


def orient(values: Array, direction: str) -> Array:
    """Return the values such that larger ones speak for pneumonia."""
    return values if direction == "at least" else -values


def sweep_thresholds(scores: Array, labels: Array) -> tuple[Array, Array, Array]:
    """Sensitivity and specificity when every image that scores at least a cut is called diseased, for each cut."""
    import numpy as np

    cuts = np.unique(scores)[::-1]
    diseased, healthy = (np.sort(scores[labels == label]) for label in (1, 0))
    sensitivity = 1 - np.searchsorted(diseased, cuts) / len(diseased)
    specificity = np.searchsorted(healthy, cuts) / len(healthy)
    return sensitivity, specificity, cuts


def score_threshold(values: Array, labels: Array, threshold: float, direction: str) -> dict[str, Any]:
    """Score one thresholded feature: see the node `fit_metadata_baseline`."""
    import numpy as np

    scores = orient(values, direction)
    called = scores >= orient(np.array(threshold), direction)
    sensitivity, specificity, _ = sweep_thresholds(scores, labels)
    area = np.trapezoid(np.append(0, sensitivity), np.append(0, 1 - specificity))
    return {
        "num": len(labels),
        "accuracy": float((called == labels).mean()),
        "sensitivity": float(called[labels == 1].mean()),
        "specificity": float((~called[labels == 0]).mean()),
        "auc": float(area),
    }


RANKING = ("auc", "pr_auc")
COMPARED = (*RANKING, "accuracy", "balanced_accuracy", "sensitivity", "specificity")  # network minus rule, paired


def best_on_train(metadata_baseline: dict[str, Any]) -> str:
    """Name the feature of the header that tells the classes apart best on train, by balanced accuracy."""
    return max(
        metadata_baseline,
        key=lambda feature: (
            metadata_baseline[feature]["train"]["sensitivity"] + metadata_baseline[feature]["train"]["specificity"]
        ),
    )


def measure_rule(predictions: DataFrame, threshold: float, prevalence: float, weights: Array) -> dict[str, Array]:
    """Compute ranking and rates of a score at a threshold, on whole and resampled data."""
    label, score = predictions["label"].to_numpy(), predictions["probability"].to_numpy()
    return {
        **measure_ranking(label, score, weights),
        **rate(count(label, score >= threshold, weights), prevalence),
    }
