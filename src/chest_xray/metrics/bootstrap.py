"""How far a figure would move with other patients: the bootstrap, resampling patients and not images.

Images of one patient are alike; resampling them one by one would make intervals too narrow (Field and Welsh 2007).
"""

import math

from chest_xray.core.types import Array, DataFrame
from chest_xray.metrics.results import UNKNOWN, Interval

NUM_RESAMPLES = 2000


def resample_weights(groups: Array, seed: int) -> Array:
    """Draw patients with replacement.

    Args:
        groups: The patient of each image, shape (images,).
        seed: Same seed, same draws.

    Returns:
        How often each image counts in each resample, float64 of shape (NUM_RESAMPLES, images).
    """
    import numpy as np

    names, patient = np.unique(groups, return_inverse=True)
    times = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), size=NUM_RESAMPLES)
    return times[:, patient].astype(float)


def weighted_auc(label: Array, score: Array, weights: Array) -> Array:
    """Return the area under the ROC curve in many weightings at once, as the share of pairs in the right order.

    Ties count half (Hanley and McNeil 1982).

    Args:
        label: 0 or 1, shape (images,).
        score: Higher means more likely 1, shape (images,).
        weights: Of shape (resamples, images).

    Returns:
        float64 in [0, 1], shape (resamples,); NaN where a resample has no image of one class.
    """
    import numpy as np

    order = np.argsort(score, kind="stable")
    label, score, weights = label[order], score[order], weights[:, order]
    negatives = np.pad(np.cumsum(weights * (label == 0), axis=1), ((0, 0), (1, 0)))
    positive = np.flatnonzero(label == 1)
    below = np.searchsorted(score, score[positive], side="left")
    up_to = np.searchsorted(score, score[positive], side="right")
    right = (weights[:, positive] * (negatives[:, below] + negatives[:, up_to]) / 2).sum(axis=1)
    pairs = weights[:, positive].sum(axis=1) * negatives[:, -1]
    return np.divide(right, pairs, out=np.full(len(pairs), np.nan), where=pairs > 0)


def weighted_average_precision(label: Array, score: Array, weights: Array) -> Array:
    """Return the area under the precision-recall curve in many weightings at once, as average precision.

    No point is joined to the next by a line, which would flatter (Davis and Goadrich 2006); tied scores are one point.

    Args:
        label: 0 or 1, shape (images,).
        score: Higher means more likely 1, shape (images,).
        weights: Of shape (resamples, images).

    Returns:
        float64 in [0, 1], shape (resamples,); NaN where a resample has no image of class 1. A score without
        information has the share of class 1.
    """
    import numpy as np

    order = np.argsort(-score, kind="stable")
    label, score, weights = label[order], score[order], weights[:, order]
    ends = np.append(np.flatnonzero(np.diff(score)), len(score) - 1)
    positive = np.cumsum(weights, axis=1)[:, ends]
    right = np.cumsum(weights * label, axis=1)[:, ends]
    precision = np.divide(right, positive, out=np.zeros(positive.shape), where=positive > 0)
    gained = (np.diff(right, axis=1, prepend=0) * precision).sum(axis=1)
    return np.divide(gained, right[:, -1], out=np.full(len(right), np.nan), where=right[:, -1] > 0)


def interval(estimate: float, resampled: Array) -> Interval:
    """Join an estimate with its percentile 95% interval.

    Args:
        estimate: Of the sample itself.
        resampled: The same in each resample, shape (resamples,); those that are NaN do not count.

    Returns:
        None for what is not finite: all three where there is no estimate, one bound where the interval has no
        end on that side.
    """
    import numpy as np

    known = resampled[~np.isnan(resampled)]
    if not np.isfinite(estimate) or not len(known):
        return UNKNOWN
    with np.errstate(invalid="ignore"):  # between a number and infinity
        low, high = np.quantile(known, [0.025, 0.975]).tolist()
    return Interval(value=float(estimate), low=_finite(low), high=_finite(high))


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None


def whole_and_resamples(groups: Array, seed: int) -> Array:
    """Return the weights of the sample itself, all 1, and below them those of `resample_weights`.

    Args:
        groups: The patient of each image, shape (images,).
        seed: Same seed, same draws.

    Returns:
        float64 of shape (1 + NUM_RESAMPLES, images).
    """
    import numpy as np

    return np.vstack([np.ones(len(groups)), resample_weights(groups, seed)])


def bootstrap_auc(predictions: DataFrame, seed: int) -> Interval:
    """Return the area under the ROC curve with its 95% interval over patients.

    Args:
        predictions: `label`, `probability` and `group` of each image; both classes occur.
        seed: Of the bootstrap.

    Returns:
        In [0, 1].
    """
    weights = whole_and_resamples(predictions["group"].to_numpy(), seed)
    area = weighted_auc(predictions["label"].to_numpy(), predictions["probability"].to_numpy(), weights)
    return interval(area[0], area[1:])
