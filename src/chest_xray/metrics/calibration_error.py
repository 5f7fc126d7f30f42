"""Calibration error of probabilities, for many weightings of the images at once.

In all functions `label` is 0 or 1, `probability` that of 1, in [0, 1], and `logit` its finite log odds, each of shape
(images,); `weights` is how often each image counts, float64 of shape (resamples, images).
"""

from chest_xray.core.types import Array
from chest_xray.metrics.binary import divide_or_nan
from chest_xray.metrics.bootstrap import NUM_RESAMPLES

NUM_BINS = 15
MIN_PROBABILITY = 1e-7  # of any outcome, so that no single error makes the loss infinite
NUM_STEPS = 200  # of Newton's method; five are enough for most
TOLERANCE = 1e-11  # where no log odds move by more than this, it has converged


def score_probabilities(label: Array, probability: Array, weights: Array) -> dict[str, Array]:
    """Compute the metrics of calibration.

    Returns:
        Each of shape (resamples,): `log_loss` (natural logarithm, of probabilities clipped to [1e-7, 1 - 1e-7]),
        `brier` in [0, 1] (Brier 1950), `ece` in [0, 1], and `slope` and `intercept` of `recalibrate`.
    """
    import numpy as np
    from scipy.special import logit, xlogy

    clipped = np.clip(probability, MIN_PROBABILITY, 1 - MIN_PROBABILITY)
    losses = -(xlogy(label, clipped) + xlogy(1 - label, 1 - clipped))
    total = weights.sum(axis=1)
    slope, intercept = recalibrate(label, logit(clipped), weights)
    return {
        "log_loss": divide_or_nan(weights @ losses, total),
        "brier": divide_or_nan(weights @ (probability - label) ** 2, total),
        "ece": calibration_errors(label, probability, weights),
        "slope": slope,
        "intercept": intercept,
    }


def expected_calibration_error(label: Array, probability: Array) -> float:
    """Return the error of `calibration_errors` for the images themselves."""
    import numpy as np

    return float(calibration_errors(label, probability, np.ones((1, len(label))))[0])


def calibration_errors(label: Array, probability: Array, weights: Array) -> Array:
    """Return the expected calibration error (ECE), over 15 bins of equal width (Guo et al. 2017).

    `label` may also be of shape (resamples, images). The error is in [0, 1], of shape (resamples,); 0 is perfect.
    """
    import numpy as np

    bins = np.minimum((probability * NUM_BINS).astype(int), NUM_BINS - 1)
    gaps = (weights * (probability - label)) @ np.eye(NUM_BINS)[bins]
    return divide_or_nan(np.abs(gaps).sum(axis=1), weights.sum(axis=1))


def compute_error_by_chance(probability: Array) -> float:
    """Return the 95th percentile of the calibration error of perfectly calibrated probabilities.

    Outcomes are drawn with these probabilities (Bröcker and Smith 2007): the error is never 0, and it is larger for
    fewer images. Images are drawn independently, even those of one patient.
    """
    import numpy as np

    outcomes = np.random.default_rng(0).random((NUM_RESAMPLES, len(probability))) < probability
    errors = calibration_errors(outcomes, probability, np.ones(outcomes.shape))
    return float(np.quantile(errors, 0.95))


def recalibrate(label: Array, logit: Array, weights: Array) -> tuple[Array, Array]:
    """Fit the slope and the intercept that would recalibrate log odds (Cox 1958; Van Calster et al. 2019).

    Returns:
        Slope of the logistic regression of the label on the logit: 1 where probabilities are calibrated, below 1 where
        they are too near to 0 and 1, infinite where a threshold separates the classes without error. And the intercept
        where the slope is held at 1: 0 where probabilities are calibrated, above 0 where they are too low. Both NaN
        where one class is absent, the slope also where all logits are the same; shape (resamples,).
    """
    import numpy as np

    has_positive, has_negative = (weights[:, label == truth].sum(axis=1) > 0 for truth in (1, 0))
    has_both = has_positive & has_negative
    slope, intercept = (np.full(len(weights), np.nan) for _ in range(2))
    limit = _find_slope_at_separation(label, logit, weights)
    is_infinite, is_finite = has_both & np.isinf(limit), has_both & (limit == 0)
    slope[is_infinite] = limit[is_infinite]
    slope[is_finite] = _fit_by_newton(label, logit, weights[is_finite], fit_slope=True)[1]
    intercept[has_both] = _fit_by_newton(label, logit, weights[has_both], fit_slope=False)[0]
    return slope, intercept


def _find_slope_at_separation(label: Array, logit: Array, weights: Array) -> Array:
    """Return the slope where no finite one fits (infinite: no overlap of classes; NaN: equal logits), elsewhere 0."""
    import numpy as np

    def find_range(label_value: int) -> tuple[Array, Array]:
        member = (weights > 0) & (label == label_value)
        return np.where(member, logit, np.inf).min(axis=1), np.where(member, logit, -np.inf).max(axis=1)

    (normal_low, normal_high), (pneumonia_low, pneumonia_high) = find_range(0), find_range(1)
    up, down = normal_high <= pneumonia_low, pneumonia_high <= normal_low
    return np.select([up & down, up, down], [np.nan, np.inf, -np.inf], 0.0)


def _fit_by_newton(label: Array, logit: Array, weights: Array, *, fit_slope: bool) -> tuple[Array, Array]:
    """Return intercept and slope of the highest likelihood; the slope stays 1 without `fit_slope`.

    Full steps may diverge; shortened as by Sun and Tran-Dinh (2019, Mathematical Programming 178:145), they converge
    from any start.
    """
    import numpy as np
    from scipy.special import expit

    intercept, slope = np.zeros(len(weights)), np.ones(len(weights))
    logit_range, observed = np.array([[logit.min()], [logit.max()]]), (weights @ label, weights @ (label * logit))
    for _ in range(NUM_STEPS):
        probability = expit(intercept[:, None] + slope[:, None] * logit)
        expected = weights * probability
        gradient = observed[0] - expected.sum(axis=1), observed[1] - expected @ logit
        variance = expected * (1 - probability)
        step = (
            _compute_newton_step(gradient, variance, logit)
            if fit_slope
            else (gradient[0] / variance.sum(axis=1), 0.0 * slope)
        )
        change = np.abs(step[0] + step[1] * logit_range).max(axis=0)
        if np.nan_to_num(change).max(initial=0) < TOLERANCE:
            break
        shortened = np.log1p(change) / np.maximum(change, TOLERANCE)
        intercept, slope = intercept + step[0] * shortened, slope + step[1] * shortened
    return intercept, slope


def _compute_newton_step(gradient: tuple[Array, Array], variance: Array, logit: Array) -> tuple[Array, Array]:
    """Return Newton's step: the inverse of the 2 x 2 Hessian times the gradient, NaN where it is singular."""
    h00, h01, h11 = variance.sum(axis=1), variance @ logit, variance @ logit**2
    determinant = h00 * h11 - h01**2
    return (
        divide_or_nan(h11 * gradient[0] - h01 * gradient[1], determinant),
        divide_or_nan(h00 * gradient[1] - h01 * gradient[0], determinant),
    )
