"""The metadata baseline: how well the header of a file predicts the class, and what a network adds to it.

The baseline is a threshold on the width, fitted on train. A network that has learned nothing but the size of the image
ranks no better than chance among images of one size, and errs where the baseline does.
"""

from operator import itemgetter

from chest_xray.core.libraries import np
from chest_xray.core.types import Array, DataFrame
from chest_xray.images.kermany import FEATURES, compare_with_published, read_feature
from chest_xray.metrics.binary import compute_rates, count_outcomes, divide_or_nan, weighted_auc
from chest_xray.metrics.bootstrap import Draws, compute_in_resamples, draw_resamples
from chest_xray.metrics.comparison import subtract
from chest_xray.metrics.results import (
    Conflict,
    Difference,
    Direction,
    FeatureRule,
    MetadataBaseline,
    MetadataMetrics,
    Method,
    Metrics,
    RuleScores,
    Shortcuts,
    WithinStrata,
)
from chest_xray.metrics.subgroups import estimate_auc, estimate_share, stratify
from chest_xray.metrics.summary import Evaluation, bootstrap_auc, describe_decisions, estimate, measure_ranking

NUM_STRATA = 5
RANKING = ("auc", "pr_auc")
DIRECTIONS: tuple[Direction, ...] = ("at most", "at least")
BASELINE = "width"  # On train the height separates the classes better, on test the width, which is harder to beat.


def find_best_threshold(values: Array, labels: Array) -> tuple[float, Direction]:
    """Return the threshold and direction of the highest balanced accuracy, as accuracy depends on class shares."""
    from sklearn.metrics import roc_curve

    candidates: list[tuple[float, float, Direction]] = []
    for direction in DIRECTIONS:
        false_positive_rate, sensitivity, cuts = roc_curve(labels, orient(values, direction), drop_intermediate=False)
        # The first cut is infinite. Rounded, so that of equally good cuts the strictest is chosen.
        youden_index = (sensitivity[1:] - false_positive_rate[1:]).round(12)  # Youden 1950
        best = int(youden_index.argmax())
        candidates.append((youden_index[best], abs(float(cuts[1:][best])), direction))
    _, threshold, direction = max(candidates, key=itemgetter(0))
    return threshold, direction


def orient(values: Array, direction: Direction) -> Array:
    """Return the values such that larger ones mean PNEUMONIA."""
    return values if direction == "at least" else -values


def _score_threshold(values: Array, labels: Array, threshold: float, direction: Direction) -> RuleScores:
    from sklearn.metrics import roc_auc_score

    is_positive = values >= threshold if direction == "at least" else values <= threshold
    return RuleScores(
        num=len(labels),
        accuracy=float((is_positive == labels).mean()),
        sensitivity=float(is_positive[labels == 1].mean()),
        specificity=float((~is_positive[labels == 0]).mean()),
        auc=float(roc_auc_score(labels, orient(values, direction))),
    )


def _measure_scores(
    label: Array, score: Array, threshold: float, prevalence: float, draws: Draws
) -> dict[str, dict[Method, Array]]:
    def compute(weights: Array) -> dict[str, Array]:
        rates = compute_rates(count_outcomes(label, score >= threshold, weights), prevalence)
        return measure_ranking(label, score, weights) | rates

    return compute_in_resamples(compute, draws)


def fit_and_score_thresholds(image_index: DataFrame) -> MetadataBaseline:
    """Fit the best threshold on width, height and aspect on train alone, and score each on train and on test.

    These features are known without decoding a pixel. The number of bytes is a feature only of files that are as
    published: that of others depends on how they were encoded anew. `image_index` has one row an image.
    """
    rules = {}
    features = dict(FEATURES)
    if not compare_with_published(image_index).as_published:
        features.pop("bytes", None)
    labels = image_index["label"].to_numpy()
    train, test = ((image_index["split"] == split).to_numpy() for split in ("train", "test"))
    for feature, unit in features.items():
        values = read_feature(image_index, feature)
        threshold, direction = find_best_threshold(values[train], labels[train])
        rules[feature] = FeatureRule(
            unit=unit,
            threshold=threshold,
            direction=direction,
            train=_score_threshold(values[train], labels[train], threshold, direction),
            test=_score_threshold(values[test], labels[test], threshold, direction),
        )
    return MetadataBaseline(features=rules)


def evaluate_metadata_baseline(
    test_predictions: DataFrame,
    metadata_baseline: MetadataBaseline,
    metadata_score: Array,
    metrics: Metrics,
    evaluation: Evaluation,
) -> MetadataMetrics:
    """Evaluate the threshold on the width as the network is evaluated, and compare the network with it.

    `test_predictions` has one row a test image, with the features of the header; `metadata_baseline` is from
    `fit_and_score_thresholds`, `metadata_score` from `score_metadata`, and `metrics` from `compute_metrics`.
    """
    rule = metadata_baseline.features[BASELINE]
    sign = 1 if rule.direction == "at least" else -1
    scored = test_predictions.assign(log_odds=sign * read_feature(test_predictions, BASELINE))
    draws = draw_resamples(test_predictions, evaluation.block_length, evaluation.seed)
    label, point = scored["label"].to_numpy(), metrics.operating_point.chosen
    threshold, prevalence = sign * rule.threshold, evaluation.realistic_prevalence
    baseline = _measure_scores(label, scored["log_odds"].to_numpy(), threshold, prevalence, draws)
    log_odds = test_predictions["log_odds"].to_numpy()
    network = _measure_scores(label, log_odds, point.log_odds, prevalence, draws)
    num, is_positive = len(scored), (scored["log_odds"] >= threshold).to_numpy()
    rates = {name: values for name, values in baseline.items() if name not in RANKING}
    cut = {"threshold": rule.threshold, "log_odds": None}
    return MetadataMetrics(
        feature=BASELINE,
        direction=rule.direction,
        auc=estimate(baseline["auc"], num),
        pr_auc=estimate(baseline["pr_auc"], num),
        at_rule=describe_decisions(label, is_positive, cut, rates),
        strata=stratify(scored, is_positive, metrics.strata_cuts, evaluation.num_series_blocks, draws),
        difference=Difference(
            **{name: estimate(subtract(network[name], baseline[name]), num) for name in Difference.model_fields}
        ),
        shortcuts=measure_shortcuts(test_predictions, metadata_score, is_positive != label, point.log_odds, draws),
    )


def cut_at_quantiles(values: Array, num_strata: int = NUM_STRATA) -> Array:
    """Return the stratum of each value, int of shape (images,): quintiles by default, fewer where many values tie."""
    inner = np.quantile(values, np.linspace(0, 1, num_strata + 1)[1:-1])
    return np.searchsorted(np.unique(inner), values, side="left")


def compute_auc_within(label: Array, score: Array, strata: Array, weights: Array) -> tuple[Array, Array]:
    """Compute the AUC over pairs of one stratum: the mean over strata, weighted by their discordant pairs.

    `strata` is the stratum of each image, shape (images,); the other arguments are those of `weighted_auc`.

    Returns:
        The AUC in [0, 1], NaN where no stratum has both labels; and the share of all pairs of a 0 and a 1 that are
        within a stratum, in [0, 1]. Both of shape (resamples,).
    """
    concordant, pairs = np.zeros(len(weights)), np.zeros(len(weights))
    for stratum in np.unique(strata):
        member = strata == stratum
        in_stratum, labels = weights[:, member], label[member]
        num_pairs = (in_stratum @ (labels == 1)) * (in_stratum @ (labels == 0))
        concordant += num_pairs * np.nan_to_num(weighted_auc(labels, score[member], in_stratum))
        pairs += num_pairs
    all_pairs = (weights @ (label == 1)) * (weights @ (label == 0))
    return divide_or_nan(concordant, pairs), divide_or_nan(pairs, all_pairs)


def score_metadata(train: DataFrame, images: DataFrame) -> Array:
    """Score images by their `width` and `height` alone, by a logistic regression that is fitted on train.

    Its terms are the logarithms of both, their squares and their product, so that the aspect and the area are included.

    Returns:
        Log odds of pneumonia, float64 of shape (images,).
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures, StandardScaler

    terms, columns = PolynomialFeatures(2, include_bias=False), ["width", "height"]
    fitted = make_pipeline(StandardScaler(), terms, LogisticRegression(max_iter=1000))
    fitted.fit(np.log(train[columns].to_numpy(float)), train["label"])
    return np.asarray(fitted.decision_function(np.log(images[columns].to_numpy(float))))


def measure_shortcuts(
    test_predictions: DataFrame, metadata_score: Array, is_wrong: Array, threshold: float, draws: Draws
) -> Shortcuts:
    """Measure what the network has learned beyond the metadata.

    `metadata_score` is from `score_metadata`, and `is_wrong` True where the metadata baseline misclassifies an image,
    both of shape (images,); an image is classified as PNEUMONIA from `threshold` on, in calibrated log odds.
    """
    label, log_odds = test_predictions["label"].to_numpy(), test_predictions["log_odds"].to_numpy()

    def measure_within(values: Array) -> WithinStrata:
        strata = cut_at_quantiles(values)
        by_method = {method: compute_auc_within(label, log_odds, strata, weights) for method, weights in draws.items()}
        auc = estimate({method: area for method, (area, _) in by_method.items()}, len(label))
        _, share = next(iter(by_method.values()))
        return WithinStrata(auc=auc, num_strata=len(set(strata.tolist())), share_of_pairs=float(share[0]))

    return Shortcuts(
        score_auc=bootstrap_auc(test_predictions.assign(log_odds=metadata_score), draws),
        within_width=measure_within(test_predictions["width"].to_numpy(float)),
        within_score=measure_within(metadata_score),
        conflict=_measure_conflict(
            test_predictions[is_wrong], threshold, {method: weights[:, is_wrong] for method, weights in draws.items()}
        ),
    )


def _measure_conflict(images: DataFrame, threshold: float, draws: Draws) -> Conflict:
    label, log_odds = images["label"].to_numpy(), images["log_odds"].to_numpy()
    is_correct = (log_odds >= threshold) == (label == 1)
    return Conflict(
        num_normal=int((label == 0).sum()),
        num_pneumonia=int((label == 1).sum()),
        accuracy=estimate_share(is_correct, label >= 0, draws),
        sensitivity=estimate_share(is_correct, label == 1, draws),
        specificity=estimate_share(is_correct, label == 0, draws),
        auc=estimate_auc(images, draws),
    )
