"""The curves of a run with their 95% bands: how far each point would move with other patients.

Bands are pointwise and vertical, over resampled patients: at each position on the horizontal axis they hold the middle
95% of the values of the resamples (Macskassy, Provost and Rosset 2005, on ROC bands).
"""

from collections.abc import Iterator

from chest_xray.core.types import Array, DataFrame
from chest_xray.metrics.bootstrap import resample_weights

NUM_GRID_POINTS = 201  # at which a band is computed; between them it is straight
NUM_CUTS = 401  # thresholds at which sensitivity and specificity are drawn
ROUNDING = 1e-9


def compute_rank_curves(predictions: DataFrame, seed: int) -> DataFrame:
    """Return the ROC and the precision-recall curve.

    Args:
        predictions: `label`, `log_odds` and `group` of each image; both classes occur.
        seed: Of the bootstrap.

    Returns:
        One row per vertex: `curve`, "roc" or "precision_recall"; `x`, 1 - specificity or the sensitivity; `value`, the
        sensitivity or the precision; and `low` and `high`, the band; all in [0, 1].
    """
    import numpy as np
    import pandas as pd
    from sklearn.metrics import precision_recall_curve, roc_curve

    label, score = predictions["label"], predictions["log_odds"]
    false_positive_rate, sensitivity, _ = roc_curve(label, score, drop_intermediate=False)
    precision, recall, _ = (values[::-1] for values in precision_recall_curve(label, score))
    end = int(np.argmax(recall == 1)) + 1  # Lower thresholds find no more positives.
    counts = _count_positives_by_resample(predictions, seed)
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
    import numpy as np

    return np.linspace(0, 1, NUM_GRID_POINTS)


def _count_positives_by_resample(predictions: DataFrame, seed: int) -> tuple[Array, Array]:
    """Return the weights of false and of true positives, from the highest threshold to the lowest.

    Both of shape (resamples, distinct scores + 1). Resamples that lack a class are left out.
    """
    import numpy as np

    order = np.argsort(-predictions["log_odds"].to_numpy(), kind="stable")
    label, score = (predictions[name].to_numpy()[order] for name in ("label", "log_odds"))
    weights = resample_weights(predictions["group"].to_numpy(), seed)[:, order]
    last_of_equals = np.flatnonzero(np.append(np.diff(score) != 0, True))
    false_positives, true_positives = (
        np.pad(np.cumsum(weights * (label == truth), axis=1)[:, last_of_equals], ((0, 0), (1, 0))) for truth in (0, 1)
    )
    has_both = (false_positives[:, -1] > 0) & (true_positives[:, -1] > 0)
    return false_positives[has_both], true_positives[has_both]


def _find_first_columns(shares: Array, offset: float) -> Array:
    """Find in each row of rising shares the first column with at least the value of each grid point plus `offset`."""
    import numpy as np

    rows = 2 * np.arange(len(shares))[:, None]  # Rows two apart follow each other as one rising sequence.
    indices = np.searchsorted((shares + rows).ravel(), (_grid() + rows + offset).ravel())
    return indices.reshape(len(shares), NUM_GRID_POINTS) - np.arange(len(shares))[:, None] * shares.shape[1]


def _roc_in_resamples(false_positives: Array, true_positives: Array) -> Array:
    """Return sensitivity at the grid points of 1 - specificity, linear between vertices, the upper one at a step."""
    import numpy as np

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
    import numpy as np

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
    import numpy as np
    import pandas as pd

    tables = []
    for name, positive, total in _count_positives_by_patient(predictions, cuts):
        correct = positive if name == "sensitivity" else total[:, None] - positive
        weights = resample_weights(np.arange(len(total)), seed)
        weights = weights[weights @ total > 0]  # without those that lack the class
        low, high = np.percentile((weights @ correct) / (weights @ total)[:, None], [2.5, 97.5], axis=0)
        shares = {"value": correct.sum(axis=0) / total.sum(), "low": low, "high": high}
        tables.append(pd.DataFrame({"curve": name, "x": cuts, **shares}))
    return pd.concat(tables, ignore_index=True)


def _count_positives_by_patient(predictions: DataFrame, cuts: Array) -> Iterator[tuple[str, Array, Array]]:
    """Yield the metric of each class, and by patient its positive (patients, thresholds) and all (patients,) images."""
    import numpy as np

    names, patient = np.unique(predictions["group"].to_numpy(), return_inverse=True)
    num_reached = np.searchsorted(cuts, predictions["log_odds"].to_numpy(), side="right")
    for label, name in ((1, "sensitivity"), (0, "specificity")):
        member = predictions["label"].to_numpy() == label
        counts = np.zeros((len(names), len(cuts) + 1))
        np.add.at(counts, (patient[member], num_reached[member]), 1)
        yield name, counts[:, ::-1].cumsum(axis=1)[:, -2::-1], counts.sum(axis=1)
