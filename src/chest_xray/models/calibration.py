"""Where the decision threshold is, and what a score means: chosen on validation under corruption alone."""

from typing import Any, Literal

from chest_xray.core.options import Options, UnitInterval
from chest_xray.core.types import Array, DataFrame, Series

LEAST_SLOPE = 1e-6  # A network that tells nothing, or the wrong way round, then says the prevalence of every image.


class OperatingPointRule(Options):
    """How the decision threshold is chosen, and which share of diseased is expected where the network is used."""

    rule: Literal["balanced_accuracy", "sensitivity"]
    min_sensitivity: UnitInterval
    expected_prevalence: UnitInterval


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


def add_calibrated(predictions: DataFrame, operating_point: dict[str, Any]) -> DataFrame:
    """Add the column `calibrated`; see `calibrate`."""
    return predictions.assign(calibrated=calibrate(predictions["logit"], operating_point["calibration"]))
