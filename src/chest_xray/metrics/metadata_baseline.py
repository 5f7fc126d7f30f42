"""The metadata baseline: how well the header of a file predicts the class, without its pixels."""

from collections.abc import Mapping
from typing import Any

from chest_xray.core.types import Array, DataFrame
from chest_xray.images.index import FEATURES, read_feature
from chest_xray.images.kermany import compare_with_published
from chest_xray.metrics.binary import compute_rates, count_outcomes
from chest_xray.metrics.bootstrap import draw_resamples
from chest_xray.metrics.comparison import subtract
from chest_xray.metrics.results import Difference, MetadataMetrics, Method, Metrics
from chest_xray.metrics.shortcuts import measure_shortcuts
from chest_xray.metrics.subgroups import stratify
from chest_xray.metrics.summary import (
    Evaluation,
    describe_decisions,
    estimate,
    measure_ranking,
)

RANKING = ("auc", "pr_auc")
BASELINE = "width"  # On train the height separates the classes better, on test the width, which is harder to beat.


def find_best_threshold(values: Array, labels: Array) -> tuple[float, str]:
    """The value and direction of highest balanced accuracy (Youden 1950): accuracy would follow the class shares."""
    best = []
    for direction in ("at most", "at least"):
        sensitivity, specificity, cuts = sweep_thresholds(orient(values, direction), labels)
        top = int((sensitivity + specificity).argmax())
        best.append((sensitivity[top] + specificity[top], abs(float(cuts[top])), direction))
    _, threshold, direction = max(best, key=lambda each: each[0])
    return threshold, direction


def orient(values: Array, direction: str) -> Array:
    """Return the values such that larger ones speak for pneumonia."""
    return values if direction == "at least" else -values


def sweep_thresholds(scores: Array, labels: Array) -> tuple[Array, Array, Array]:
    """Return sensitivity and specificity at each cut, and the cuts; images that score at least the cut are positive."""
    import numpy as np

    cuts = np.unique(scores)[::-1]
    positives, negatives = (np.sort(scores[labels == label]) for label in (1, 0))
    sensitivity = 1 - np.searchsorted(positives, cuts) / len(positives)
    specificity = np.searchsorted(negatives, cuts) / len(negatives)
    return sensitivity, specificity, cuts


def score_threshold(values: Array, labels: Array, threshold: float, direction: str) -> dict[str, Any]:
    """Score one thresholded feature: see the node `fit_metadata_baseline`."""
    import numpy as np

    scores = orient(values, direction)
    is_positive = scores >= orient(np.array(threshold), direction)
    sensitivity, specificity, _ = sweep_thresholds(scores, labels)
    area = np.trapezoid(np.append(0, sensitivity), np.append(0, 1 - specificity))
    return {
        "num": len(labels),
        "accuracy": float((is_positive == labels).mean()),
        "sensitivity": float(is_positive[labels == 1].mean()),
        "specificity": float((~is_positive[labels == 0]).mean()),
        "auc": float(area),
    }


def measure_rule(
    label: Array, score: Array, threshold: float, prevalence: float, draws: Mapping[Method, Array]
) -> dict[str, dict[Method, Array]]:
    """Compute ranking and rates of a score at a threshold, on whole and resampled data."""
    measured: dict[str, dict[Method, Array]] = {}
    for method, weights in draws.items():
        rates = compute_rates(count_outcomes(label, score >= threshold, weights), prevalence)
        for name, values in {**measure_ranking(label, score, weights), **rates}.items():
            measured.setdefault(name, {})[method] = values
    return measured


def fit_rules(image_index: DataFrame) -> dict[str, Any]:
    """Fit the best threshold on width, height and aspect on train alone, and score each on test.

    These features are known without decoding a pixel. The number of bytes is a feature only of files that are as
    published: of others it shows how they were encoded anew.

    Args:
        image_index: One row an image; all of the official train split fits the rule, no image of test does.

    Returns:
        For each feature: `unit`, `threshold`, `direction` ("at most" or "at least": where the image is classified as
        pneumonia), and for `train` and `test` each `num`, `accuracy`, `sensitivity`, `specificity` (of the thresholded
        rule) and `auc` (of the feature itself, in the direction fitted), all but `num` in [0, 1].
    """
    rules = {}
    left_out = set() if compare_with_published(image_index).as_published else {"bytes"}
    for feature, unit in FEATURES.items():
        if feature in left_out:
            continue
        values, labels = read_feature(image_index, feature), image_index["label"].to_numpy()
        train, test = ((image_index["split"] == split).to_numpy() for split in ("train", "test"))
        threshold, direction = find_best_threshold(values[train], labels[train])
        rules[feature] = {
            "unit": unit,
            "threshold": threshold,
            "direction": direction,
            "train": score_threshold(values[train], labels[train], threshold, direction),
            "test": score_threshold(values[test], labels[test], threshold, direction),
        }
    return rules


def evaluate_rules(
    test_predictions: DataFrame,
    metadata_baseline: dict[str, Any],
    metadata_score: Array,
    metrics: Metrics,
    evaluation: Evaluation,
) -> MetadataMetrics:
    """Evaluate the rule on the width as the network is evaluated, and the network against it.

    Args:
        test_predictions: One row a test image; the features of the header are columns of it.
        metadata_baseline: Of each feature the threshold and direction fitted on train, and the scores there.
        metadata_score: From `chest_xray.metrics.shortcuts.score_metadata`, shape (images,).
        metrics: From `compute_metrics`: the chosen threshold and the cuts of the strata.
        evaluation: Seed of the bootstrap, and realistic prevalence.
    """
    rule = metadata_baseline[BASELINE]
    sign = 1 if rule["direction"] == "at least" else -1
    scored = test_predictions.assign(log_odds=sign * read_feature(test_predictions, BASELINE))
    draws = draw_resamples(test_predictions, evaluation.block_length, evaluation.seed)
    label, point = scored["label"].to_numpy(), metrics.operating_point.chosen
    of_rule, of_network = (
        measure_rule(label, table["log_odds"].to_numpy(), threshold, evaluation.realistic_prevalence, draws)
        for table, threshold in (
            (scored, sign * rule["threshold"]),
            (test_predictions, point.log_odds),
        )
    )
    num, is_positive = len(scored), (scored["log_odds"] >= sign * rule["threshold"]).to_numpy()
    rates = {name: values for name, values in of_rule.items() if name not in RANKING}
    cut = {"threshold": rule["threshold"], "log_odds": None}
    return MetadataMetrics(
        feature=BASELINE,
        direction=rule["direction"],
        auc=estimate(of_rule["auc"], num),
        pr_auc=estimate(of_rule["pr_auc"], num),
        at_rule=describe_decisions(label, is_positive, cut, rates),
        strata=stratify(scored, is_positive, metrics.strata_cuts, evaluation.num_series_blocks, draws),
        difference=Difference(
            **{name: estimate(subtract(of_network[name], of_rule[name]), num) for name in Difference.model_fields}
        ),
        shortcuts=measure_shortcuts(
            test_predictions,
            metadata_score,
            is_positive != (test_predictions["label"] == 1).to_numpy(),
            point.log_odds,
            draws,
        ),
    )
