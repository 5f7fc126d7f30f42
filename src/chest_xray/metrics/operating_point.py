"""Operating points, the referral band, calibration, and the score of a recipe, from corrupted validation images."""

import math
import statistics
from collections.abc import Iterable
from typing import Annotated, Literal, Self, get_args

from pydantic import Field, model_validator

from chest_xray.core.libraries import np
from chest_xray.core.types import Array, DataFrame, Options, Result, Series, UnitInterval

Share = Annotated[float, Field(ge=0, le=1)]
Rule = Literal["balanced", "sensitivity", "specificity"]
NUM_CUTS = 2001  # thresholds that are tried: quantiles of the scores
ROUNDING = 1e-9  # between equal shares of images
MIN_DECIMAL = 1e-6  # Probabilities nearer to 0 or 1 are written with an exponent.
MIN_SLOPE = 1e-6  # A network without information, or with reversed ranking, returns the prevalence for all.


class OperatingPointRule(Options):
    """Which rule decides, what the rules require, and the prevalence where the network is used; see `choose_points`.

    `max_referred` is for `choose_band`; with None, nothing is referred.
    """

    rule: Rule
    min_sensitivity: UnitInterval
    min_specificity: UnitInterval
    min_counterpart: UnitInterval
    expected_prevalence: UnitInterval
    max_referred: UnitInterval | None = None


class Calibration(Result):
    """How log odds become probabilities; see `calibrate`. Temperature and bias are for a prevalence of one half."""

    temperature: Annotated[float, Field(gt=0)]
    bias: float
    expected_prevalence: UnitInterval


class Point(Result):
    """A threshold, and its metrics on corrupted validation.

    An image is classified as PNEUMONIA when its calibrated log odds are `log_odds` or more. `threshold` is the same as
    a probability, for people. `worst_sensitivity` and `worst_specificity` are the lowest of any condition, and
    `reached` is whether they are what the rule requires; None if that was not measured. See docs/metrics.md.
    """

    log_odds: float
    threshold: Share
    sensitivity: Share
    specificity: Share
    worst_sensitivity: Share | None
    worst_specificity: Share | None
    reached: bool | None

    @model_validator(mode="after")
    def _require_one_threshold(self) -> Self:
        expected = to_probability(self.log_odds)
        if abs(self.threshold - expected) > ROUNDING:
            raise ValueError(f"threshold {self.threshold} is not the probability {expected} of log_odds")
        return self


class ReferralBand(Result):
    """Images nearer to the threshold than `half_width`, in calibrated log odds, are referred; see `choose_band`."""

    max_referred: UnitInterval
    half_width: Annotated[float, Field(ge=0)]


class OperatingPoint(Result):
    """The thresholds, and how outputs of the network become probabilities.

    `band` is None where nothing is referred, as in networks that were packaged before there was a band.
    """

    run: str
    rule: Rule
    points: dict[Rule, Point]
    calibration: Calibration
    band: ReferralBand | None = None

    @model_validator(mode="after")
    def _require_point(self) -> Self:
        if self.rule not in self.points:
            raise ValueError(f"the rule {self.rule!r} decides, but there are only points of {list(self.points)}")
        return self

    @property
    def chosen(self) -> Point:
        """The point that decides."""
        return self.points[self.rule]

    @property
    def bounds(self) -> tuple[float, float]:
        """The calibrated probabilities between which images are referred; both the threshold without a band."""
        half_width = self.band.half_width if self.band else 0.0
        return to_probability(self.chosen.log_odds - half_width), to_probability(self.chosen.log_odds + half_width)

    def find_referred(self, log_odds: Array | Series) -> Array:
        """Return True for each image that a human should decide on, from its calibrated log odds, shape (images,)."""
        return np.abs(np.asarray(log_odds) - self.chosen.log_odds) < (self.band.half_width if self.band else 0)


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
        predictions: `label`, `sigmoid`, `kind`, `strength` and `fold` of each image and condition.
    """
    from sklearn.metrics import roc_auc_score

    table = predictions.assign(condition=predictions["kind"] + " " + predictions["strength"].astype(str))
    cuts = np.unique(np.quantile(table["sigmoid"], np.linspace(0, 1, NUM_CUTS), method="nearest"))
    balanced = [
        {
            str(name): _sensitivity_and_specificity(images["label"], images["sigmoid"], cuts).mean(axis=0)
            for name, images in table.groupby(by, sort=False)
        }
        for by in ("condition", "fold")
    ]
    best = int(np.min([accuracies for group in balanced for accuracies in group.values()], axis=0).argmax())
    by_condition, by_fold = (
        {name: float(accuracies[best]) for name, accuracies in group.items()} for group in balanced
    )

    def mean_auc(images: DataFrame) -> float:
        return float(np.mean([roc_auc_score(fold["label"], fold["sigmoid"]) for _, fold in images.groupby("fold")]))

    auc = {str(name): mean_auc(images) for name, images in table.groupby("condition", sort=False)}
    return RecipeScore(
        num_images=len(table),
        threshold=float(cuts[best]),
        worst_condition=min(by_condition.values()),
        worst_fold=min(by_fold.values()),
        worst_auc=average_worst_quarter(auc.values()),
        auc=mean_auc(table),
        balanced_accuracy_by_condition=by_condition,
        balanced_accuracy_by_fold=by_fold,
        auc_by_condition=auc,
    )


def average_worst_quarter(areas: Iterable[float]) -> float:
    """Return the mean of the lowest quarter of AUCs, rounded up to a whole number of them."""
    ordered = sorted(areas)
    return statistics.fmean(ordered[: -(-len(ordered) // 4)])


def _sensitivity_and_specificity(label: Series, score: Series, cuts: Array) -> Array:
    """Return sensitivity and specificity at each threshold, of shape (2, thresholds)."""
    pneumonia, normal = (np.sort(score[label == truth].to_numpy()) for truth in (1, 0))
    detected = len(pneumonia) - np.searchsorted(pneumonia, cuts)
    return np.stack([detected / len(pneumonia), np.searchsorted(normal, cuts) / len(normal)])


def choose_points(predictions: DataFrame, rule: OperatingPointRule) -> dict[Rule, Point]:
    """Choose the threshold of each rule, on corrupted validation.

    Args:
        predictions: `label`, `log_odds`, `kind` and `strength` of each image and condition; both classes occur.
        rule: What the rules require.

    Returns:
        "balanced": the threshold at which the lower of sensitivity and specificity, in the worst condition for each, is
        largest; of several, the one with the largest sum of both over all conditions, and then the highest.
        "sensitivity": the highest threshold, and so the highest specificity, with a sensitivity of at least
        `min_sensitivity` in every condition. "specificity": the lowest threshold, and so the highest sensitivity, with
        a specificity of at least `min_specificity` in every condition.

        A threshold for the last two always exists, but is of no use where the counterpart (specificity for
        "sensitivity", and the reverse) is below `min_counterpart` in some condition. The metric is then required over
        all conditions together, and `reached` is False. For "balanced", `reached` is whether both are at least
        `min_counterpart` in every condition.
    """
    cuts = np.unique(predictions["log_odds"])[::-1]
    cuts = np.concatenate([[np.nextafter(cuts[0], np.inf)], cuts])  # At the first one no image is PNEUMONIA.
    tables = [predictions, *(images for _, images in predictions.groupby(["kind", "strength"], sort=False))]
    pooled, *rates = (_sensitivity_and_specificity(table["label"], table["log_odds"], cuts) for table in tables)
    worst = np.min(rates, axis=0)
    minimum = {"sensitivity": rule.min_sensitivity, "specificity": rule.min_specificity}
    points: dict[Rule, Point] = {}
    for name in get_args(Rule):
        required = np.array([[minimum[metric] if metric == name else rule.min_counterpart] for metric in minimum])
        reached = (worst >= required).all(axis=0)
        if name == "balanced":
            best = np.lexsort((cuts, pooled.sum(axis=0).round(9), worst.min(axis=0)))[-1]
        else:
            best = _find_required(worst, name, minimum[name])
            if not reached[best]:
                best = _find_required(pooled, name, minimum[name])
        points[name] = Point(
            log_odds=float(cuts[best]),
            threshold=to_probability(float(cuts[best])),
            sensitivity=float(pooled[0, best]),
            specificity=float(pooled[1, best]),
            worst_sensitivity=float(worst[0, best]),
            worst_specificity=float(worst[1, best]),
            reached=bool(reached[best]),
        )
    return points


def _find_required(rates: Array, metric: str, minimum: float) -> int:
    """Return the index, among falling thresholds, where a metric reaches a minimum and the other one is highest."""
    sensitivity, specificity = rates
    if metric == "sensitivity":
        return int((sensitivity >= minimum).argmax())
    return int((specificity >= minimum).sum()) - 1


def choose_band(predictions: DataFrame, threshold: float, max_referred: float) -> ReferralBand:
    """Choose the widest band around the threshold (calibrated log odds) that refers at most a share of the images.

    The parameter is a share of images, and not an accuracy of the others, for three reasons. The time of a reader
    limits this share, and every network can reach it. It is a quantile of a distance, which other images of the same
    kind reproduce; the width at which an accuracy is first reached is selected among many, which is optimistic
    (Geifman and El-Yaniv 2017 correct for that). And whether new images agree with it can be checked without labels,
    while an accuracy on validation is lost unnoticed on images of another kind. The accuracy on the answered images is
    measured on test, by `chest_xray.metrics.abstention.measure_referral`. `predictions` are of corrupted validation.
    """
    distance = np.sort(np.abs(predictions["log_odds"] - threshold))
    return ReferralBand(max_referred=max_referred, half_width=float(distance[int(max_referred * len(distance))]))


def fit_calibration(predictions: DataFrame, expected_prevalence: float) -> Calibration:
    """Fit temperature and bias of the logits by logistic regression with balanced classes (Platt 1999).

    `predictions` has `label` and `logit` of each image.
    """
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(C=1e6, class_weight="balanced")
    fitted.fit(predictions[["logit"]].to_numpy(float), predictions["label"])
    slope, bias = float(fitted.coef_[0, 0]), float(fitted.intercept_[0])
    if slope < MIN_SLOPE:
        slope, bias = MIN_SLOPE, 0.0
    return Calibration(temperature=1 / slope, bias=bias, expected_prevalence=expected_prevalence)


def compute_log_odds(logit: Array | Series, calibration: Calibration) -> Array:
    """Return the calibrated log odds of pneumonia, on which decisions are made.

    The logit is divided by the temperature, and the bias and the log odds of the prevalence are added (Saerens, Latinne
    and Decaestecker 2002). The result, float64 of shape (images,), never falls where the logit rises, and is not
    rounded as probabilities are.
    """
    return np.asarray(logit, float) / calibration.temperature + _compute_shift(calibration)


def _compute_shift(calibration: Calibration) -> float:
    prevalence = calibration.expected_prevalence
    return calibration.bias + math.log(prevalence / (1 - prevalence))


def compute_logit(log_odds: float, calibration: Calibration) -> float:
    """Return the logit of the network for calibrated log odds: the reverse of `compute_log_odds`."""
    return (log_odds - _compute_shift(calibration)) * calibration.temperature


def to_probability(log_odds: float) -> float:
    """Return the probability in [0, 1] for log odds."""
    from scipy.special import expit

    return float(expit(log_odds))


def format_probability(probability: float, decimals: int = 3) -> str:
    """Format a probability such that it differs from 0 and 1: "0.500", "0.99996", "2.1e-08", "1 - 2.1e-08"."""
    distance = min(probability, 1 - probability)
    if distance >= MIN_DECIMAL:
        return f"{probability:.{max(decimals, math.ceil(-math.log10(distance) - ROUNDING))}f}"
    if not distance:
        return "> 1 - 1e-16" if probability else "< 1e-300"
    return f"1 - {distance:.1e}" if probability > distance else f"{distance:.1e}"


def calibrate(logit: Array | Series, calibration: Calibration) -> Array:
    """Return the probability of pneumonia, in [0, 1], that holds at the expected prevalence; see `compute_log_odds`."""
    from scipy.special import expit

    return np.asarray(expit(compute_log_odds(logit, calibration)))


def add_calibrated(predictions: DataFrame, operating_point: OperatingPoint) -> DataFrame:
    """Return a new table with the columns `log_odds`, of `compute_log_odds`, and `probability`, of `calibrate`."""
    logit, calibration = predictions["logit"], operating_point.calibration
    return predictions.assign(log_odds=compute_log_odds(logit, calibration), probability=calibrate(logit, calibration))
