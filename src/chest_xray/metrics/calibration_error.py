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
        Each of shape (resamples,): `log_loss` (natural logarithm, of probabilities held 1e-7 off 0 and 1), `brier` in
        [0, 1] (Brier 1950), `ece` in [0, 1], and `slope` and `intercept` of `recalibrate`.
    """
    import numpy as np
    from scipy.special import logit, xlogy

    held = np.clip(probability, MIN_PROBABILITY, 1 - MIN_PROBABILITY)
    losses = -(xlogy(label, held) + xlogy(1 - label, 1 - held))
    total = weights.sum(axis=1)
    slope, intercept = recalibrate(label, logit(held), weights)
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
    apart = (weights * (probability - label)) @ np.eye(NUM_BINS)[bins]
    return divide_or_nan(np.abs(apart).sum(axis=1), weights.sum(axis=1))


def compute_error_by_chance(probability: Array) -> float:
    """Return the 95th percentile of the calibration error of perfectly calibrated probabilities.

    Outcomes are drawn with these probabilities (Bröcker and Smith 2007): the error is never 0, and the larger the fewer
    images there are. Each image is drawn for itself, as if no two were of one patient.
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

    positive, negative = (weights[:, label == each].sum(axis=1) > 0 for each in (1, 0))
    both = positive & negative
    slope, intercept = (np.full(len(weights), np.nan) for _ in range(2))
    limit = _find_slope_at_separation(label, logit, weights)
    fits = both & (limit == 0)
    slope[both & np.isinf(limit)] = limit[both & np.isinf(limit)]
    slope[fits] = _fit_by_newton(label, logit, weights[fits], free=True)[1]
    intercept[both] = _fit_by_newton(label, logit, weights[both], free=False)[0]
    return slope, intercept


def _find_slope_at_separation(label: Array, logit: Array, weights: Array) -> Array:
    """Return the limit of the slope: infinite if the classes do not overlap, NaN if all logits are the same."""
    import numpy as np

    def find_range(truth: int) -> tuple[Array, Array]:
        member = (weights > 0) & (label == truth)
        return np.where(member, logit, np.inf).min(axis=1), np.where(member, logit, -np.inf).max(axis=1)

    (normal_low, normal_high), (pneumonia_low, pneumonia_high) = find_range(0), find_range(1)
    up, down = normal_high <= pneumonia_low, pneumonia_high <= normal_low
    return np.select([up & down, up, down], [np.nan, np.inf, -np.inf], 0.0)


def _fit_by_newton(label: Array, logit: Array, weights: Array, *, free: bool) -> tuple[Array, Array]:
    """Return intercept and slope of the highest likelihood; the slope stays 1 unless it is free.

    Steps are shortened as Sun and Tran-Dinh 2019 (Mathematical Programming 178:145) show to converge from any start:
    full ones may diverge.
    """
    import numpy as np
    from scipy.special import expit

    intercept, slope = np.zeros(len(weights)), np.ones(len(weights))
    ends, observed = np.array([[logit.min()], [logit.max()]]), (weights @ label, weights @ (label * logit))
    for _ in range(NUM_STEPS):
        probability = expit(intercept[:, None] + slope[:, None] * logit)
        expected = weights * probability
        gradient = observed[0] - expected.sum(axis=1), observed[1] - expected @ logit
        variance = expected * (1 - probability)
        step = (
            _compute_newton_step(gradient, variance, logit)
            if free
            else (gradient[0] / variance.sum(axis=1), 0.0 * slope)
        )
        moved = np.abs(step[0] + step[1] * ends).max(axis=0)
        if np.nan_to_num(moved).max(initial=0) < TOLERANCE:
            break
        shortened = np.log1p(moved) / np.maximum(moved, TOLERANCE)
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
