"""Metrics against numbers worked by hand and a published table."""

import math
from typing import Any
from unittest.mock import ANY

import numpy as np
import pandas as pd
import pytest

from chest_xray.core.types import Array, InputError
from chest_xray.metrics.binary import proportion
from chest_xray.metrics.bootstrap import draw_resamples
from chest_xray.metrics.operating_point import OperatingPoint, add_calibrated
from chest_xray.metrics.results import Counts, Method, SubsetMetrics
from chest_xray.metrics.subgroups import stratify
from chest_xray.metrics.summary import estimate, measure, measure_gap, require_both_classes, summarise
from tests.builders import make_evaluation, make_point, make_predictions

# At 0.5: NORMAL 0.1, 0.2, 0.4 right and 0.6 wrong; PNEUMONIA 0.3 wrong and 0.5, 0.7, 0.8, 0.9 and 0.95 right.
LABELS = [0, 0, 0, 0, 1, 1, 1, 1, 1, 1]
PROBABILITIES = [0.1, 0.2, 0.4, 0.6, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95]


def counts(found: Counts) -> tuple[int, ...]:
    return found.tn, found.fp, found.fn, found.tp


def make_table() -> pd.DataFrame:
    table = make_predictions(LABELS, PROBABILITIES, groups=list("aabbccddee"))
    table["aetiology"] = ["none"] * 4 + ["viral"] * 2 + ["bacterial"] * 4
    return table


def describe(table: pd.DataFrame, point: OperatingPoint) -> SubsetMetrics:
    """The summary of one subset, as `compute_metrics` puts it together."""
    draws = draw_resamples(table, 20, 1)
    decision = (table["log_odds"] >= point.chosen.log_odds).to_numpy()
    strata = stratify(table, decision, {"aspect": [1.2]}, 4, draws)
    return summarise(table, point, measure(table, point, 0.2, draws), strata)


def test_a_summary_contains_every_metric_of_a_subset() -> None:
    found = describe(make_table(), make_point(0.75))
    assert (found.num_images, found.num_groups, found.prevalence) == (10, 5, 0.6)
    assert counts(found.at_half) == (3, 1, 1, 5)
    assert counts(found.at_chosen) == (4, 0, 3, 3)
    assert found.at_chosen.threshold == pytest.approx(0.75)
    # NORMAL below each PNEUMONIA: 0.3: 2, 0.5: 3, the four others 4 of 4 each: 21 of 24 pairs.
    assert found.auc.value == 21 / 24
    assert (found.auc.low or 1) <= 21 / 24 <= (found.auc.high or 0)
    right = [0.9, 0.8, 0.6, 0.4, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95]  # what was given to the true class
    assert found.loss == pytest.approx(-sum(math.log(each) for each in right) / 10, rel=1e-6)


@pytest.mark.parametrize("rule", ["balanced", "sensitivity", "specificity"])
def test_all_operating_points_are_reported_and_the_one_that_decides_is_marked(rule: str) -> None:
    found = describe(make_table(), make_point(0.75, other=0.35, rule=rule))
    assert (found.rule, list(found.points)) == (rule, ["balanced", "sensitivity", "specificity"])
    assert list(found.by_name) == ["at_half", *found.points]
    assert counts(found.at_chosen) == (4, 0, 3, 3)
    # NORMAL 0.4 and 0.6 and PNEUMONIA 0.5 and above are positive at 0.35.
    for other in set(found.points) - {found.rule}:
        assert found.points[other].threshold == pytest.approx(0.35)
        assert counts(found.points[other]) == (2, 2, 1, 5)


def test_every_threshold_is_on_the_calibrated_scale() -> None:
    point = make_point(0.75, temperature=2.0, bias=math.log(3))
    table = add_calibrated(make_table(), point)
    found = describe(table, point)
    assert counts(found.at_half) == (3, 1, 1, 5)  # as without calibration
    assert found.at_half.threshold == pytest.approx(0.75)  # a logit of 0 comes to odds of 3
    assert counts(found.at_chosen) == counts(found.at_half)
    assert found.at_chosen.log_odds == pytest.approx(math.log(3))


def test_brier_score_and_calibration_use_calibrated_probabilities() -> None:
    table = make_table().assign(probability=[0.5] * 10, log_odds=[0.0] * 10)
    found = describe(table, make_point(0.75)).calibration
    assert found.brier_unmoved.value == pytest.approx(0.25)
    assert found.ece_unmoved.value == pytest.approx(0.1)  # one half was promised, and six of ten came true
    # Moved from a prevalence of 0.5 to 0.6, all probabilities are 0.6.
    assert found.brier.value == pytest.approx(0.24)
    assert found.ece.value == pytest.approx(0)
    assert found.intercept.value == pytest.approx(0)
    assert found.shift_of_prevalence == pytest.approx(math.log(1.5))
    # Squares of what was missing: NORMAL .01 + .04 + .16 + .36, PNEUMONIA .49 + .25 + .09 + .04 + .01 + .0025.
    assert describe(make_table(), make_point(0.75)).calibration.brier_unmoved.value == pytest.approx(0.14525)


def test_calibration_error_does_not_depend_on_the_expected_prevalence() -> None:
    found = []
    for prevalence in (0.5, 0.1, 0.9):
        point = make_point(0.75, expected_prevalence=prevalence)
        found.append(describe(add_calibrated(make_table(), point), point).calibration)
    moved = [each.model_dump(exclude={"shift_of_prevalence", "brier_unmoved", "ece_unmoved"}) for each in found]
    for name in ("log_loss", "brier", "ece", "slope", "intercept"):
        assert [each[name]["value"] for each in moved] == pytest.approx([moved[0][name]["value"]] * 3)
    assert len({each.brier_unmoved.value for each in found}) == 3


def test_sensitivity_by_aetiology_is_that_of_the_strata() -> None:
    found = describe(make_table(), make_point(0.75)).sensitivity_by_aetiology
    assert {name: each.value for name, each in found.items()} == {"bacterial": 0.75, "viral": 0.0}


def test_balanced_accuracy_without_an_error_keeps_the_uncertainty_of_both_shares() -> None:
    table = make_predictions([0] * 8 + [1] * 12, [0.1] * 8 + [0.9] * 12)
    found = describe(table, make_point(0.5)).at_chosen.balanced_accuracy
    # Wilson's lower bound of n in n is n / (n + z^2), with z^2 = 3.841459.
    low = 1 - math.hypot(3.841459 / (8 + 3.841459), 3.841459 / (12 + 3.841459)) / 2
    assert found.model_dump() == {"value": 1, "low": pytest.approx(low), "high": 1, "method": "images", "n": 20}


def test_a_metric_at_a_point_has_the_value_of_all_images_and_the_interval_of_resamples() -> None:
    point = describe(make_table(), make_point(0.75)).at_half
    # tn 3, fp 1, fn 1, tp 5, of 10.
    shares = {"accuracy": (8, 10), "sensitivity": (5, 6), "specificity": (3, 4), "precision": (5, 6), "npv": (3, 4)}
    for name, (part, total) in shares.items():
        found, wilson = getattr(point, name), proportion(part, total)
        assert (found.value, found.n) == (part / total, total)
        assert found.high - found.low >= (wilson.high or 0) - (wilson.low or 0)  # the widest of three
    assert point.f1.model_dump() == {"value": 10 / 12, "low": ANY, "high": ANY, "method": ANY, "n": 10}
    assert (point.f1.low or 1) < 10 / 12 < (point.f1.high or 0)
    assert point.balanced_accuracy.value == (5 / 6 + 3 / 4) / 2
    assert point.ppv_realistic.value == pytest.approx(0.2 * 5 / 6 / (0.2 * 5 / 6 + 0.8 / 4))
    assert point.mcc.value == pytest.approx((5 * 3 - 1) / math.sqrt(6 * 6 * 4 * 4))
    assert point.lr_positive.value == pytest.approx(5 / 6 * 4)
    # Where no NORMAL patient who is positive was drawn, the ratio is infinite, so that its interval has no upper end.
    assert point.lr_positive.high is None


def test_what_cannot_be_computed_is_none() -> None:
    nothing = {"value": None, "low": None, "high": None, "method": None}
    point = describe(make_table(), make_point(0.99)).at_chosen  # nothing is classified as PNEUMONIA
    assert point.precision.model_dump() == {**nothing, "n": 0}
    for name in ("ppv_realistic", "mcc", "lr_positive"):
        assert getattr(point, name).model_dump() == {**nothing, "n": 10}
    assert point.lr_negative.value == 1
    assert point.f1.value == 0
    told_apart = describe(make_predictions([0, 0, 1], [0.1, 0.2, 0.9]), make_point(0.5))
    assert told_apart.calibration.slope.model_dump() == {**nothing, "n": 3}
    assert told_apart.calibration.intercept.value is not None


def test_calibration_is_held_against_the_prevalence_that_it_was_made_for() -> None:
    point = make_point(0.75, expected_prevalence=0.2)
    # 0.6 of the images are PNEUMONIA: odds of 1.5 where 0.25 are expected.
    assert describe(make_table(), point).calibration.shift_of_prevalence == pytest.approx(math.log(6))


@pytest.mark.parametrize(("labels", "counted"), [([1, 1], r"\{1: 2\}"), ([0, 0], r"\{0: 2\}"), ([], r"\{\}")])
def test_one_class_alone_is_refused(labels: list[int], counted: str) -> None:
    told = rf"received test images of one class alone \(label: images {counted}\); expected NORMAL and PNEUMONIA. Put"
    with pytest.raises(InputError, match=told):
        require_both_classes(make_predictions(labels, [0.5] * len(labels)), "test")


@pytest.mark.parametrize("column", ["log_odds", "probability"])
def test_probabilities_that_are_no_numbers_are_refused(column: str) -> None:
    table = make_predictions([0, 1], [0.2, 0.8]).assign(**{column: [math.nan, 0.8]})
    told = rf"received 1 probabilities of 2 that are not numbers \(validation, {column}\); .* Train"
    with pytest.raises(InputError, match=told):
        require_both_classes(table, "validation")


def test_a_metric_has_the_value_of_all_images_and_the_interval_of_resamples_of_it() -> None:
    # A fortieth of the way from either end of 1, 2 and 3.
    found = estimate({"patients": np.array([9.0, 1.0, 2.0, 3.0])}, 7)
    bounds = {"low": pytest.approx(1.05), "high": pytest.approx(2.95)}
    assert found.model_dump() == {"value": 9, **bounds, "method": "patients", "n": 7}


def test_a_gap_is_how_much_larger_a_metric_is_on_test() -> None:
    table = make_table()
    measured = measure(table, make_point(0.75), 0.2, draw_resamples(table, 20, 1))
    figures = {"validation": [0.5, 0.1, 0.1, 0.1], "test": [0.9, 0.2, 0.3, 0.4]}
    subsets: dict[str, dict[str, dict[Method, Array]]] = {}
    for subset, areas in figures.items():
        subsets[subset] = {name: {"patients": np.ones(4)} for name in measured} | {"auc": {"blocks": np.array(areas)}}
        subsets[subset]["at_half.lr_positive"] = {"patients": np.full(4, np.inf)}
    gap = measure_gap(subsets["validation"], subsets["test"], make_point(0.75))
    assert (gap.auc.value, gap.auc.low, gap.auc.high) == pytest.approx((0.4, 0.105, 0.295))
    assert gap.auc.method == "blocks"
    assert gap.pr_auc.value == gap.at_chosen.f1.value == gap.calibration.slope.value == 0
    assert gap.at_half.lr_positive.value is gap.at_half.lr_positive.low is None  # infinite on both sides


@pytest.mark.parametrize(
    ("name", "allowed", "refused"),
    [
        ("seed", (0, 2**31 - 1), (-1, 2**31)),
        ("realistic_prevalence", (0.001, 0.999), (0, 1)),
        ("aspect_cuts", ((0.1,), (1.2, 1.5)), ((0,), (1.2, -0.5))),
        ("size_quantiles", ((0.5,), (0.1, 0.9)), ((0,), (0.5, 1))),
        ("block_length", (1, 50), (0, 1.5)),
        ("num_series_blocks", (1, 4), (0,)),
    ],
)
def test_an_option_takes_what_lies_within_its_limits(name: str, allowed: Any, refused: Any) -> None:
    for value in allowed:
        assert getattr(make_evaluation(**{name: value}), name) == value
    for value in refused:
        with pytest.raises(InputError, match=rf"{name}.*: received"):
            make_evaluation(**{name: value})
