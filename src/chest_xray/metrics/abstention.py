"""Abstention and use: which images are left to a human, and how good the answers to the others are.

In all functions `predictions` has `label` (1 is PNEUMONIA) and the calibrated `log_odds` of each image; `threshold` is
on the same scale; and `weights` is how often each image counts, float64 of shape (resamples, images), the first row 1.
"""

import math

from chest_xray.core.libraries import np, pd
from chest_xray.core.types import Array, DataFrame, Result, UnitInterval
from chest_xray.images.kermany import CLASSES
from chest_xray.metrics.binary import (
    NUM_GRID_POINTS,
    compute_rates,
    count_outcomes,
    cumulate_positives,
    divide_or_nan,
    proportion,
)
from chest_xray.metrics.bootstrap import Draws, compute_in_resamples, draw_resamples
from chest_xray.metrics.operating_point import OperatingPoint
from chest_xray.metrics.results import Decisions, Estimate
from chest_xray.metrics.subgroups import estimate_share
from chest_xray.metrics.summary import Evaluation, compute_prevalence_shift, describe_decisions, estimate

ROUNDING = 1e-9
NUM_PROBABILITIES = 99  # threshold probabilities of a decision curve: 0.01 to 0.99
SIZES = ("empty", "one", "both")  # of a conformal set


class RiskCoverage(Result):
    """The area under the risk-coverage curve of test (Geifman, Uziel and El-Yaniv 2019); see docs/metrics.md."""

    area: Estimate
    by_chance: float
    best: float


class Referral(Result):
    """The referral band on test; `answered` are the other decisions, if any."""

    referred: Estimate
    errors_referred: Estimate
    answered: Decisions | None


class ConformalSets(Result):
    """Conformal sets on test; see `fit_conformal` and docs/metrics.md."""

    promised: UnitInterval
    normal_up_to: float | None
    pneumonia_from: float | None
    reached: dict[str, Estimate]
    sizes: dict[str, Estimate]


class UsefulRange(Result):
    """The threshold probabilities for which the 95% band of net benefit lies above both treat-all and treat-none.

    `by_probability`: treated are images with at least that calibrated probability; `by_decision`: those that the
    operating point classifies as PNEUMONIA. None if there is none.
    """

    prevalence: UnitInterval
    by_probability: tuple[float, float] | None
    by_decision: tuple[float, float] | None


class Abstention(Result):
    """What `measure_abstention` found on test; `referral` is None without a band."""

    num_images: int
    risk_coverage: RiskCoverage
    referral: Referral | None
    conformal: ConformalSets
    useful: list[UsefulRange]


def measure_abstention(
    validation: DataFrame, test: DataFrame, operating_point: OperatingPoint, options: Evaluation
) -> tuple[Abstention, DataFrame]:
    """Measure on test what abstention gains, and for which threshold probabilities the network is useful.

    Conformal sets are fitted to the unaltered `validation` images; `test` also has `path` and `group` (the patient).

    Returns:
        The results, and the curves of `trace_risk_coverage` and `trace_net_benefit`.
    """
    draws, threshold = draw_resamples(test, options.block_length, options.seed), operating_point.chosen.log_odds
    benefit = trace_net_benefit(test, operating_point, options, draws)
    useful = [
        UsefulRange(prevalence=prevalence, **{str(name): find_useful(curve) for name, curve in curves.groupby("curve")})
        for prevalence, curves in benefit.groupby("prevalence")
    ]
    abstention = Abstention(
        num_images=len(test),
        risk_coverage=_measure_risk_coverage(test, threshold, draws),
        referral=measure_referral(test, operating_point, options.realistic_prevalence, draws),
        conformal=measure_conformal(test, fit_conformal(validation, options.conformal_coverage), options, draws),
        useful=useful,
    )
    return abstention, pd.concat([trace_risk_coverage(test, threshold, draws["patients"]), benefit], ignore_index=True)


def compute_risk_coverage(predictions: DataFrame, threshold: float, weights: Array) -> tuple[Array, Array]:
    """Return the accuracy of the images that are farthest from the threshold (El-Yaniv and Wiener 2010).

    Returns:
        Coverage, the share of images that are answered, from few to all; and the accuracy among them, NaN where none
        is; both of shape (resamples, distinct distances). Images at the same distance are answered together.
    """
    log_odds = predictions["log_odds"].to_numpy()
    is_correct = (log_odds >= threshold) == predictions["label"].to_numpy()
    wrong, correct = (counts[:, 1:] for counts in cumulate_positives(is_correct, np.abs(log_odds - threshold), weights))
    answered = wrong + correct
    return answered / answered[:, -1:], divide_or_nan(correct, answered)


def _measure_risk_coverage(test: DataFrame, threshold: float, draws: Draws) -> RiskCoverage:
    areas = {}
    for method, weights in draws.items():
        coverage, accuracy = compute_risk_coverage(test, threshold, weights)
        areas[method] = np.nansum(np.diff(coverage, axis=1, prepend=0) * (1 - accuracy), axis=1)
    num = len(test)
    num_errors = int(((test["log_odds"] >= threshold) != test["label"]).sum())
    num_answered = np.arange(1, num + 1)
    best = float((np.clip(num_answered - (num - num_errors), 0, None) / num_answered).mean())
    return RiskCoverage(area=estimate(areas, num), by_chance=num_errors / num, best=best)


def trace_risk_coverage(predictions: DataFrame, threshold: float, weights: Array) -> DataFrame:
    """Return the accuracy by coverage as a curve "risk_coverage" with its 95% band.

    As `chest_xray.metrics.binary.compute_rank_curves`, with one row per distinct distance from the threshold.
    """
    coverage, accuracy = compute_risk_coverage(predictions, threshold, weights)
    grid = np.linspace(0, 1, NUM_GRID_POINTS)
    resampled = [
        np.interp(grid, x[~np.isnan(y)], y[~np.isnan(y)]) for x, y in zip(coverage[1:], accuracy[1:], strict=True)
    ]
    low, high = (np.interp(coverage[0], grid, bound) for bound in np.percentile(resampled, [2.5, 97.5], axis=0))
    return pd.DataFrame({"curve": "risk_coverage", "x": coverage[0], "value": accuracy[0], "low": low, "high": high})


def measure_referral(
    test: DataFrame, operating_point: OperatingPoint, prevalence: float, draws: Draws
) -> Referral | None:
    """Measure how many images the band refers, how many of the errors, and how good the other decisions are.

    `prevalence` is for the predictive values. None without a band.
    """
    if operating_point.band is None:
        return None
    label, log_odds = test["label"].to_numpy(), test["log_odds"].to_numpy()
    chosen, is_referred = operating_point.chosen, operating_point.find_referred(log_odds)
    decision = log_odds >= chosen.log_odds
    answered, is_answered = None, ~is_referred
    if is_answered.any():
        decided = label[is_answered], decision[is_answered]
        measured = compute_in_resamples(
            lambda weights: compute_rates(count_outcomes(*decided, weights[:, is_answered]), prevalence), draws
        )
        answered = describe_decisions(*decided, {"threshold": chosen.threshold, "log_odds": chosen.log_odds}, measured)
    return Referral(
        referred=estimate_share(is_referred, label >= 0, draws),
        errors_referred=estimate_share(is_referred, decision != label, draws),
        answered=answered,
    )


def fit_conformal(validation: DataFrame, coverage: float) -> tuple[float, float]:
    """Fit class-conditional (Mondrian) split conformal sets (Vovk 2013; Sadinle, Lei and Wasserman 2019).

    The set of an image contains NORMAL up to one limit of the log odds and PNEUMONIA from another: for each class the
    quantile of its validation images of rank ceil((n + 1) coverage), from the safe side. If validation and new images
    of a class are exchangeable, the set of a new image contains its class with at least the probability `coverage`, on
    average over validation sets. Images of another hospital, or of the same patients, are not exchangeable: the
    coverage that is reached has to be measured.

    Args:
        validation: Images that the network was not trained on; only increasing functions of the logit, such as the
            calibration, may have been fitted to them.
        coverage: In (0, 1), of each class.

    Returns:
        The highest log odds with NORMAL in the set, and the lowest with PNEUMONIA; infinite where a class has too few
        images for the coverage.
    """
    limits = []
    for label, sign in ((0, 1), (1, -1)):
        nonconformity = np.sort(sign * validation["log_odds"][validation["label"] == label].to_numpy())
        rank = math.ceil((len(nonconformity) + 1) * coverage - ROUNDING)
        limits.append(sign * (float(nonconformity[rank - 1]) if rank <= len(nonconformity) else math.inf))
    return limits[0], limits[1]


def measure_conformal(test: DataFrame, limits: tuple[float, float], options: Evaluation, draws: Draws) -> ConformalSets:
    """Measure the coverage of conformal sets in each class of test, and their sizes."""
    label, log_odds = test["label"].to_numpy(), test["log_odds"].to_numpy()
    contains = {CLASSES[0]: log_odds <= limits[0], CLASSES[1]: log_odds >= limits[1]}
    size = np.sum(list(contains.values()), axis=0)
    reached = {name: estimate_share(contains[name], label == truth, draws) for truth, name in enumerate(CLASSES)}
    normal_up_to, pneumonia_from = (limit if math.isfinite(limit) else None for limit in limits)
    return ConformalSets(
        promised=options.conformal_coverage,
        normal_up_to=normal_up_to,
        pneumonia_from=pneumonia_from,
        reached=reached,
        sizes={name: estimate_share(size == num_classes, label >= 0, draws) for num_classes, name in enumerate(SIZES)},
    )


def trace_net_benefit(
    predictions: DataFrame, operating_point: OperatingPoint, options: Evaluation, draws: Draws
) -> DataFrame:
    """Return decision curves: the net benefit of treating those whom the network selects (Vickers and Elkin 2006).

    Net benefit is sensitivity * prevalence - (1 - specificity) * (1 - prevalence) * p / (1 - p): the share of children
    who are correctly treated, less a penalty for those treated needlessly. The threshold probability p is that from
    which one would treat: (1 - p) / p healthy children treated needlessly cancel one correctly treated child. At every
    prevalence the sensitivity and specificity of these images are assumed, and probabilities are adjusted to it
    (Saerens et al. 2002). The effect of a treatment, and what else is known of a child, are not considered.

    Returns:
        One row per curve, prevalence and threshold probability: `curve`, "by_probability" or "by_decision" (see
        `UsefulRange`); `prevalence`; `x`, the threshold probability; `value`; and `low` and `high`, a pointwise 95%
        band. It spans the percentile intervals of all methods and the interval of Zou and Donner (2008) from Wilson's
        for both shares, as resamples of a share without errors show no uncertainty.
    """
    from scipy.special import logit

    log_odds = predictions["log_odds"].to_numpy()[:, None]
    grid = np.arange(1, NUM_PROBABILITIES + 1) / (NUM_PROBABILITIES + 1)
    is_class = [predictions["label"].to_numpy()[:, None] == label for label in (0, 1)]
    # Resamples without one of the classes are left out.
    complete = [draw[np.all([draw @ member[:, 0] > 0 for member in is_class], axis=0)] for draw in draws.values()]
    tables = []
    for prevalence in options.decision_prevalences:
        shift = compute_prevalence_shift(prevalence, operating_point.calibration)
        factors = np.stack([(prevalence - 1) * grid / (1 - grid), np.full(NUM_PROBABILITIES, prevalence)])
        thresholds = {"by_probability": logit(grid) - shift, "by_decision": operating_point.chosen.log_odds}
        for name, threshold in thresholds.items():
            columns = _trace_benefit(log_odds >= threshold, is_class, factors, complete)
            tables.append(pd.DataFrame({"curve": name, "prevalence": prevalence, "x": grid, **columns}))
    return pd.concat(tables)


def _trace_benefit(is_treated: Array, is_class: list[Array], factors: Array, draws: list[Array]) -> dict[str, Array]:
    """Return `value`, `low` and `high` of the net benefit: the sum of the share treated of each class times a factor.

    Args:
        is_treated: bool of shape (images, grid), or (images, 1) if it does not depend on the threshold probability.
        is_class: For each class, which images belong to it, bool of shape (images, 1).
        factors: Of each class at each threshold probability, shape (classes, grid).
        draws: Weights of the resamples of each method; all have images of both classes.
    """
    wilson = []
    for member in is_class:
        treated = [proportion(int(num), int(member.sum())) for num in is_treated[member[:, 0]].sum(axis=0)]
        wilson.append([(share.value, share.low, share.high) for share in treated])
    shares, lows, highs = np.moveaxis(np.array(wilson, float), -1, 0)
    ends = factors * (lows - shares), factors * (highs - shares)
    below, above = (np.sqrt((side(*ends) ** 2).sum(axis=0)) for side in (np.minimum, np.maximum))
    value = (shares * factors).sum(axis=0)
    bounds = [(value - below, value + above)]  # Zou and Donner 2008
    for weights in draws:
        resampled = np.stack([weights @ (is_treated & member) / (weights @ member) for member in is_class])
        benefit = (resampled * factors[:, None]).sum(axis=0)
        bounds.append(tuple(np.percentile(benefit[1:], [2.5, 97.5], axis=0)))
    return {"value": value, "low": np.min(bounds, axis=(0, 1)), "high": np.max(bounds, axis=(0, 1))}


def treat_all(probabilities: Array, prevalence: float) -> Array:
    """Return the net benefit of treating everyone, at each threshold probability; that of treating no one is 0."""
    return prevalence - (1 - prevalence) * probabilities / (1 - probabilities)


def find_useful(curve: DataFrame) -> tuple[float, float] | None:
    """Return the longest range of threshold probabilities whose band lies above treat-all and treat-none, or None."""
    grid, prevalence = curve["x"].to_numpy(), float(curve["prevalence"].iloc[0])
    is_useful = curve["low"].to_numpy() > np.maximum(treat_all(grid, prevalence), 0)
    runs = np.split(np.arange(len(grid)), np.flatnonzero(np.diff(is_useful)) + 1)
    longest = max(runs, key=lambda run: is_useful[run].sum())
    return (float(grid[longest[0]]), float(grid[longest[-1]])) if is_useful[longest[0]] else None
