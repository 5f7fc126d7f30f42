"""How well predictions agree with labels, at thresholds and over all of them, with 95% intervals.

The types are in `chest_xray.metrics.results`. In all functions `predictions` has one row per image, with `label` (1 is
PNEUMONIA), `logit`, `probability` and `calibrated`, as the node `predict_test` returns it; `operating_point` was chosen
on corrupted validation; and `weights` is how often each image counts, float64 of shape (resamples, images).
"""

import logging
from collections.abc import Mapping
from typing import Annotated, TypeVar

from pydantic import Field

from chest_xray.core.options import InputError, Options, Seed, UnitInterval
from chest_xray.core.types import Array, DataFrame
from chest_xray.metrics.binary import PROPORTIONS, compute_rates, count_outcomes, proportions
from chest_xray.metrics.bootstrap import interval, weighted_auc, weighted_average_precision
from chest_xray.metrics.calibration_error import LEAST, error_by_chance, score_probabilities
from chest_xray.metrics.operating_point import Calibration, OperatingPoint
from chest_xray.metrics.results import (
    CalibrationErrors,
    CalibrationMetrics,
    CountedDecisions,
    Decisions,
    Estimate,
    Gap,
    Interval,
    OtherDecisions,
    Rates,
    Stratum,
    SubsetMetrics,
)

logger = logging.getLogger(__name__)
SCHEMA_VERSION = 2  # of the JSON; 1 had no such key
PLAIN_THRESHOLD = 0.5  # the usual threshold on a sigmoid
POINTS = ("at_half", "at_chosen", "at_other")
Measure = TypeVar("Measure")


class Evaluation(Options):
    """How the test split is evaluated."""

    seed: Seed
    realistic_prevalence: UnitInterval
    aspect_cuts: tuple[Annotated[float, Field(gt=0)], ...]
    size_quantiles: tuple[UnitInterval, ...]


def list_thresholds(operating_point: OperatingPoint) -> dict[str, float]:
    """Return the threshold of each of `POINTS`: one half, the one that decides, and that of the other rule."""
    other = operating_point.points[operating_point.other_rule]
    thresholds = (PLAIN_THRESHOLD, operating_point.threshold, other.threshold)
    return dict(zip(POINTS, thresholds, strict=True))


def measure(
    predictions: DataFrame, operating_point: OperatingPoint, prevalence: float, weights: Array
) -> dict[str, Array]:
    """Compute every metric that is no plain share, in every resample.

    Args:
        predictions: Of both classes.
        operating_point: Its points.
        prevalence: Realistic share of PNEUMONIA, in (0, 1).
        weights: Those of the resamples.

    Returns:
        By dotted name, each of shape (resamples,): `auc`, `pr_auc`, `calibration.slope` and so on (see
        `score_probabilities`), `at_chosen.f1` and so on for each of `POINTS` (see `compute_rates`).
    """
    label, probability, calibrated = (predictions[name].to_numpy() for name in ("label", "probability", "calibrated"))
    measured = measure_ranking(label, probability, weights)
    for name, values in score_probabilities(label, calibrated, weights).items():
        measured[f"calibration.{name}"] = values
    for at, threshold in list_thresholds(operating_point).items():
        for name, values in compute_rates(count_outcomes(label, probability >= threshold, weights), prevalence).items():
            measured[f"{at}.{name}"] = values
    return measured


def measure_ranking(label: Array, score: Array, weights: Array) -> dict[str, Array]:
    """Compute `auc` and `pr_auc` of a score in every resample; see `weighted_auc` for the arguments."""
    return {"auc": weighted_auc(label, score, weights), "pr_auc": weighted_average_precision(label, score, weights)}


def summarise(
    predictions: DataFrame, operating_point: OperatingPoint, measured: dict[str, Array], strata: list[Stratum]
) -> SubsetMetrics:
    """Return all metrics of one subset.

    `measured` is from `measure`, of the images themselves and then of resamples; `strata` from `stratify`.
    """
    from sklearn.metrics import log_loss

    label, probability = predictions["label"].to_numpy(), predictions["probability"].to_numpy()
    thresholds = list_thresholds(operating_point)
    points = {at: describe_decisions(predictions, cut, _below(measured, at)) for at, cut in thresholds.items()}
    calibration = CalibrationMetrics(
        **{name: estimate(each, len(label)) for name, each in _below(measured, "calibration").items()},
        ece_by_chance=error_by_chance(predictions["calibrated"].to_numpy()),
        shift_of_prevalence=_shift_of_prevalence(label.mean(), operating_point.calibration),
    )
    return SubsetMetrics(
        num_images=len(label),
        num_groups=int(predictions["group"].nunique()),
        prevalence=float(label.mean()),
        loss=float(log_loss(label, probability.astype("float32").clip(LEAST, 1 - LEAST).astype(float))),
        auc=estimate(measured["auc"], len(label)),
        pr_auc=estimate(measured["pr_auc"], len(label)),
        brier=calibration.brier.known,
        ece=calibration.ece.known,
        calibration=calibration,
        at_half=points["at_half"],
        at_chosen=points["at_chosen"],
        at_other=OtherDecisions(rule=operating_point.other_rule, **dict(points["at_other"])),
        sensitivity_by_aetiology={each.name: each.sensitivity for each in strata if each.by == "aetiology"},
        strata=strata,
    )


def count_decisions(predictions: DataFrame, threshold: float) -> CountedDecisions:
    """Count right and wrong decisions, where an image is classified as PNEUMONIA from this probability on."""
    from sklearn.metrics import confusion_matrix

    cells = confusion_matrix(predictions["label"], predictions["probability"] >= threshold, labels=[0, 1]).ravel()
    counts = dict(zip(("tn", "fp", "fn", "tp"), cells.tolist(), strict=True))
    return CountedDecisions(threshold=threshold, **counts, **dict(proportions(counts)))


def describe_decisions(predictions: DataFrame, threshold: float, measured: dict[str, Array]) -> Decisions:
    """Return `count_decisions` with the metrics that are no plain proportions and their bootstrap intervals.

    `measured` is from `compute_rates`, of the images themselves and then of resamples.
    """
    rest = {name: estimate(each, len(predictions)) for name, each in measured.items() if name not in PROPORTIONS}
    return Decisions(**dict(count_decisions(predictions, threshold)), **rest)


def estimate(measured: Array, num: int) -> Estimate:
    """Return a metric with its 95% interval; see `chest_xray.metrics.bootstrap.interval`.

    Args:
        measured: The metric of the images themselves, then of each resample, float64 of shape (1 + resamples,).
        num: Number of images.
    """
    return interval(measured[0], measured[1:]).with_n(num)


def measure_gap(validation: dict[str, Array], test: dict[str, Array]) -> Gap:
    """Return by how much each metric is larger on test than on validation.

    Args:
        validation: From `measure`.
        test: The same of test, resampled independently of validation, as their patients differ.
    """
    import numpy as np

    with np.errstate(invalid="ignore"):  # infinite on both sides
        changes = {name: values - validation[name] for name, values in test.items()}
    found = {name: interval(change[0], change[1:]) for name, change in changes.items()}
    return Gap(
        auc=found["auc"],
        pr_auc=found["pr_auc"],
        calibration=CalibrationErrors[Interval](**_below(found, "calibration")),
        **{at: Rates[Interval](**_below(found, at)) for at in POINTS},
    )


def _below(measured: Mapping[str, Measure], where: str) -> dict[str, Measure]:
    return {name.removeprefix(f"{where}."): each for name, each in measured.items() if name.startswith(f"{where}.")}


def _shift_of_prevalence(prevalence: float, calibration: Calibration) -> float:
    """Log odds by which the intercept moves where PNEUMONIA is more frequent than the calibration expects."""
    from scipy.special import logit

    return float(logit(prevalence) - logit(calibration.expected_prevalence))


def require_both_classes(predictions: DataFrame, subset: str) -> None:
    """Refuse predictions from which no metric can be computed; `subset` is named in the message.

    Raises:
        InputError: The images are all of one class, or a probability is not a number.
    """
    for name in ("probability", "calibrated"):
        missing = int(predictions[name].isna().sum())
        if missing:
            raise InputError(
                f"received {missing} probabilities that are no numbers of {len(predictions)} ({subset}, {name}); "
                "expected values in [0, 1]. Train again: the weights of this model are broken."
            )
    counts = predictions["label"].value_counts().to_dict()
    if len(counts) < 2:
        raise InputError(
            f"received {subset} images of one class alone (label: images {counts}); expected NORMAL and PNEUMONIA. Put "
            "the missing class into its folder, or change the split, and run data_processing again."
        )


def log_metrics(test: SubsetMetrics) -> None:
    """Log the metrics that readers look for first."""
    point = test.at_chosen
    logger.info(
        "Test: %d images, threshold %.3f, accuracy %.3f, sensitivity %.3f, specificity %.3f, AUC %.3f",
        *(test.num_images, point.threshold, point.accuracy.value, point.sensitivity.value),
        *(point.specificity.value, test.auc.value),
    )


def measure_condition(
    predictions: DataFrame, operating_point: OperatingPoint, weights: Array
) -> dict[str, float | None]:
    """Compute the metrics that are reported of one condition.

    Returns:
        `n`, `threshold`, and each metric with its interval in three columns; see `measure_robustness`.
    """
    import numpy as np

    label, logit = predictions["label"].to_numpy(), predictions["logit"].to_numpy(float)
    whole = weighted_auc(label, logit, np.ones((1, len(label))))[0]
    found = count_decisions(predictions, operating_point.threshold)
    measured: dict[str, Interval] = {name: getattr(found, name) for name in ("accuracy", "sensitivity", "specificity")}
    measured["auc"] = interval(whole, weighted_auc(label, logit, weights))
    columns: dict[str, float | None] = {}
    for name, each in measured.items():
        columns |= {name: each.value, f"{name}_low": each.low, f"{name}_high": each.high}
    return {"n": len(predictions), "threshold": found.threshold, **columns}
