"""The curves of a run with their 95% bands: how far each point would move with other patients.

Bands are pointwise and vertical, over resampled patients: at each place on the horizontal axis they hold the middle 95%
of the values of the resamples (Macskassy, Provost and Rosset 2005, on ROC bands).
"""

from collections.abc import Iterator

from chest_xray.core.types import Array, DataFrame
from chest_xray.metrics.bootstrap import resample_weights

NUM_PLACES = 201  # where a band is computed; between them it is straight
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
    precision, recall, _ = (each[::-1] for each in precision_recall_curve(label, score))
    until = int(np.argmax(recall == 1)) + 1  # Lower thresholds find no more positives.
    positive = _count_positives_by_resample(predictions, seed)
    tables = []
    for name, x, value, resampled in (
        ("roc", false_positive_rate, sensitivity, _roc_in_resamples(*positive)),
        ("precision_recall", recall[:until], precision[:until], _precision_in_resamples(*positive)),
    ):
        bounds = np.percentile(resampled, [2.5, 97.5], axis=0)
        low, high = (np.interp(x, _places(), bound) for bound in bounds)
        tables.append(pd.DataFrame({"curve": name, "x": x, "value": value, "low": low, "high": high}))
    return pd.concat(tables, ignore_index=True)


def _places() -> Array:
    import numpy as np

    return np.linspace(0, 1, NUM_PLACES)


def _count_positives_by_resample(predictions: DataFrame, seed: int) -> tuple[Array, Array]:
    """Return the weights of false and of true positives, from the highest threshold to the lowest.

    Both of shape (resamples, distinct scores + 1). Resamples that lack a class are left out.
    """
    import numpy as np

    order = np.argsort(-predictions["log_odds"].to_numpy(), kind="stable")
    label, score = (predictions[name].to_numpy()[order] for name in ("label", "log_odds"))
    weights = resample_weights(predictions["group"].to_numpy(), seed)[:, order]
    last_of_equals = np.flatnonzero(np.append(np.diff(score) != 0, True))
    negatives, positives = (
        np.pad(np.cumsum(weights * (label == each), axis=1)[:, last_of_equals], ((0, 0), (1, 0))) for each in (0, 1)
    )
    both = (negatives[:, -1] > 0) & (positives[:, -1] > 0)
    return negatives[both], positives[both]


def _find_first_columns(shares: Array, more: float) -> Array:
    """Find the first column at which each row of rising shares is at least each place plus a little more."""
    import numpy as np

    rows = 2 * np.arange(len(shares))[:, None]  # Rows two apart follow each other as one rising sequence.
    found = np.searchsorted((shares + rows).ravel(), (_places() + rows + more).ravel())
    return found.reshape(len(shares), NUM_PLACES) - np.arange(len(shares))[:, None] * shares.shape[1]


def _roc_in_resamples(negatives: Array, positives: Array) -> Array:
    """Return sensitivity at each place of 1 - specificity, linear between vertices, the upper one at a step."""
    import numpy as np

    x, y = negatives / negatives[:, -1:], positives / positives[:, -1:]
    after = np.minimum(_find_first_columns(x, ROUNDING), x.shape[1] - 1)
    (x0, x1), (y0, y1) = ([np.take_along_axis(each, at, axis=1) for at in (after - 1, after)] for each in (x, y))
    part = np.divide(_places() - x0, x1 - x0, out=np.ones_like(x0), where=x1 > x0)
    return y0 + np.clip(part, 0, 1) * (y1 - y0)


def _precision_in_resamples(negatives: Array, positives: Array) -> Array:
    """Return precision at the highest threshold that has each sensitivity.

    Between two of them precision is not linear (Davis and Goadrich 2006).
    """
    import numpy as np

    at = np.maximum(_find_first_columns(positives / positives[:, -1:], -ROUNDING), 1)
    true, false = (np.take_along_axis(each, at, axis=1) for each in (positives, negatives))
    return np.divide(true, true + false, out=np.ones_like(true), where=true + false > 0)


def compute_threshold_curves(predictions: DataFrame, cuts: Array, seed: int) -> DataFrame:
    """Return sensitivity and specificity at each of many thresholds.

    Args:
        predictions: `label`, `log_odds` and `group` of each image; both classes occur.
        cuts: Rising log odds, shape (thresholds,); an image is classified as PNEUMONIA from there on.
        seed: Of the bootstrap.

    Returns:
        One row per curve and threshold: `curve`, "sensitivity" or "specificity"; `x`, the log odds; `value`, and `low`
        and `high`, the band, in [0, 1].
    """
    import numpy as np
    import pandas as pd

    tables = []
    for name, positive, whole in _count_positives_by_patient(predictions, cuts):
        right = positive if name == "sensitivity" else whole[:, None] - positive
        weights = resample_weights(np.arange(len(whole)), seed)
        weights = weights[weights @ whole > 0]  # without those that lack the class
        low, high = np.percentile((weights @ right) / (weights @ whole)[:, None], [2.5, 97.5], axis=0)
        shares = {"value": right.sum(axis=0) / whole.sum(), "low": low, "high": high}
        tables.append(pd.DataFrame({"curve": name, "x": cuts, **shares}))
    return pd.concat(tables, ignore_index=True)


def _count_positives_by_patient(predictions: DataFrame, cuts: Array) -> Iterator[tuple[str, Array, Array]]:
    """Yield the positives of each patient, (patients, thresholds), and the images, (patients,), of both classes."""
    import numpy as np

    names, patient = np.unique(predictions["group"].to_numpy(), return_inverse=True)
    passed = np.searchsorted(cuts, predictions["log_odds"].to_numpy(), side="right")
    for label, name in ((1, "sensitivity"), (0, "specificity")):
        chosen = predictions["label"].to_numpy() == label
        counts = np.zeros((len(names), len(cuts) + 1))
        np.add.at(counts, (patient[chosen], passed[chosen]), 1)
        yield name, counts[:, ::-1].cumsum(axis=1)[:, -2::-1], counts.sum(axis=1)
