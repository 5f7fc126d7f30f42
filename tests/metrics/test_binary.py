"""Metrics of counts, worked by hand and compared with published tables."""

import math

import numpy as np
import pytest

from chest_xray.metrics.binary import compute_rates, count_outcomes, divide_or_nan, proportion, proportions

# At 0.5: NORMAL 0.1, 0.2, 0.4 right and 0.6 wrong; PNEUMONIA 0.3 wrong and 0.5, 0.7, 0.8, 0.9 and 0.95 right.
LABELS = np.array([0, 0, 0, 0, 1, 1, 1, 1, 1, 1])
PROBABILITIES = np.array([0.1, 0.2, 0.4, 0.6, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95])


def evaluate(tn: int, fp: int, fn: int, tp: int, prevalence: float = 0.5) -> dict[str, float]:
    counts = {
        name: np.array([float(each)]) for name, each in zip(("tn", "fp", "fn", "tp"), (tn, fp, fn, tp), strict=True)
    }
    return {name: float(values[0]) for name, values in compute_rates(counts, prevalence).items()}


def test_images_are_counted_in_each_resample_by_how_often_they_were_drawn() -> None:
    weights = np.stack([np.ones(10), np.arange(10)])
    found = count_outcomes(LABELS, PROBABILITIES >= 0.5, weights)
    assert {name: each.tolist() for name, each in found.items()} == {
        **{"tn": [3, 0 + 1 + 2], "fp": [1, 3]},
        **{"fn": [1, 4], "tp": [5, 5 + 6 + 7 + 8 + 9]},
    }


def test_a_screening_table_worked_by_hand() -> None:
    # Of 1,000 children 160 have pneumonia; 120 of these and 84 of the healthy are positive.
    found = evaluate(tn=756, fp=84, fn=40, tp=120, prevalence=0.5)
    assert found == pytest.approx(
        {
            **{"accuracy": 0.876, "sensitivity": 0.75, "specificity": 0.9, "balanced_accuracy": 0.825},
            **{"precision": 120 / 204, "npv": 756 / 796, "f1": 240 / 364},
            **{"ppv_realistic": 0.375 / 0.425, "npv_realistic": 0.45 / 0.575},
            **{"lr_positive": 7.5, "lr_negative": 0.25 / 0.9},
            "mcc": (120 * 756 - 84 * 40) / math.sqrt(204 * 160 * 840 * 796),
        }
    )


def test_predictive_values_at_the_observed_prevalence_equal_the_observed_ones() -> None:
    found = evaluate(tn=756, fp=84, fn=40, tp=120, prevalence=0.16)
    assert found["ppv_realistic"] == pytest.approx(found["precision"])
    assert found["npv_realistic"] == pytest.approx(found["npv"])


def test_without_positive_decisions_there_is_no_precision() -> None:
    found = evaluate(tn=4, fp=0, fn=6, tp=0)
    assert {name for name, each in found.items() if math.isnan(each)} == {
        *("precision", "ppv_realistic", "mcc", "lr_positive")
    }
    assert (found["sensitivity"], found["specificity"], found["f1"], found["lr_negative"]) == (0, 1, 0, 1)


def test_without_negative_decisions_there_is_no_npv() -> None:
    found = evaluate(tn=0, fp=4, fn=0, tp=6)
    assert {name for name, each in found.items() if math.isnan(each)} == {"npv", "npv_realistic", "mcc", "lr_negative"}
    assert found["lr_positive"] == 1


def test_where_no_decision_is_wrong_the_positive_ratio_is_infinite_and_the_negative_one_0() -> None:
    found = evaluate(tn=4, fp=0, fn=0, tp=6)
    assert (found["lr_positive"], found["lr_negative"], found["mcc"]) == (math.inf, 0, 1)


def test_where_every_all_clear_is_wrong_the_negative_ratio_is_infinite() -> None:
    # No NORMAL image is cleared, and 3 of 6 PNEUMONIA are: (3 / 6) / (0 / 4).
    found = evaluate(tn=0, fp=4, fn=3, tp=3)
    assert (found["lr_negative"], found["lr_positive"]) == (math.inf, 0.5)


def test_division_by_zero_is_nan_unless_infinity_is_requested() -> None:
    part, whole = np.array([3.0, 0.0, 3.0]), np.array([0.0, 0.0, 2.0])
    np.testing.assert_array_equal(divide_or_nan(part, whole), [math.nan, math.nan, 1.5])
    np.testing.assert_array_equal(divide_or_nan(part, whole, infinite=True), [math.inf, math.nan, 1.5])


@pytest.mark.parametrize(
    ("part", "total", "low", "high"),
    # Newcombe 1998 (Statistics in Medicine 17:857-872), table I, method 3.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_intervals_are_those_that_newcombe_published_for_wilsons_method(
    part: int, total: int, low: float, high: float
) -> None:
    found = proportion(part, total)
    assert found.model_dump() == {
        "value": part / total,
        "low": pytest.approx(low, abs=5e-5),
        "high": pytest.approx(high, abs=5e-5),
        "method": "images",
        "n": total,
    }


def test_the_interval_of_a_share_mirrors_that_of_the_rest() -> None:
    part, rest = proportion(7, 40), proportion(33, 40)
    assert part.low == pytest.approx(1 - (rest.high or 0))


def test_a_share_of_nothing_is_none() -> None:
    assert proportion(0, 0).model_dump() == {"value": None, "low": None, "high": None, "method": None, "n": 0}


def test_each_share_has_its_number_of_images() -> None:
    found = proportions({"tn": 3, "fp": 1, "fn": 2, "tp": 5})
    asked = {"accuracy": 11, "sensitivity": 7, "specificity": 4, "precision": 6, "npv": 5}
    assert {name: each.n for name, each in found} == asked
    right = {"accuracy": 8, "sensitivity": 5, "specificity": 3, "precision": 5, "npv": 3}
    assert {name: round(each.value * each.n) for name, each in found} == right
