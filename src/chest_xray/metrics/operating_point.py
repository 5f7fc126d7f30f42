"""The operating point, calibration, and the score of a recipe, from predictions of corrupted validation images."""

from typing import Annotated, Literal

from pydantic import Field

from chest_xray.core.options import Options, Result, UnitInterval
from chest_xray.core.types import Array, DataFrame, Series

Share = Annotated[float, Field(ge=0, le=1)]
Rule = Literal["balanced_accuracy", "sensitivity"]
NUM_CUTS = 2001  # thresholds that are tried: quantiles of the scores
LEAST_SLOPE = 1e-6  # A network that tells nothing, or the wrong way round, then says the prevalence of every image.


class OperatingPointRule(Options):
    """How the decision threshold is chosen, and which share of diseased is expected where the network is used."""

    rule: Rule
    min_sensitivity: UnitInterval
    expected_prevalence: UnitInterval


class Calibration(Result):
    """How log odds become probabilities; see `calibrate`. Temperature and bias are for a prevalence of one half."""

    temperature: Annotated[float, Field(gt=0)]
    bias: float
    expected_prevalence: UnitInterval


class Point(Result):
    """A threshold on the network's output, and what it comes to on corrupted validation."""

    threshold: Share
    sensitivity: Share
    specificity: Share


class OperatingPoint(Result):
    """Which output of the network counts as PNEUMONIA, and what it means as a probability.

    `points` has one entry a rule; `rule` names the one that decides and `threshold` repeats its threshold: an image is
    classified as PNEUMONIA when the output is this or more. `run` is the title of the run.
    """

    run: str
    rule: Rule
    threshold: Share
    points: dict[Rule, Point]
    calibration: Calibration

    @property
    def other_rule(self) -> Rule:
        """The rule that does not decide."""
        return next(rule for rule in self.points if rule != self.rule)


class RecipeScore(Result):
    """The score of a recipe on corrupted validation, at the one threshold that is best for its worst condition or fold.

    `worst_condition` and `worst_fold` are balanced accuracies: of the worst condition over all folds, and of the worst
    fold over all conditions. `worst_auc` is the mean over the worst quarter of the conditions of the AUC within folds,
    as the scores of different networks are not on one scale.
    """

    num_images: int
    threshold: Share
    worst_condition: Share
    worst_fold: Share
    worst_auc: Share
    auc: Share
    balanced_accuracy_by_condition: dict[str, float]
    balanced_accuracy_by_fold: dict[str, float]
    auc_by_condition: dict[str, float]


def score_recipe(predictions: DataFrame) -> RecipeScore:
    """Score a recipe by metrics that depend on the threshold as well as on the ranking.

    Args:
        predictions: `label`, `probability`, `kind`, `strength` and `fold` of each image and condition.
    """
    import numpy as np
    from sklearn.metrics import roc_auc_score

    table = predictions.assign(condition=predictions["kind"] + " " + predictions["strength"].astype(str))
    cuts = np.unique(np.quantile(table["probability"], np.linspace(0, 1, NUM_CUTS), method="nearest"))
    balanced = {
        by: {str(name): _balance(part, cuts) for name, part in table.groupby(by, sort=False)}
        for by in ("condition", "fold")
    }
    best = int(np.min([*balanced["condition"].values(), *balanced["fold"].values()], axis=0).argmax())
    at_best = {by: {name: float(each[best]) for name, each in found.items()} for by, found in balanced.items()}

    def auc_of(part: DataFrame) -> float:
        return float(np.mean([roc_auc_score(each["label"], each["probability"]) for _, each in part.groupby("fold")]))

    auc = {str(name): auc_of(part) for name, part in table.groupby("condition", sort=False)}
    return RecipeScore(
        num_images=len(table),
        threshold=float(cuts[best]),
        worst_condition=min(at_best["condition"].values()),
        worst_fold=min(at_best["fold"].values()),
        worst_auc=float(np.mean(sorted(auc.values())[: -(-len(auc) // 4)])),
        auc=auc_of(table),
        balanced_accuracy_by_condition=at_best["condition"],
        balanced_accuracy_by_fold=at_best["fold"],
        auc_by_condition=auc,
    )


def _balance(part: DataFrame, cuts: Array) -> Array:
    """Return the balanced accuracy at each threshold, of shape (thresholds,)."""
    import numpy as np

    diseased, healthy = (np.sort(part["probability"][part["label"] == label].to_numpy()) for label in (1, 0))
    sensitivity = 1 - np.searchsorted(diseased, cuts) / len(diseased)
    return (sensitivity + np.searchsorted(healthy, cuts) / len(healthy)) / 2


def fit_calibration(predictions: DataFrame, expected_prevalence: float) -> Calibration:
    """Fit temperature and bias of the logits by logistic regression, each class counting alike (Platt 1999).

    Args:
        predictions: `label` and `logit` of each image.
        expected_prevalence: Share of PNEUMONIA where the network is to be used, in (0, 1).

    Returns:
        See `calibrate`.
    """
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(C=1e6, class_weight="balanced")
    fitted.fit(predictions[["logit"]].to_numpy(float), predictions["label"])
    slope, bias = float(fitted.coef_[0, 0]), float(fitted.intercept_[0])
    if slope < LEAST_SLOPE:
        slope, bias = LEAST_SLOPE, 0.0
    return Calibration(temperature=1 / slope, bias=bias, expected_prevalence=expected_prevalence)


def calibrate(logit: Array | Series, calibration: Calibration) -> Array:
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

    shift = calibration.bias + log_odds(calibration.expected_prevalence)
    return np.asarray(expit(np.asarray(logit, float) / calibration.temperature + shift))


def add_calibrated(predictions: DataFrame, operating_point: OperatingPoint) -> DataFrame:
    """Add the calibrated probability of pneumonia.

    Args:
        predictions: One row an image, with its `logit`.
        operating_point: Its `calibration`.

    Returns:
        A new table with the column `calibrated`, float64 in [0, 1]; see `calibrate`.
    """
    return predictions.assign(calibrated=calibrate(predictions["logit"], operating_point.calibration))
