"""Differences between two networks: metrics by hand, McNemar's test, and what a test set of some size can show."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from chest_xray.metrics.bootstrap import Draws
from chest_xray.metrics.comparison import (
    Disagreement,
    IntervalOverBoth,
    MetricName,
    compare_decisions,
    estimate_over_seeds,
    interval_over_both,
    minimum_detectable_difference,
    resample_metrics,
    split_by_arm_and_seed,
)

LABEL = np.array([0, 0, 1, 1, 1])
PROBABILITY = np.array([0.2, 0.7, 0.6, 0.9, 0.1])
DECISION = PROBABILITY >= 0.5  # right on the first, third and fourth
TABLE = pd.DataFrame({"label": LABEL, "log_odds": PROBABILITY, "decision": DECISION})


@pytest.mark.parametrize(
    ("name", "plain", "weighted"),
    [
        ("accuracy", 3 / 5, 5 / 8),
        ("sensitivity", 2 / 3, 4 / 6),
        ("specificity", 1 / 2, 1 / 2),
        # Pairs: 0.6 above 0.2 alone, 0.9 above both, 0.1 above none: 3 of 6. Weighted: 1 + 3 x 2 = 7 of 6 x 2.
        ("auc", 3 / 6, 7 / 12),
    ],
)
def test_a_metric_counts_each_image_as_often_as_it_was_drawn(name: MetricName, plain: float, weighted: float) -> None:
    draws: Draws = {"patients": np.array([[1, 1, 1, 1, 1], [1, 1, 1, 3, 2]], float)}
    assert resample_metrics(TABLE, draws)[name]["patients"].tolist() == pytest.approx([plain, weighted])


@pytest.mark.parametrize("name", ["sensitivity", "auc"])
def test_a_metric_without_images_is_not_a_number(name: MetricName) -> None:
    draws: Draws = {"blocks": np.array([[1, 1, 0, 0, 0]], float)}
    assert np.isnan(resample_metrics(TABLE, draws)[name]["blocks"]).all()


def test_disagreement_is_counted_by_who_is_right() -> None:
    second = np.array([True, False, False, True, True])  # breaks the first and third, mends the second and fifth
    assert compare_decisions(LABEL, DECISION, second) == Disagreement(corrected=2, regressed=2, p=1.0)
    found = compare_decisions(LABEL, DECISION, LABEL == 1)
    assert found.model_dump() == {"corrected": 2, "regressed": 0, "p": pytest.approx(0.5)}


def test_networks_that_decide_alike_differ_by_chance() -> None:
    assert compare_decisions(LABEL, DECISION, DECISION) == Disagreement(corrected=0, regressed=0, p=1.0)


def test_the_minimum_detectable_difference_is_shown_by_four_tests_in_five() -> None:
    assert minimum_detectable_difference(0.01) == pytest.approx(0.028016, abs=1e-6)  # 1.959964 + 0.841621
    drawn = np.random.default_rng(0).normal(minimum_detectable_difference(0.01), 0.01, 100_000)
    assert (drawn > 1.96 * 0.01).mean() == pytest.approx(0.8, abs=0.005)


def test_with_few_degrees_of_freedom_the_minimum_detectable_difference_is_larger() -> None:
    assert minimum_detectable_difference(1, 2) == pytest.approx(4.302653 + 1.060660, abs=1e-5)  # Student's table at 2


def test_the_interval_equals_a_paired_t_test_if_only_seeds_vary() -> None:
    by_seed = np.array([0.02, 0.05, 0.08])
    found = interval_over_both(by_seed, 0.0, 400)
    theirs = stats.ttest_1samp(by_seed, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high))
    assert found.detectable == pytest.approx(minimum_detectable_difference(0.03 / math.sqrt(3), 2))


def test_the_interval_equals_the_bootstrap_if_only_patients_vary() -> None:
    found = interval_over_both(np.array([0.05, 0.05]), 0.01, 10_001)
    assert (found.low, found.high) == pytest.approx((0.05 - 0.0196, 0.05 + 0.0196), abs=1e-5)
    assert found.detectable == pytest.approx(0.02802, abs=1e-5)


def test_three_patients_give_an_interval_with_two_degrees_of_freedom() -> None:
    found = interval_over_both(np.array([0.05, 0.05]), 0.01, 3)  # 4.302653: Student's table at 2
    assert (found.low, found.high) == pytest.approx((0.05 - 0.04302653, 0.05 + 0.04302653))


def test_an_interval_ends_where_differences_do() -> None:
    found = interval_over_both(np.array([-0.9, 0.9]), 0.0, 400)  # a standard error of 0.9 over two seeds
    assert (found.low, found.high) == (-1, 1)


def test_a_difference_comes_from_all_images_and_its_spread_from_the_resamples() -> None:
    # Averaged over two seeds: 0.4 of the images themselves, and 0.1, 0.2 and 0.3 in three resamples.
    found = estimate_over_seeds({"patients": np.array([[0.5, 0.0, 0.1, 0.2], [0.3, 0.2, 0.3, 0.4]])}, 400)
    assert found.value == pytest.approx(0.4)
    assert (found.low, found.high) == pytest.approx((0.105, 0.295))  # a fortieth of the way from either end
    assert found.standard_error == pytest.approx(0.1 * math.sqrt(2 / 3))
    assert found.by_seed == [0.5, 0.3]
    assert found.deviation == pytest.approx(0.1 * math.sqrt(2))


def test_arms_and_seeds_keep_the_order_in_which_they_were_run() -> None:
    table = pd.DataFrame({"arm": ["none", "none", "flip", "flip"], "seed": [7, 3, 7, 3], "probability": [1, 2, 3, 4]})
    runs = split_by_arm_and_seed(table)
    assert {arm: list(seeds) for arm, seeds in runs.items()} == {"none": [7, 3], "flip": [7, 3]}
    assert list(runs) == ["none", "flip"]
    assert runs["flip"][3]["probability"].tolist() == [4]


def test_variances_over_patients_and_seeds_are_added() -> None:
    # Over patients 0.0004, over seeds (0.0018 / 2) = 0.0009: the sum has (0.0013^2) / (0.0004^2 / 100 + 0.0009^2 / 1)
    # = 2.08222 degrees of freedom.
    found = interval_over_both(np.array([0.02, 0.08]), 0.02, 101)
    reach = stats.t.ppf(0.975, 2.08222) * math.sqrt(0.0013)
    assert (found.low, found.high) == pytest.approx((0.05 - reach, 0.05 + reach), abs=1e-5)


def test_the_interval_over_both_covers_the_truth_as_often_as_stated() -> None:
    rng = np.random.default_rng(1)
    truth, over_patients, over_seeds, num_seeds, covered = 0.03, 0.01, 0.015, 3, []
    for _ in range(2000):
        by_seed = truth + rng.normal(0, over_patients) + rng.normal(0, over_seeds, num_seeds)
        found = interval_over_both(by_seed, over_patients, 400)
        covered.append(found.low <= truth <= found.high)
    assert 0.93 < np.mean(covered) < 0.99


def test_runs_that_never_differ_have_an_interval_of_nothing() -> None:
    assert interval_over_both(np.zeros(3), 0.0, 10) == IntervalOverBoth(low=0, high=0, detectable=0)
