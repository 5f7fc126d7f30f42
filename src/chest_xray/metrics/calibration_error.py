"""Calibration error of probabilities, for many weightings of the images at once.

In all functions `label` is 0 or 1, `probability` that of 1, in [0, 1], and `logit` its finite log odds, each of shape
(images,); `weights` is how often each image counts, float64 of shape (resamples, images).
"""

from chest_xray.core.libraries import np
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


def calibration_errors(label: Array, probability: Array, weights: Array) -> Array:
    """Return the expected calibration error (ECE), over 15 bins of equal width (Guo et al. 2017).

    `label` may also be of shape (resamples, images). The error is in [0, 1], of shape (resamples,); 0 is perfect.
    """
    bins = np.minimum((probability * NUM_BINS).astype(int), NUM_BINS - 1)
    gaps = (weights * (probability - label)) @ np.eye(NUM_BINS)[bins]
    return divide_or_nan(np.abs(gaps).sum(axis=1), weights.sum(axis=1))


def compute_error_by_chance(probability: Array) -> float:
    """Return the 95th percentile of the calibration error of perfectly calibrated probabilities.

    Outcomes are drawn with these probabilities (Bröcker and Smith 2007): the error is never 0, and it is larger for
    fewer images. Images are drawn independently, even those of one patient.
    """
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
    is_drawn, is_positive = weights > 0, label == 1
    normal_low, normal_high = _find_range(logit, is_drawn & ~is_positive)
    pneumonia_low, pneumonia_high = _find_range(logit, is_drawn & is_positive)
    has_both = np.isfinite(normal_low) & np.isfinite(pneumonia_low)
    up, down = has_both & (normal_high <= pneumonia_low), has_both & (pneumonia_high <= normal_low)
    slope, intercept = (np.full(len(weights), np.nan) for _ in range(2))
    slope[up & ~down], slope[down & ~up] = np.inf, -np.inf
    is_finite = has_both & ~up & ~down
    slope[is_finite] = _fit_by_newton(label, logit, weights[is_finite], fit_slope=True)[1]
    intercept[has_both] = _fit_by_newton(label, logit, weights[has_both], fit_slope=False)[0]
    return slope, intercept


def _find_range(logit: Array, member: Array) -> tuple[Array, Array]:
    """Return the lowest and the highest logit of the members in each resample, infinite where there is none."""
    return np.where(member, logit, np.inf).min(axis=1), np.where(member, logit, -np.inf).max(axis=1)


def _fit_by_newton(label: Array, logit: Array, weights: Array, *, fit_slope: bool) -> tuple[Array, Array]:
    """Return intercept and slope of the highest likelihood; the slope stays 1 without `fit_slope`.

    Full steps may diverge; shortened as by Sun and Tran-Dinh (2019, Mathematical Programming 178:145), they converge
    from any start.
    """
    from scipy.special import expit

    intercept, slope = np.zeros(len(weights)), np.ones(len(weights))
    logit_range, observed = np.array([[logit.min()], [logit.max()]]), (weights @ label, weights @ (label * logit))
    for _ in range(NUM_STEPS):
        probability = expit(intercept[:, None] + slope[:, None] * logit)
        expected = weights * probability
        gradient = observed[0] - expected.sum(axis=1), observed[1] - expected @ logit
        variance = expected * (1 - probability)
        h00, h01, h11 = variance.sum(axis=1), variance @ logit, variance @ logit**2  # the Hessian
        if fit_slope:
            determinant = h00 * h11 - h01**2
            up = divide_or_nan(h11 * gradient[0] - h01 * gradient[1], determinant)
            steeper = divide_or_nan(h00 * gradient[1] - h01 * gradient[0], determinant)
        else:
            up, steeper = gradient[0] / h00, 0.0 * slope
        change = np.abs(up + steeper * logit_range).max(axis=0)
        if np.nan_to_num(change).max(initial=0) < TOLERANCE:
            break
        shortened = np.log1p(change) / np.maximum(change, TOLERANCE)
        intercept, slope = intercept + up * shortened, slope + steeper * shortened
    return intercept, slope
