"""Metrics of decisions at one threshold and of a ranking, for many weightings of the images at once, and curves.

In all functions `label` is 0 or 1 (PNEUMONIA), `decision` True where an image is classified as PNEUMONIA, and `score`
higher where PNEUMONIA is more likely, each of shape (images,); `weights` is how often each image counts, float64 of
shape (resamples, images). Metrics are of shape (resamples,), and NaN where the denominator is 0.

Curves have 95% bands: how far each point would move with other patients. Bands are pointwise and vertical, over
resampled patients: at each position on the horizontal axis they hold the middle 95% of the values of the resamples
(Macskassy, Provost and Rosset 2005, on ROC bands).
"""

from functools import cache

from chest_xray.core.libraries import np, pd
from chest_xray.core.types import Array, DataFrame
from chest_xray.metrics.bootstrap import resample_weights
from chest_xray.metrics.results import UNKNOWN, Estimate, Shares

NUM_GRID_POINTS = 201  # at which a band is computed; between them it is straight
NUM_CUTS = 401  # thresholds at which sensitivity and specificity are drawn
ROUNDING = 1e-9
PROPORTIONS = {  # the cells of the confusion matrix in the numerator and in the denominator
    "accuracy": (("tn", "tp"), ("tn", "fp", "fn", "tp")),
    "sensitivity": (("tp",), ("tp", "fn")),
    "specificity": (("tn",), ("tn", "fp")),
    "precision": (("tp",), ("tp", "fp")),
    "npv": (("tn",), ("tn", "fn")),
}


def count_outcomes(label: Array, decision: Array, weights: Array) -> dict[str, Array]:
    """Count the cells of the confusion matrix: `tn`, `fp`, `fn`, `tp`, each float64 of shape (resamples,)."""
    cells = {"tn": (0, False), "fp": (0, True), "fn": (1, False), "tp": (1, True)}
    member = np.stack([(label == truth) & (decision == predicted) for truth, predicted in cells.values()], axis=1)
    return dict(zip(cells, (weights @ member.astype(float)).T, strict=True))


def count_cells(label: Array, decision: Array) -> dict[str, int]:
    """Return `count_outcomes` of the images themselves."""
    return {name: int(count[0]) for name, count in count_outcomes(label, decision, np.ones((1, len(label)))).items()}


def compute_shares(counts: dict[str, Array]) -> dict[str, Array]:
    """Compute `accuracy`, `sensitivity`, `specificity`, `precision` (PPV) and `npv` from `count_outcomes`."""
    return {
        name: divide_or_nan(*(np.sum([counts[cell] for cell in cells], axis=0) for cells in fraction))
        for name, fraction in PROPORTIONS.items()
    }


def compute_rates(counts: dict[str, Array], prevalence: float) -> dict[str, Array]:
    """Compute every metric of the confusion counts.

    Args:
        counts: From `count_outcomes`.
        prevalence: Of PNEUMONIA, in (0, 1), for the realistic predictive values.

    Returns:
        Those of `compute_shares`, at the prevalence of the images, and `balanced_accuracy`, all in [0, 1];
        `ppv_realistic` and `npv_realistic` at the prevalence given, by Bayes' rule (Altman and Bland 1994, BMJ
        309:102); `f1` in [0, 1]; `mcc` in [-1, 1] (Matthews 1975); the likelihood ratios `lr_positive` and
        `lr_negative`, 0 or more, infinite where no decision of the kind is wrong (Deeks and Altman 2004, BMJ 329:168).
    """
    tn, fp, fn, tp = (counts[name] for name in ("tn", "fp", "fn", "tp"))
    shares = compute_shares(counts)
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
    quotient = np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=whole > 0)
    return np.where((whole == 0) & (part > 0), np.inf, quotient) if infinite else quotient


@cache  # A decision curve has the same counts at many thresholds.
def proportion(count: int, total: int) -> Estimate:
    """Return a share of `total` images with Wilson's 95% interval (Wilson 1927), in [0, 1], or None if `total` is 0."""
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


def cumulate_positives(label: Array, score: Array, weights: Array) -> tuple[Array, Array]:
    """Count false and true positives from above the highest score to the lowest; images of equal scores come together.

    Returns:
        Both of shape (resamples, 1 + distinct scores), rising from 0.
    """
    order = np.argsort(-score, kind="stable")
    label, score, weights = label[order], score[order], weights[:, order]
    last_of_equals = np.flatnonzero(np.append(np.diff(score) != 0, True))
    false_positives, true_positives = (
        np.pad(np.cumsum(weights * (label == truth), axis=1)[:, last_of_equals], ((0, 0), (1, 0))) for truth in (0, 1)
    )
    return false_positives, true_positives


def weighted_auc(label: Array, score: Array, weights: Array) -> Array:
    """Return the area under the ROC curve, in [0, 1], as the share of pairs in the right order.

    Ties count half (Hanley and McNeil 1982).
    """
    false_positives, true_positives = cumulate_positives(label, score, weights)
    num_negatives = false_positives[:, -1:]
    lower = num_negatives - (false_positives[:, 1:] + false_positives[:, :-1]) / 2  # negatives below each score
    concordant = (np.diff(true_positives, axis=1) * lower).sum(axis=1)
    return divide_or_nan(concordant, true_positives[:, -1] * num_negatives[:, 0])


def weighted_average_precision(label: Array, score: Array, weights: Array) -> Array:
    """Return the area under the precision-recall curve, in [0, 1], as average precision.

    Points are not joined by lines, which would overestimate it (Davis and Goadrich 2006); tied scores are one point.
    An uninformative score reaches the share of class 1.
    """
    false_positives, true_positives = cumulate_positives(label, score, weights)
    precision = np.nan_to_num(divide_or_nan(true_positives, true_positives + false_positives))[:, 1:]
    return divide_or_nan((np.diff(true_positives, axis=1) * precision).sum(axis=1), true_positives[:, -1])


def compute_rank_curves(predictions: DataFrame, seed: int) -> DataFrame:
    """Return the ROC and the precision-recall curve.

    Args:
        predictions: `label`, `log_odds` and `group` of each image; both classes occur.
        seed: Of the bootstrap.

    Returns:
        One row per vertex: `curve`, "roc" or "precision_recall"; `x`, 1 - specificity or the sensitivity; `value`, the
        sensitivity or the precision; and `low` and `high`, the band; all in [0, 1].
    """
    from sklearn.metrics import precision_recall_curve, roc_curve

    label, score = predictions["label"].to_numpy(), predictions["log_odds"].to_numpy()
    false_positive_rate, sensitivity, _ = roc_curve(label, score, drop_intermediate=False)
    precision, recall, _ = (values[::-1] for values in precision_recall_curve(label, score))
    end = int(np.argmax(recall == 1)) + 1  # Lower thresholds find no more positives.
    counts = cumulate_positives(label, score, resample_weights(predictions["group"].to_numpy(), seed))
    has_both = (counts[0][:, -1] > 0) & (counts[1][:, -1] > 0)
    counts = counts[0][has_both], counts[1][has_both]
    tables = []
    for name, x, value, resampled in (
        ("roc", false_positive_rate, sensitivity, _roc_in_resamples(*counts)),
        ("precision_recall", recall[:end], precision[:end], _precision_in_resamples(*counts)),
    ):
        bounds = np.percentile(resampled, [2.5, 97.5], axis=0)
        low, high = (np.interp(x, _grid(), bound) for bound in bounds)
        tables.append(pd.DataFrame({"curve": name, "x": x, "value": value, "low": low, "high": high}))
    return pd.concat(tables, ignore_index=True)


def _grid() -> Array:
    return np.linspace(0, 1, NUM_GRID_POINTS)


def _find_first_columns(shares: Array, offset: float) -> Array:
    """Find in each row of rising shares the first column with at least the value of each grid point plus `offset`."""
    rows = 2 * np.arange(len(shares))[:, None]  # Rows two apart follow each other as one rising sequence.
    indices = np.searchsorted((shares + rows).ravel(), (_grid() + rows + offset).ravel())
    return indices.reshape(len(shares), NUM_GRID_POINTS) - np.arange(len(shares))[:, None] * shares.shape[1]


def _roc_in_resamples(false_positives: Array, true_positives: Array) -> Array:
    """Return sensitivity at the grid points of 1 - specificity, linear between vertices, the upper one at a step."""
    x, y = false_positives / false_positives[:, -1:], true_positives / true_positives[:, -1:]
    after = np.minimum(_find_first_columns(x, ROUNDING), x.shape[1] - 1)
    x0, y0 = (np.take_along_axis(rate, after - 1, axis=1) for rate in (x, y))
    x1, y1 = (np.take_along_axis(rate, after, axis=1) for rate in (x, y))
    fraction = np.divide(_grid() - x0, x1 - x0, out=np.ones_like(x0), where=x1 > x0)
    return y0 + np.clip(fraction, 0, 1) * (y1 - y0)


def _precision_in_resamples(false_positives: Array, true_positives: Array) -> Array:
    """Return precision at the grid points of sensitivity, each at the highest threshold that reaches it.

    It is not interpolated, as it is not linear between thresholds (Davis and Goadrich 2006).
    """
    column = np.maximum(_find_first_columns(true_positives / true_positives[:, -1:], -ROUNDING), 1)
    true, false = (np.take_along_axis(counts, column, axis=1) for counts in (true_positives, false_positives))
    return np.divide(true, true + false, out=np.ones_like(true), where=true + false > 0)


def compute_threshold_curves(predictions: DataFrame, cuts: Array, seed: int) -> DataFrame:
    """Return sensitivity and specificity at each of many thresholds.

    Args:
        predictions: `label`, `log_odds` and `group` of each image; both classes occur.
        cuts: Rising log odds, shape (thresholds,); an image with at least these is classified as PNEUMONIA.
        seed: Of the bootstrap.

    Returns:
        One row per curve and threshold: `curve`, "sensitivity" or "specificity"; `x`, the log odds; `value`, and `low`
        and `high`, the band, in [0, 1].
    """
    names, patient = np.unique(predictions["group"].to_numpy(), return_inverse=True)
    num_reached = np.searchsorted(cuts, predictions["log_odds"].to_numpy(), side="right")
    draws = resample_weights(np.arange(len(names)), seed)
    tables = []
    for label, name in ((1, "sensitivity"), (0, "specificity")):
        member = predictions["label"].to_numpy() == label
        counts = np.zeros((len(names), len(cuts) + 1))  # images of each patient by the number of cuts that they reach
        np.add.at(counts, (patient[member], num_reached[member]), 1)
        positive, total = counts[:, ::-1].cumsum(axis=1)[:, -2::-1], counts.sum(axis=1)
        correct = positive if label else total[:, None] - positive
        weights = draws[draws @ total > 0]  # without those that lack the class
        low, high = np.percentile((weights @ correct) / (weights @ total)[:, None], [2.5, 97.5], axis=0)
        shares = {"value": correct.sum(axis=0) / total.sum(), "low": low, "high": high}
        tables.append(pd.DataFrame({"curve": name, "x": cuts, **shares}))
    return pd.concat(tables, ignore_index=True)
