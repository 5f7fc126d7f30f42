"""Metrics of decisions at one threshold, computed from confusion counts, for many weightings of the images at once."""

from functools import cache

from chest_xray.core.types import Array
from chest_xray.metrics.results import UNKNOWN, Estimate, Shares

PROPORTIONS = {  # the cells of the confusion matrix in the numerator and in the denominator
    "accuracy": (("tn", "tp"), ("tn", "fp", "fn", "tp")),
    "sensitivity": (("tp",), ("tp", "fn")),
    "specificity": (("tn",), ("tn", "fp")),
    "precision": (("tp",), ("tp", "fp")),
    "npv": (("tn",), ("tn", "fn")),
}


def count_outcomes(label: Array, decision: Array, weights: Array) -> dict[str, Array]:
    """Count the cells of the confusion matrix.

    Args:
        label: 0 or 1 (PNEUMONIA), shape (images,).
        decision: True where an image is classified as PNEUMONIA, shape (images,).
        weights: How often each image counts, float64 of shape (resamples, images).

    Returns:
        `tn`, `fp`, `fn`, `tp`, each float64 of shape (resamples,).
    """
    import numpy as np

    cells = {"tn": (0, False), "fp": (0, True), "fn": (1, False), "tp": (1, True)}
    member = np.stack([(label == truth) & (decision == predicted) for truth, predicted in cells.values()], axis=1)
    return dict(zip(cells, (weights @ member.astype(float)).T, strict=True))


def compute_rates(counts: dict[str, Array], prevalence: float) -> dict[str, Array]:
    """Compute every metric of the confusion counts.

    Args:
        counts: From `count_outcomes`.
        prevalence: Of PNEUMONIA, in (0, 1), for the realistic predictive values.

    Returns:
        Each of the shape of the counts, NaN where the denominator is 0: `accuracy`, `sensitivity`,
        `specificity`, `precision` (PPV) and `npv` at the prevalence of the images, `balanced_accuracy`, all in
        [0, 1]; `ppv_realistic` and `npv_realistic` at the prevalence given, by Bayes' rule (Altman and Bland 1994, BMJ
        309:102); `f1` in [0, 1]; `mcc` in [-1, 1] (Matthews 1975); the likelihood ratios `lr_positive` and
        `lr_negative`, 0 or more, infinite where no decision of the kind is wrong (Deeks and Altman 2004, BMJ 329:168).
    """
    import numpy as np

    tn, fp, fn, tp = (counts[name] for name in ("tn", "fp", "fn", "tp"))
    shares = {
        name: divide_or_nan(*(np.sum([counts[cell] for cell in cells], axis=0) for cells in fraction))
        for name, fraction in PROPORTIONS.items()
    }
    sensitivity, specificity = shares["sensitivity"], shares["specificity"]
    true_positives, false_positives = sensitivity * prevalence, (1 - specificity) * (1 - prevalence)
    true_negatives, false_negatives = specificity * (1 - prevalence), (1 - sensitivity) * prevalence
    return {
        **shares,
        "balanced_accuracy": (sensitivity + specificity) / 2,
        "ppv_realistic": divide_or_nan(true_positives, true_positives + false_positives),
        "npv_realistic": divide_or_nan(true_negatives, true_negatives + false_negatives),
        "f1": divide_or_nan(2 * tp, 2 * tp + fp + fn),
        "mcc": divide_or_nan(tp * tn - fp * fn, np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))),
        "lr_positive": divide_or_nan(sensitivity, 1 - specificity, infinite=True),
        "lr_negative": divide_or_nan(1 - sensitivity, specificity, infinite=True),
    }


def divide_or_nan(part: Array, whole: Array, *, infinite: bool = False) -> Array:
    """Divide arrays of one shape: NaN where `whole` is 0, or infinity with `infinite` and a positive `part`."""
    import numpy as np

    quotient = np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=whole > 0)
    return np.where((whole == 0) & (part > 0), np.inf, quotient) if infinite else quotient


@cache  # A decision curve has the same counts at many thresholds.
def proportion(count: int, total: int) -> Estimate:
    """Return a share with Wilson's 95% interval (Wilson 1927).

    Args:
        count: Images in the numerator.
        total: Images in the denominator.

    Returns:
        In [0, 1], or None if `total` is 0; `n` is `total`.
    """
    from scipy.stats import binomtest

    if total == 0:
        return UNKNOWN.with_n(0)
    interval = binomtest(count, total).proportion_ci(method="wilson")
    return Estimate(value=count / total, low=float(interval.low), high=float(interval.high), method="images", n=total)


def proportions(counts: dict[str, int]) -> Shares[Estimate]:
    """Return accuracy, sensitivity, specificity, precision and NPV from confusion counts, as `proportion` does."""
    return Shares[Estimate](
        **{
            name: proportion(*(sum(counts[cell] for cell in cells) for cells in fraction))
            for name, fraction in PROPORTIONS.items()
        }
    )
