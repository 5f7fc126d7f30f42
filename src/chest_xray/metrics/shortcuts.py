"""What a network has learned beyond the metadata: its ranking within strata of metadata, and where their rule is wrong.

A network that has learned nothing but the size of the image ranks no better than chance among images of one size.
"""

from collections.abc import Mapping

from chest_xray.core.types import Array, DataFrame
from chest_xray.metrics.binary import divide_or_nan
from chest_xray.metrics.bootstrap import bootstrap_auc, weighted_auc
from chest_xray.metrics.results import UNKNOWN, Conflict, Estimate, Method, Shortcuts, WithinStrata
from chest_xray.metrics.subgroups import MIN_CLASS_IMAGES, estimate_share
from chest_xray.metrics.summary import estimate

NUM_STRATA = 5


def cut_at_quantiles(values: Array, num_strata: int = NUM_STRATA) -> Array:
    """Return the stratum of each value, int of shape (images,): quintiles by default, fewer where many values tie."""
    import numpy as np

    inner = np.quantile(values, np.linspace(0, 1, num_strata + 1)[1:-1])
    return np.searchsorted(np.unique(inner), values, side="left")


def compute_auc_within(label: Array, score: Array, strata: Array, weights: Array) -> tuple[Array, Array]:
    """Compute the AUC over pairs of one stratum: the mean over strata, weighted by their discordant pairs.

    Args:
        label: 0 or 1, shape (images,).
        score: Higher means more likely 1, shape (images,).
        strata: The stratum of each image, shape (images,).
        weights: How often each image counts, of shape (resamples, images).

    Returns:
        The AUC in [0, 1], NaN where no stratum has both labels; and the share of all pairs of a 0 and a 1 that are
        within a stratum, in [0, 1]. Both of shape (resamples,).
    """
    import numpy as np

    right, pairs = np.zeros(len(weights)), np.zeros(len(weights))
    for stratum in np.unique(strata):
        member = strata == stratum
        part, labels = weights[:, member], label[member]
        counted = (part @ (labels == 1)) * (part @ (labels == 0))
        right += counted * np.nan_to_num(weighted_auc(labels, score[member], part))
        pairs += counted
    every = (weights @ (label == 1)) * (weights @ (label == 0))
    return divide_or_nan(right, pairs), divide_or_nan(pairs, every)


def score_metadata(train: DataFrame, images: DataFrame) -> Array:
    """Score images by their width and height alone, by a logistic regression that is fitted on train.

    Its terms are the logarithms of both, their squares and their product, so that the aspect and the area are included.

    Args:
        train: `label`, `width` and `height` of the images that it is fitted on.
        images: `width` and `height` of those that are scored.

    Returns:
        Log odds of pneumonia, float64 of shape (images,).
    """
    import numpy as np
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures, StandardScaler

    terms = PolynomialFeatures(2, include_bias=False)
    fitted = make_pipeline(StandardScaler(), terms, LogisticRegression(max_iter=1000))
    columns = ["width", "height"]
    fitted.fit(np.log(train[columns].to_numpy(float)), train["label"])
    return np.asarray(fitted.decision_function(np.log(images[columns].to_numpy(float))))


def measure_shortcuts(
    test_predictions: DataFrame, metadata_score: Array, is_wrong: Array, threshold: float, draws: Mapping[Method, Array]
) -> Shortcuts:
    """Measure what the network has learned beyond the metadata.

    Args:
        test_predictions: `label`, `log_odds`, `group` and `width` of each test image.
        metadata_score: From `score_metadata`, shape (images,).
        is_wrong: True where the metadata baseline misclassifies an image, shape (images,).
        threshold: An image is classified as PNEUMONIA at these calibrated log odds or above.
        draws: From `chest_xray.metrics.bootstrap.draw_resamples`.
    """
    label, log_odds = test_predictions["label"].to_numpy(), test_predictions["log_odds"].to_numpy()

    def within(values: Array) -> WithinStrata:
        strata = cut_at_quantiles(values)
        found = {method: compute_auc_within(label, log_odds, strata, weights) for method, weights in draws.items()}
        auc = estimate({method: each for method, (each, _) in found.items()}, len(label))
        _, share = next(iter(found.values()))
        return WithinStrata(auc=auc, num_strata=len(set(strata.tolist())), share_of_pairs=float(share[0]))

    return Shortcuts(
        score_auc=bootstrap_auc(test_predictions.assign(log_odds=metadata_score), draws).with_n(len(label)),
        within_width=within(test_predictions["width"].to_numpy(float)),
        within_score=within(metadata_score),
        conflict=_measure_conflict(
            test_predictions[is_wrong], threshold, {method: each[:, is_wrong] for method, each in draws.items()}
        ),
    )


def _measure_conflict(images: DataFrame, threshold: float, draws: Mapping[Method, Array]) -> Conflict:
    label, log_odds = images["label"].to_numpy(), images["log_odds"].to_numpy()
    is_right = (log_odds >= threshold) == (label == 1)

    num_normal, num_pneumonia = (int((label == each).sum()) for each in (0, 1))
    area: Estimate = UNKNOWN.with_n(len(label))
    if num_normal and num_pneumonia:
        area = bootstrap_auc(images, draws).with_n(len(label))
    if min(num_normal, num_pneumonia) < MIN_CLASS_IMAGES:
        area = area.model_copy(update={"low": None, "high": None, "method": None})
    return Conflict(
        num_normal=num_normal,
        num_pneumonia=num_pneumonia,
        accuracy=estimate_share(is_right, label >= 0, draws),
        sensitivity=estimate_share(is_right, label == 1, draws),
        specificity=estimate_share(is_right, label == 0, draws),
        auc=area,
    )
