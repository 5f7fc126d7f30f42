"""What needs no network: the rule on the header of the file, judged on the same test images in the same ways."""

from typing import Any

from chest_xray.core.types import Array, DataFrame
from chest_xray.metrics.binary import count, rate
from chest_xray.metrics.bootstrap import whole_and_resamples
from chest_xray.metrics.subgroups import stratify
from chest_xray.metrics.summary import Evaluation, describe_decisions, estimate, measure_ranking
from chest_xray.pipelines.data_processing.header_rule import read_feature

RANKING = ("auc", "pr_auc")
COMPARED = (*RANKING, "accuracy", "balanced_accuracy", "sensitivity", "specificity")  # network minus rule, paired


def measure_header_rule(
    test_predictions: DataFrame, header_rule: dict[str, Any], metrics: dict[str, Any], evaluation: Evaluation
) -> dict[str, Any]:
    """Judge the best rule on the header as the network is judged, and the network against it.

    Args:
        test_predictions: One row a test image; the features of the header are columns of it.
        header_rule: Of each feature the threshold and direction fitted on train, and the scores there.
        metrics: From `compute_metrics`: the chosen threshold and the cuts of the strata.
        evaluation: Seed of the bootstrap, and realistic prevalence.

    Returns:
        See docs/metrics.md.
    """
    feature = best_on_train(header_rule)
    rule = header_rule[feature]
    sign = 1 if rule["direction"] == "at least" else -1
    scored = test_predictions.assign(probability=sign * read_feature(test_predictions, feature))
    weights = whole_and_resamples(test_predictions["group"].to_numpy(), evaluation.seed)
    of_rule, of_network = (
        _measure(table, threshold, evaluation.realistic_prevalence, weights)
        for table, threshold in (
            (scored, sign * rule["threshold"]),
            (test_predictions, metrics["test"]["at_chosen"]["threshold"]),
        )
    )
    num, called = len(scored), (scored["probability"] >= sign * rule["threshold"]).to_numpy()
    rates = {name: values for name, values in of_rule.items() if name not in RANKING}
    return {
        **{"feature": feature, "direction": rule["direction"]},
        **{name: estimate(of_rule[name], num) for name in RANKING},
        "at_rule": {**describe_decisions(scored, sign * rule["threshold"], rates), "threshold": rule["threshold"]},
        "strata": stratify(scored, called, metrics["strata_cuts"], evaluation.seed),
        "difference": {name: estimate(of_network[name] - of_rule[name], num) for name in COMPARED},
    }


def best_on_train(header_rule: dict[str, Any]) -> str:
    """Name the feature of the header that tells the classes apart best on train, by balanced accuracy."""
    return max(
        header_rule,
        key=lambda feature: header_rule[feature]["train"]["sensitivity"] + header_rule[feature]["train"]["specificity"],
    )


def _measure(predictions: DataFrame, threshold: float, prevalence: float, weights: Array) -> dict[str, Array]:
    label, score = predictions["label"].to_numpy(), predictions["probability"].to_numpy()
    return {
        **measure_ranking(label, score, weights),
        **rate(count(label, score >= threshold, weights), prevalence),
    }
