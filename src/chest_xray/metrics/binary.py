"""How good decisions are, from how many are right and wrong of each class, in many weightings of the images at once."""

from chest_xray.core.types import Array
from chest_xray.metrics.results import UNKNOWN, Estimate, Shares

PROPORTIONS = {  # of which images each is a share: first those that are right, then all that are asked
    "accuracy": (("tn", "tp"), ("tn", "fp", "fn", "tp")),
    "sensitivity": (("tp",), ("tp", "fn")),
    "specificity": (("tn",), ("tn", "fp")),
    "precision": (("tp",), ("tp", "fp")),
    "npv": (("tn",), ("tn", "fn")),
}


def count(label: Array, decision: Array, weights: Array) -> dict[str, Array]:
    """Count right and wrong decisions.

    Args:
        label: 0 or 1 (diseased), shape (images,).
        decision: True where an image is called diseased, shape (images,).
        weights: How often each image counts, float64 of shape (resamples, images).

    Returns:
        `tn`, `fp`, `fn`, `tp`, each float64 of shape (resamples,).
    """
    import numpy as np

    cells = {"tn": (0, False), "fp": (0, True), "fn": (1, False), "tp": (1, True)}
    member = np.stack([(label == truth) & (decision == said) for truth, said in cells.values()], axis=1)
    return dict(zip(cells, (weights @ member.astype(float)).T, strict=True))


def rate(counts: dict[str, Array], prevalence: float) -> dict[str, Array]:
    """Compute every figure that follows from the counts.

    Args:
        counts: From `count`.
        prevalence: Share of diseased in (0, 1) where predictive values are asked for besides that of the images.

    Returns:
        Each of the shape of the counts, NaN where there is nothing to divide by: `accuracy`, `sensitivity`,
        `specificity`, `precision` (PPV) and `npv` at the prevalence of the images, `balanced_accuracy`, all in
        [0, 1]; `ppv_realistic` and `npv_realistic` at the prevalence given, by Bayes' rule (Altman and Bland 1994, BMJ
        309:102); `f1` in [0, 1]; `mcc` in [-1, 1] (Matthews 1975); the likelihood ratios `lr_positive` and
        `lr_negative`, 0 or more, infinite where no decision of the kind is wrong (Deeks and Altman 2004, BMJ 329:168).
    """
    import numpy as np

    tn, fp, fn, tp = (counts[name] for name in ("tn", "fp", "fn", "tp"))
    shares = {
        name: divide(np.sum([counts[each] for each in right], axis=0), np.sum([counts[each] for each in asked], axis=0))
        for name, (right, asked) in PROPORTIONS.items()
    }
    sensitivity, specificity = shares["sensitivity"], shares["specificity"]
    found, alarmed = sensitivity * prevalence, (1 - specificity) * (1 - prevalence)
    cleared, missed = specificity * (1 - prevalence), (1 - sensitivity) * prevalence
    return {
        **shares,
        "balanced_accuracy": (sensitivity + specificity) / 2,
        "ppv_realistic": divide(found, found + alarmed),
        "npv_realistic": divide(cleared, cleared + missed),
        "f1": divide(2 * tp, 2 * tp + fp + fn),
        "mcc": divide(tp * tn - fp * fn, np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))),
        "lr_positive": divide(sensitivity, 1 - specificity, infinite=True),
        "lr_negative": divide(1 - sensitivity, specificity, infinite=True),
    }


def divide(part: Array, whole: Array, *, infinite: bool = False) -> Array:
    """Divide where there is something to divide by, and give NaN elsewhere, or infinity if that is asked for."""
    import numpy as np

    quotient = np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=whole > 0)
    return np.where((whole == 0) & (part > 0), np.inf, quotient) if infinite else quotient


def proportion(count: int, total: int, confidence: float = 0.95) -> Estimate:
    """Return a share with Wilson's interval (Wilson 1927).

    Args:
        count: Images that are right.
        total: Images that were asked.
        confidence: Level of the interval, in (0, 1).

    Returns:
        In [0, 1], None of nothing; `n` are the images that were asked.
    """
    from scipy.stats import binomtest

    if total == 0:
        return UNKNOWN.with_n(0)
    interval = binomtest(count, total).proportion_ci(confidence, method="wilson")
    return Estimate(value=count / total, low=float(interval.low), high=float(interval.high), n=total)


def proportions(counts: dict[str, int]) -> Shares[Estimate]:
    """Return accuracy, sensitivity, specificity, precision and NPV of whole images, as `proportion` does."""
    return Shares[Estimate](
        **{
            name: proportion(sum(counts[each] for each in right), sum(counts[each] for each in asked))
            for name, (right, asked) in PROPORTIONS.items()
        }
    )
