"""How well predictions agree with labels, at a threshold and over all thresholds, with 95% intervals."""

from typing import Any

from chest_xray.options import InputError
from chest_xray.resampling import bootstrap_auc
from chest_xray.types import Array, DataFrame

NUM_BINS = 15
PLAIN_THRESHOLD = 0.5  # where a sigmoid is cut when nobody chose
LEAST = 1e-7  # In the loss no probability is nearer to 0 or 1, so that one that is certain and wrong does not cost all.


def metrics_at(predictions: DataFrame, threshold: float) -> dict[str, Any]:
    """Count right and wrong decisions at one threshold.

    Args:
        predictions: `label` (1 diseased, the positive class) and `probability` of each image.
        threshold: An image is called PNEUMONIA at this probability or above.

    Returns:
        `threshold`; `tn`, `fp`, `fn`, `tp` (images); and for `accuracy`, `sensitivity` (also called recall),
        `specificity` and `precision` (also called PPV) a dict of `value`, `low`, `high` in [0, 1], the 95% interval of
        Wilson (1927).
        All three are None where nothing can be counted, as precision is when no image is called diseased.
    """
    from sklearn.metrics import confusion_matrix

    decision = predictions["probability"] >= threshold
    tn, fp, fn, tp = confusion_matrix(predictions["label"], decision, labels=[0, 1]).ravel().tolist()
    return {
        "threshold": threshold,
        **{"tn": tn, "fp": fp, "fn": fn, "tp": tp},
        "accuracy": proportion(tn + tp, tn + fp + fn + tp),
        "sensitivity": proportion(tp, tp + fn),
        "specificity": proportion(tn, tn + fp),
        "precision": proportion(tp, tp + fp),
    }


def proportion(count: int, total: int) -> dict[str, float | None]:
    """Give a share with Wilson's 95% interval, or three times None of nothing."""
    from scipy.stats import binomtest

    if total == 0:
        return {"value": None, "low": None, "high": None}
    interval = binomtest(count, total).proportion_ci(0.95, method="wilson")
    return {"value": count / total, "low": float(interval.low), "high": float(interval.high)}


def summarise(predictions: DataFrame, operating_point: dict[str, Any], seed: int) -> dict[str, Any]:
    """Give all metrics of one subset.

    Args:
        predictions: One row an image, as `chest_xray.scoring.score_images` gives it.
        operating_point: `points` and the `rule` that decides, chosen on validation under shift.
        seed: Of the bootstrap.

    Returns:
        `num_images`, `num_groups` (patients), `prevalence` (share of diseased in [0, 1]), `loss` (binary cross-entropy
        of probabilities held 1e-7 off 0 and 1), `auc` (area under the ROC curve, with the 95% interval of a bootstrap
        over patients), `brier` (score of Brier 1950) and `ece` of the calibrated probabilities; `at_half`, `at_chosen`
        and `at_other` (see `metrics_at`: at 0.5, at the point that decides, and at the other one), and
        `sensitivity_by_aetiology`.

    Raises:
        InputError: The images are all of one class, or a probability is not a number.
    """
    import numpy as np
    from sklearn.metrics import brier_score_loss, log_loss

    _require_both_classes(predictions)
    threshold = operating_point["threshold"]
    other = next(rule for rule in operating_point["points"] if rule != operating_point["rule"])
    diseased = predictions[predictions["label"] == 1]
    held = np.clip(predictions["probability"].to_numpy(np.float32), LEAST, 1 - LEAST)
    hits = (diseased["probability"] >= threshold).groupby(diseased["aetiology"])
    return {
        "num_images": len(predictions),
        "num_groups": int(predictions["group"].nunique()),
        "prevalence": float(predictions["label"].mean()),
        "loss": float(log_loss(predictions["label"], held.astype(float))),
        "auc": bootstrap_auc(predictions, seed),
        "brier": float(brier_score_loss(predictions["label"], predictions["calibrated"])),
        "ece": expected_calibration_error(predictions["label"].to_numpy(), predictions["calibrated"].to_numpy()),
        "at_half": metrics_at(predictions, PLAIN_THRESHOLD),
        "at_chosen": metrics_at(predictions, threshold),
        "at_other": {"rule": other, **metrics_at(predictions, operating_point["points"][other]["threshold"])},
        "sensitivity_by_aetiology": {str(name): proportion(int(hit.sum()), len(hit)) for name, hit in hits},
    }


def expected_calibration_error(label: Array, probability: Array) -> float:
    """Give the mean distance between what was promised and what came true, over 15 bins (Guo et al. 2017).

    Args:
        label: 0 or 1, shape (images,).
        probability: Of 1, in [0, 1], shape (images,).

    Returns:
        In [0, 1]; 0 is perfect.
    """
    import numpy as np

    bins = np.minimum((probability * NUM_BINS).astype(int), NUM_BINS - 1)
    promised, true = (np.bincount(bins, values, NUM_BINS) for values in (probability, label))
    return float(np.abs(promised - true).sum() / len(label))


def _require_both_classes(predictions: DataFrame) -> None:
    if predictions["probability"].isna().any():
        raise InputError(
            f"received {int(predictions['probability'].isna().sum())} probabilities that are no numbers of "
            f"{len(predictions)}; expected values in [0, 1]. Train again: the weights of this model are broken."
        )
    counts = predictions["label"].value_counts().to_dict()
    if len(counts) < 2:
        raise InputError(f"received images of one class alone (label: images {counts}); expected healthy and diseased.")


def tabulate(metrics: dict[str, Any]) -> DataFrame:
    """Lay the metrics of one run out for reading.

    Args:
        metrics: From `compute_metrics`: `validation` and `test`, each as `summarise` gives it.

    Returns:
        One row a metric, threshold and subset: `metric`, `threshold`, `subset`, `n` (images), `value`, `low`, `high`
        (95% interval); the last two empty where there is no interval.
    """
    import pandas as pd

    rows = []
    for subset in ("validation", "test"):
        part = metrics[subset]
        rows.append({"metric": "loss", "subset": subset, "n": part["num_images"], "value": part["loss"]})
        rows.append({"metric": "auc", "subset": subset, "n": part["num_images"], **part["auc"]})
        for at in ("at_half", "at_chosen", "at_other"):
            for name, value in part[at].items():
                if isinstance(value, dict):
                    threshold = part[at]["threshold"]
                    rows.append(
                        {
                            "metric": name,
                            "threshold": threshold,
                            "subset": subset,
                            "n": _total(part[at], name),
                            **value,
                        }
                    )
    return pd.DataFrame(rows, columns=["metric", "threshold", "subset", "n", "value", "low", "high"]).round(4)


def _total(counts: dict[str, Any], name: str) -> int:
    parts = {
        "accuracy": ("tn", "fp", "fn", "tp"),
        "sensitivity": ("tp", "fn"),
        "specificity": ("tn", "fp"),
        "precision": ("tp", "fp"),
    }
    return sum(int(counts[part]) for part in parts[name])
