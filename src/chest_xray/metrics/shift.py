"""The shift of a batch of images against the validation images: a two-sample test that allows for prevalence.

A batch with less PNEUMONIA has other scores and other sizes without any change of device or place. It is therefore
compared with that mixture of NORMAL and PNEUMONIA validation images which fits its scores best (label shift, Saerens,
Latinne and Decaestecker 2002; Lipton, Wang and Smola 2018), and only what remains counts as a shift.
"""

import math
from typing import Annotated, Literal

from pydantic import Field

from chest_xray.core.libraries import np
from chest_xray.core.types import Array, DataFrame, Options, Result, UnitInterval
from chest_xray.metrics.operating_point import Share
from chest_xray.metrics.subgroups import measure_shape

NUM_QUANTILES = 200  # of each class; the distance of Kolmogorov and Smirnov is then exact to a quarter of a percent
SCORE = "probability"  # the prevalence is estimated from it
MEASURES = (SCORE, "ood_score", "brightness", "grey_deviation", "sharpness", "size", "aspect")
NUM_PREVALENCES = 101  # from 0 to 1 that are tried

Verdict = Literal["alike", "different", "too_few"]


class ShiftRule(Options):
    """When a batch counts as different: in some measure, by a distance of at least `max_distance` beyond chance.

    Of batches that do not differ, at most the share `significance` counts as different, over all measures together.
    """

    max_distance: UnitInterval
    significance: UnitInterval


class ClassReference(Result):
    """Validation images of one class, with the quantiles of each of `MEASURES`."""

    num_images: Annotated[int, Field(ge=1)]
    quantiles: dict[str, list[float]]


class Reference(Result):
    """The validation images that batches are compared with, without the images, and the rule of the comparison."""

    rule: ShiftRule
    normal: ClassReference
    pneumonia: ClassReference


class MeasureShift(Result):
    """One measure of a batch against the reference.

    `distance` is the largest difference of the two distribution functions (Kolmogorov and Smirnov, 0 to 1), and `p` how
    often chance alone makes one as large. `auc` is the chance that an image of the batch has the larger value (0.5: no
    tendency). `expected_median` is that of the reference at the prevalence of the batch.
    """

    measure: str
    num_images: int
    median: float
    expected_median: float
    distance: Share
    auc: Share
    p: Share
    verdict: Verdict


class Shift(Result):
    """A batch against the reference; `prevalence` is estimated from its scores, None without any."""

    verdict: Verdict
    prevalence: Share | None
    min_images: int | None  # from which a distance of `max_distance` would be noticed; None: the reference is too small
    rule: ShiftRule
    measures: list[MeasureShift]


def add_size(images: DataFrame) -> DataFrame:
    """Add `size`, the side of a square of the same area in pixels, and `aspect`, width over height."""
    return images.assign(**{name: measure_shape(images, name) for name in ("size", "aspect")})


def describe_reference(values: DataFrame, rule: ShiftRule) -> Reference:
    """Summarise validation images by quantiles; `values` has `label` (1: PNEUMONIA) and each of `MEASURES`."""
    levels = (np.arange(NUM_QUANTILES) + 0.5) / NUM_QUANTILES
    classes = []
    for label in (0, 1):
        images = values[values["label"] == label]
        quantiles = {name: np.quantile(images[name].dropna().to_numpy(float), levels).tolist() for name in MEASURES}
        classes.append(ClassReference(num_images=len(images), quantiles=quantiles))
    return Reference(rule=rule, normal=classes[0], pneumonia=classes[1])


def compare_with_reference(values: DataFrame, reference: Reference) -> Shift:
    """Compare a batch with the reference, measure by measure.

    Args:
        values: One row per image, with each of `MEASURES`; missing values are ignored.
        reference: From `describe_reference`; `brightness` and `grey_deviation` are left out if it lacks them.
    """
    available = reference.normal.quantiles
    by_measure = {name: np.sort(values[name].dropna().to_numpy(float)) for name in MEASURES if name in available}
    prevalence = estimate_prevalence(by_measure[SCORE], reference) if len(by_measure[SCORE]) else None
    num_normal, num_pneumonia = reference.normal.num_images, reference.pneumonia.num_images
    mixture = num_pneumonia / (num_normal + num_pneumonia) if prevalence is None else prevalence
    min_images = _compute_min_images(reference, mixture)
    shifts = [_compare(name, batch, reference, mixture, min_images) for name, batch in by_measure.items() if len(batch)]
    verdicts = {shift.verdict for shift in shifts}
    verdict: Verdict = "alike" if verdicts == {"alike"} else "too_few"
    return Shift(
        verdict="different" if "different" in verdicts else verdict,
        prevalence=prevalence,
        min_images=min_images,
        rule=reference.rule,
        measures=shifts,
    )


def estimate_prevalence(scores: Array, reference: Reference) -> float:
    """Return the share of PNEUMONIA with which the reference fits the sorted scores of a batch best, in [0, 1]."""
    shares = np.linspace(0, 1, NUM_PREVALENCES)
    distances = [_measure_distance(scores, SCORE, reference, share) for share in shares]
    return float(shares[int(np.argmin(distances))])


def _compare(name: str, values: Array, reference: Reference, prevalence: float, min_images: int | None) -> MeasureShift:
    from scipy.special import kolmogorov

    rule, num = reference.rule, len(values)
    distance = _measure_distance(values, name, reference, prevalence)
    p = float(kolmogorov(distance / np.sqrt(1 / num + 1 / _compute_effective_size(reference, prevalence))))
    quantiles = _read_quantiles(name, reference)
    below = [_cumulate(quantiles, values, prevalence, side) for side in ("left", "right")]
    is_alike = distance < rule.max_distance and min_images is not None and num >= min_images
    verdict: Verdict = "alike" if is_alike else "too_few"
    if distance >= rule.max_distance and p < _correct_significance(reference):
        verdict = "different"
    pooled = np.sort(np.concatenate(quantiles))
    median_index = np.searchsorted(_cumulate(quantiles, pooled, prevalence, "right"), 0.5)
    return MeasureShift(
        measure=name,
        num_images=num,
        median=float(np.median(values)),
        expected_median=float(pooled[median_index]),
        distance=distance,
        auc=float(np.mean(below)),
        p=p,
        verdict=verdict,
    )


def _measure_distance(values: Array, name: str, reference: Reference, prevalence: float) -> float:
    """Return the largest difference of the distribution functions of sorted values and of the mixed reference."""
    quantiles = _read_quantiles(name, reference)
    points = np.concatenate([values, *quantiles])
    batch_shares = np.searchsorted(values, points, side="right") / len(values)
    return float(np.abs(batch_shares - _cumulate(quantiles, points, prevalence, "right")).max())


def _cumulate(
    quantiles: tuple[Array, Array], values: Array, prevalence: float, side: Literal["left", "right"]
) -> Array:
    """Return the share of the mixed reference below each value, or up to it with "right"."""
    normal, pneumonia = (np.searchsorted(reference, values, side=side) / len(reference) for reference in quantiles)
    return np.asarray((1 - prevalence) * normal + prevalence * pneumonia)


def _read_quantiles(name: str, reference: Reference) -> tuple[Array, Array]:
    return np.array(reference.normal.quantiles[name]), np.array(reference.pneumonia.quantiles[name])


def _compute_effective_size(reference: Reference, prevalence: float) -> float:
    """Return the effective sample size of the mixture: how many images of one kind vary as much."""
    return 1 / ((1 - prevalence) ** 2 / reference.normal.num_images + prevalence**2 / reference.pneumonia.num_images)


def _correct_significance(reference: Reference) -> float:
    """Return the significance of one measure, by Bonferroni, at which all of them together have that of the rule."""
    return reference.rule.significance / len(reference.normal.quantiles)


def _compute_min_images(reference: Reference, prevalence: float) -> int | None:
    """Return the number of images from which a distance of `max_distance` is beyond chance."""
    from scipy.special import kolmogi

    joint_size = (float(kolmogi(_correct_significance(reference))) / reference.rule.max_distance) ** 2
    inverse = 1 / joint_size - 1 / _compute_effective_size(reference, prevalence)
    return math.ceil(1 / inverse) if inverse > 0 else None
