"""Metrics against numbers worked by hand and a published table."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from chest_xray.options import InputError
from chest_xray.pipelines.evaluation.metrics import (
    expected_calibration_error,
    metrics_at,
    proportion,
    summarise,
    tabulate,
)
from tests.builders import make_point, make_predictions

# At 0.5: healthy 0.1, 0.2, 0.4 right and 0.6 wrong; diseased 0.3 wrong and 0.5, 0.7, 0.8, 0.9 and 0.95 right.
LABELS = [0, 0, 0, 0, 1, 1, 1, 1, 1, 1]
PROBABILITIES = [0.1, 0.2, 0.4, 0.6, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95]


def values(found: dict[str, Any]) -> dict[str, float]:
    return {name: each["value"] for name, each in found.items() if isinstance(each, dict)}


def counts(found: dict[str, Any]) -> tuple[int, ...]:
    return tuple(found[name] for name in ("tn", "fp", "fn", "tp"))


def test_counts_and_shares_at_a_threshold() -> None:
    found = metrics_at(make_predictions(LABELS, PROBABILITIES), 0.5)
    assert counts(found) == (3, 1, 1, 5)
    assert values(found) == {"accuracy": 8 / 10, "sensitivity": 5 / 6, "specificity": 3 / 4, "precision": 5 / 6}


def test_a_probability_exactly_at_the_threshold_is_called_diseased() -> None:
    table = make_predictions([0, 1], [0.25, 0.25])
    assert counts(metrics_at(table, 0.25)) == (0, 1, 0, 1)
    assert counts(metrics_at(table, 0.2500001)) == (1, 0, 1, 0)


def test_metrics_do_not_depend_on_the_order_of_images() -> None:
    table = make_predictions(LABELS, PROBABILITIES)
    assert metrics_at(table.sample(frac=1, random_state=1), 0.5) == metrics_at(table, 0.5)


def test_where_nothing_is_called_diseased_there_is_no_precision() -> None:
    found = metrics_at(make_predictions(LABELS, PROBABILITIES), 0.99)
    assert found["precision"] == {"value": None, "low": None, "high": None}
    assert values(found)["sensitivity"] == 0
    assert values(found)["specificity"] == 1


@pytest.mark.parametrize(
    ("count", "total", "low", "high"),
    # Newcombe 1998 (Statistics in Medicine 17:857-872), table I, method 3.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_intervals_are_those_that_newcombe_published_for_wilsons_method(
    count: int, total: int, low: float, high: float
) -> None:
    assert proportion(count, total) == {
        "value": count / total,
        "low": pytest.approx(low, abs=5e-5),
        "high": pytest.approx(high, abs=5e-5),
    }


def test_the_interval_of_a_share_mirrors_that_of_the_rest() -> None:
    part, rest = proportion(7, 40), proportion(33, 40)
    assert part["low"] == pytest.approx(1 - (rest["high"] or 0))


def make_table() -> pd.DataFrame:
    table = make_predictions(LABELS, PROBABILITIES, groups=list("aabbccddee"))
    table["aetiology"] = ["none"] * 4 + ["viral"] * 2 + ["bacterial"] * 4
    return table


def test_a_summary_holds_every_metric_of_a_subset() -> None:
    found = summarise(make_table(), make_point(0.75), seed=1)
    assert (found["num_images"], found["num_groups"], found["prevalence"]) == (10, 5, 0.6)
    assert counts(found["at_half"]) == (3, 1, 1, 5)
    assert counts(found["at_chosen"]) == (4, 0, 3, 3)
    assert found["at_chosen"]["threshold"] == 0.75
    # Healthy below each diseased: 0.3: 2, 0.5: 3, the four others 4 of 4 each: 21 of 24 pairs.
    assert found["auc"]["value"] == 21 / 24
    assert found["auc"]["low"] <= 21 / 24 <= found["auc"]["high"]
    right = [0.9, 0.8, 0.6, 0.4, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95]  # what was given to the true class
    assert found["loss"] == pytest.approx(-sum(math.log(each) for each in right) / 10, rel=1e-6)


@pytest.mark.parametrize(
    ("rule", "other"), [("balanced_accuracy", "sensitivity"), ("sensitivity", "balanced_accuracy")]
)
def test_both_operating_points_are_told_the_one_that_decides_and_the_other(rule: str, other: str) -> None:
    found = summarise(make_table(), make_point(0.75, other=0.35, rule=rule), seed=1)
    assert found["at_chosen"] == metrics_at(make_table(), 0.75)
    # Healthy 0.4 and 0.6 and diseased 0.5 and above are called at 0.35.
    assert found["at_other"] == {"rule": other, **metrics_at(make_table(), 0.35)}
    assert counts(found["at_other"]) == (2, 2, 1, 5)


def test_brier_and_calibration_are_those_of_the_calibrated_probabilities() -> None:
    table = make_table().assign(calibrated=[0.5] * 10)
    found = summarise(table, make_point(0.75), seed=1)
    assert found["brier"] == pytest.approx(0.25)
    assert found["ece"] == pytest.approx(0.1)  # one half was promised, six of ten came true
    # Squares of what was missing: healthy .01 + .04 + .16 + .36, diseased .49 + .25 + .09 + .04 + .01 + .0025.
    assert summarise(make_table(), make_point(0.75), seed=1)["brier"] == pytest.approx(0.14525)


def calibration_error(labels: list[int], probabilities: list[float]) -> float:
    return expected_calibration_error(np.array(labels), np.array(probabilities))


def test_the_calibration_error_is_the_mean_distance_between_promise_and_truth_by_bin() -> None:
    # The bin from 3/15 to 4/15: promised 0.22 + 0.24 + 0.26 = 0.72, true 1. That from 9/15: promised 1.24, true 2.
    assert calibration_error([0, 1, 0, 1, 1], [0.22, 0.24, 0.26, 0.61, 0.63]) == pytest.approx((0.28 + 0.76) / 5)
    # Errors of either sign in one bin make up for each other, in two bins they do not.
    assert calibration_error([0, 1], [0.48, 0.52]) == pytest.approx(0)
    assert calibration_error([0, 1], [0.4, 0.6]) == pytest.approx(0.4)


def test_a_certain_answer_falls_into_the_last_bin() -> None:
    assert calibration_error([1, 0, 1, 0], [1.0, 0.0, 1.0, 0.0]) == 0
    assert calibration_error([0, 1], [1.0, 0.0]) == 1
    assert calibration_error([0, 1], [1.0, 0.95]) == pytest.approx(0.95 / 2)


def test_the_calibration_error_does_not_depend_on_the_order_of_images() -> None:
    assert calibration_error(LABELS[::-1], PROBABILITIES[::-1]) == pytest.approx(
        calibration_error(LABELS, PROBABILITIES)
    )


def test_sensitivity_is_told_for_each_aetiology_at_the_chosen_threshold() -> None:
    found = summarise(make_table(), make_point(0.75), seed=1)["sensitivity_by_aetiology"]
    assert {name: each["value"] for name, each in found.items()} == {"bacterial": 0.75, "viral": 0.0}
    assert found["viral"] == proportion(0, 2)


def test_one_class_alone_is_refused() -> None:
    with pytest.raises(InputError, match=r"images of one class alone \(label: images \{1: 2\}\); expected healthy and"):
        summarise(make_predictions([1, 1], [0.2, 0.8]), make_point(0.5), seed=1)


def test_probabilities_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(InputError, match=r"received 1 probabilities that are no numbers of 2; .* Train again"):
        summarise(make_predictions([0, 1], [float("nan"), 0.8]), make_point(0.5), seed=1)


def test_the_table_has_a_row_for_each_metric_threshold_and_subset() -> None:
    table = tabulate({name: summarise(make_table(), make_point(0.75), seed=1) for name in ("validation", "test")})
    assert table.columns.tolist() == ["metric", "threshold", "subset", "n", "value", "low", "high"]
    assert table["subset"].tolist() == ["validation"] * 14 + ["test"] * 14
    named = ["accuracy", "sensitivity", "specificity", "precision"]
    assert table["metric"].tolist() == ["loss", "auc", *named, *named, *named] * 2
    test = {(row["metric"], row["threshold"]): row for _, row in table[table["subset"] == "test"].iterrows()}
    # n is what the share is of: all, the diseased, the healthy, those called diseased.
    assert [test[name, 0.5]["n"] for name in named] == [10, 6, 4, 6]
    assert [test[name, 0.75]["n"] for name in named] == [10, 6, 4, 3]
    assert [test[name, 0.25]["n"] for name in named] == [10, 6, 4, 8]  # the point that does not decide
    assert test["specificity", 0.5]["value"] == 0.75
    assert test["sensitivity", 0.5]["value"] == 0.8333
    assert table.loc[table["metric"] == "loss", ["low", "high"]].isna().all(axis=None)


def test_a_metric_that_does_not_exist_is_an_empty_cell() -> None:
    table = tabulate({name: summarise(make_table(), make_point(0.99), seed=1) for name in ("validation", "test")})
    row = table[(table["metric"] == "precision") & (table["threshold"] == 0.99)].iloc[0]
    assert row["n"] == 0
    assert row[["value", "low", "high"]].isna().all()
