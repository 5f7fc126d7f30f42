"""Where the decision threshold lies and what a score means, chosen on validation under shift alone."""

from typing import Any, Literal

from chest_xray.core.options import InputError, Options, UnitInterval
from chest_xray.core.types import Array, DataFrame, Series
from chest_xray.pipelines.modeling.training import Run

LEAST_SLOPE = 1e-6  # A network that tells nothing, or the wrong way round, then says the prevalence of every image.


class OperatingPointRule(Options):
    """How the decision threshold is chosen, and which share of diseased is expected where the network is used."""

    rule: Literal["balanced_accuracy", "sensitivity"]
    min_sensitivity: UnitInterval
    expected_prevalence: UnitInterval


def choose_operating_point(
    shifted_predictions: DataFrame, operating_point: OperatingPointRule, run: Run
) -> dict[str, Any]:
    """Choose thresholds and calibrate, on the validation images as they were taken again under every condition.

    Args:
        shifted_predictions: `label`, `logit` and `probability` of each image and condition.
        operating_point: Which of the two points decides, the least sensitivity of the second, and the prevalence.
        run: Its title goes along with the point.

    Returns:
        `points`: "balanced_accuracy", where the mean of sensitivity and specificity is largest (Youden 1950), and
        "sensitivity", the highest threshold with a sensitivity of at least `min_sensitivity`; each with `threshold` (an
        image is called PNEUMONIA when the network's output is this or more), `sensitivity` and `specificity` on these
        images. `rule` and `threshold`: the point that decides. `calibration`: see `calibrate`. `run`: the title.

    Raises:
        InputError: The images are all of one class.
    """
    import numpy as np
    from sklearn.metrics import roc_curve

    label, probability = shifted_predictions["label"], shifted_predictions["probability"]
    if label.nunique() < 2:
        raise InputError(
            f"the validation images are all of one class (label {label.iloc[0]}); expected both. Raise hold_out.share."
        )
    curve = roc_curve(label, probability, drop_intermediate=False)
    # The first point is that of an infinite threshold, at which no image can be called PNEUMONIA.
    false_positive_rate, sensitivity, thresholds = (column[1:] for column in curve)
    best = {
        "balanced_accuracy": int(np.argmax((sensitivity - false_positive_rate).round(9))),  # Rounding breaks no tie.
        "sensitivity": int(np.argmax(sensitivity >= operating_point.min_sensitivity)),
    }
    points = {
        rule: {
            "threshold": float(thresholds[place]),
            "sensitivity": float(sensitivity[place]),
            "specificity": float(1 - false_positive_rate[place]),
        }
        for rule, place in best.items()
    }
    calibration = fit_calibration(shifted_predictions, operating_point.expected_prevalence)
    rule = operating_point.rule
    return {
        **{"run": run.title, "rule": rule, "threshold": points[rule]["threshold"]},
        **{"points": points, "calibration": calibration},
    }


def fit_calibration(predictions: DataFrame, expected_prevalence: float) -> dict[str, float]:
    """Fit temperature and bias of the logits by logistic regression, each class counting alike (Platt 1999).

    Args:
        predictions: `label` and `logit` of each image.
        expected_prevalence: Share of diseased where the network is to be used, in (0, 1).

    Returns:
        `temperature` and `bias` for a share of one half, and `expected_prevalence`; see `calibrate`.
    """
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(C=1e6, class_weight="balanced")
    fitted.fit(predictions[["logit"]].to_numpy(float), predictions["label"])
    slope, bias = float(fitted.coef_[0, 0]), float(fitted.intercept_[0])
    if slope < LEAST_SLOPE:
        slope, bias = LEAST_SLOPE, 0.0
    return {"temperature": 1 / slope, "bias": bias, "expected_prevalence": expected_prevalence}


def calibrate(logit: Series, calibration: dict[str, float]) -> Array:
    """Turn logits into probabilities that hold at the expected prevalence.

    The logit is divided by the temperature, and the bias and the log odds of the prevalence are added (Saerens, Latinne
    and Decaestecker 2002).

    Args:
        logit: Of the network, shape (images,).
        calibration: From `fit_calibration`.

    Returns:
        Probability of pneumonia, float64 in [0, 1], shape (images,).
    """
    import numpy as np
    from scipy.special import expit
    from scipy.special import logit as log_odds

    shift = calibration["bias"] + log_odds(calibration["expected_prevalence"])
    return np.asarray(expit(logit.to_numpy(float) / calibration["temperature"] + shift))


def summarise_shift(shifted_predictions: DataFrame, operating_point: dict[str, Any]) -> dict[str, Any]:
    """Give what recipes are ranked by, and under which condition this one breaks.

    Args:
        shifted_predictions: `label`, `probability`, `kind` and `strength` of each image and condition.
        operating_point: From `choose_operating_point`.

    Returns:
        `num_images` (image and condition), `auc` over all of them pooled, `worst_auc`, the mean over the worst quarter
        of the conditions, `specificity` at the least sensitivity asked for, and `conditions`: for each kind and
        strength `auc`, and `sensitivity` and `specificity` at the threshold.
    """
    from sklearn.metrics import roc_auc_score

    def of(part: DataFrame) -> dict[str, float]:
        called = part["probability"] >= operating_point["threshold"]
        return {
            "auc": float(roc_auc_score(part["label"], part["probability"])),
            "sensitivity": float(called[part["label"] == 1].mean()),
            "specificity": float(1 - called[part["label"] == 0].mean()),
        }

    groups = shifted_predictions.groupby(["kind", "strength"], sort=False)
    conditions: list[dict[str, Any]] = [
        {"kind": kind, "strength": strength, **of(part)} for (kind, strength), part in groups
    ]
    worst = sorted(condition["auc"] for condition in conditions)[: -(-len(conditions) // 4)]
    return {
        "num_images": len(shifted_predictions),
        "auc": float(roc_auc_score(shifted_predictions["label"], shifted_predictions["probability"])),
        "worst_auc": sum(worst) / len(worst),
        "specificity": operating_point["points"]["sensitivity"]["specificity"],
        "conditions": conditions,
    }
