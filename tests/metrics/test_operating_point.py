"""The threshold is chosen as it was asked for, and scores become probabilities that hold where they are used."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from scipy.special import expit

from chest_xray.core.options import InputError
from chest_xray.metrics.operating_point import OperatingPointRule, Point, calibrate, fit_calibration
from chest_xray.pipelines.modeling.nodes import choose_operating_point, summarise_corruptions
from tests.builders import TITLE, make_point, make_predictions, make_run


def make_rule(rule: str = "balanced_accuracy", least: float = 0.75, prevalence: float = 0.5) -> OperatingPointRule:
    given = {"rule": rule, "min_sensitivity": least, "expected_prevalence": prevalence}
    return OperatingPointRule.model_validate(given)


def choose(rule: str, labels: Sequence[int], probabilities: Sequence[float], least: float = 0.75) -> Point:
    """The point that decides by this rule."""
    found = choose_operating_point(make_predictions(labels, probabilities), make_rule(rule, least), make_run())
    point = found.points[found.rule]
    assert (found.rule, found.threshold) == (rule, point.threshold)
    return point


# PNEUMONIA at 0.9, 0.7, 0.5, 0.3 and NORMAL at 0.8, 0.6, 0.4, 0.2.
LABELS, PROBABILITIES = [1, 0, 1, 0, 1, 0, 1, 0], [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2]


@pytest.mark.parametrize(
    ("least", "threshold", "sensitivity", "specificity"),
    [
        (0.1, 0.9, 0.25, 1.0),
        (0.25, 0.9, 0.25, 1.0),
        (0.26, 0.7, 0.5, 0.75),
        (0.75, 0.5, 0.75, 0.5),
        (0.76, 0.3, 1.0, 0.25),
        (0.99, 0.3, 1.0, 0.25),
    ],
)
def test_the_highest_threshold_that_finds_enough_of_the_diseased(
    least: float, threshold: float, sensitivity: float, specificity: float
) -> None:
    assert choose("sensitivity", LABELS, PROBABILITIES, least).model_dump() == {
        "threshold": pytest.approx(threshold),
        "sensitivity": sensitivity,
        "specificity": specificity,
    }


def test_the_threshold_where_sensitivity_and_specificity_together_are_largest() -> None:
    # Sums at the diseased: 0.9: 1/4 + 1; 0.8: 2/4 + 1; 0.6: 3/4 + 3/4; 0.4: 1 + 2/4.
    labels, probabilities = [1, 1, 0, 1, 0, 1, 0, 0], [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2]
    found = choose("balanced_accuracy", labels, probabilities)
    assert found.threshold == pytest.approx(0.8)  # of three equal sums the highest threshold
    assert (found.sensitivity, found.specificity) == (0.5, 1.0)
    # With the healthy image at 0.5 diseased instead, 0.4 is alone: 1 + 2/3 against 2/5 + 1, 3/5 + 2/3 and 4/5 + 2/3.
    labels[4] = 1
    found = choose("balanced_accuracy", labels, probabilities)
    assert found.threshold == pytest.approx(0.4)
    assert found.sensitivity == 1
    assert found.specificity == pytest.approx(2 / 3)


def test_equal_sums_are_equal_whatever_thirds_come_to_in_floats() -> None:
    # At 0.8: 2/3 + 1; at 0.6: 1 + 2/3.
    found = choose("balanced_accuracy", [1, 1, 0, 1, 0, 0], [0.9, 0.8, 0.7, 0.6, 0.3, 0.1])
    assert found.threshold == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("labels", "probabilities", "threshold", "sensitivity", "specificity"),
    [
        ([0, 1, 0, 1], [1.0, 1.0, 1.0, 1.0], 1.0, 1.0, 0.0),  # nothing tells the classes apart
        ([0, 0, 1, 1], [1.0, 0.9, 0.2, 0.1], 0.1, 1.0, 0.0),  # the wrong way round
    ],
)
def test_the_threshold_is_a_probability_that_was_given_even_where_none_does_better_than_chance(
    labels: list[int], probabilities: list[float], threshold: float, sensitivity: float, specificity: float
) -> None:
    found = choose("balanced_accuracy", labels, probabilities)
    assert found.model_dump() == {
        "threshold": pytest.approx(threshold),
        "sensitivity": sensitivity,
        "specificity": specificity,
    }


def test_a_threshold_counts_though_its_neighbours_on_both_sides_differ_in_sensitivity_alone() -> None:
    # At 0.9: 1 of 3 and no false alarm; at 0.8: 2 of 3 and none; at 0.7: 3 of 3 and none.
    found = choose("sensitivity", [1, 1, 1, 0], [0.9, 0.8, 0.7, 0.1], 0.5)
    assert found.threshold == pytest.approx(0.8)
    assert found.sensitivity == pytest.approx(2 / 3)
    assert found.specificity == 1


def test_images_of_one_probability_are_called_alike() -> None:
    # 0.6 is shared by a diseased and a healthy image: the threshold takes both or neither.
    found = choose("sensitivity", [1, 1, 0, 0], [0.9, 0.6, 0.6, 0.1], 0.99)
    assert found.threshold == pytest.approx(0.6)
    assert (found.sensitivity, found.specificity) == (1.0, 0.5)


def test_the_reported_figures_are_those_at_the_threshold() -> None:
    rng = np.random.default_rng(0)
    labels, probabilities = rng.integers(0, 2, 60), (rng.integers(0, 11, 60) / 10)
    for rule in ("sensitivity", "balanced_accuracy"):
        found = choose(rule, labels.tolist(), probabilities.tolist())
        called = probabilities >= found.threshold
        assert found.sensitivity == pytest.approx(called[labels == 1].mean())
        assert found.specificity == pytest.approx(1 - called[labels == 0].mean())


def test_the_order_of_images_does_not_matter() -> None:
    backwards = choose("sensitivity", LABELS[::-1], PROBABILITIES[::-1])
    assert backwards == choose("sensitivity", LABELS, PROBABILITIES)


def test_both_points_are_computed_whichever_decides() -> None:
    # Sums: 0.9: 1/4 + 1; 0.7: 2/4 + 3/4; 0.5: 3/4 + 2/4; 0.3: 1 + 1/4.
    points = {
        "balanced_accuracy": {"threshold": pytest.approx(0.9), "sensitivity": 0.25, "specificity": 1.0},
        "sensitivity": {"threshold": pytest.approx(0.5), "sensitivity": 0.75, "specificity": 0.5},
    }
    for rule in points:
        found = choose_operating_point(make_predictions(LABELS, PROBABILITIES), make_rule(rule), make_run())
        assert found.run == TITLE
        assert found.model_dump()["points"] == points
        assert found.rule == rule
        assert found.threshold == found.points[found.rule].threshold


def test_images_of_one_class_alone_are_refused() -> None:
    with pytest.raises(InputError, match=r"all of one class \(label 1\); expected both. Raise hold_out.share"):
        choose("sensitivity", [1, 1], [0.2, 0.8])
    with pytest.raises(InputError, match=r"all of one class \(label 0\); expected both"):
        choose("sensitivity", [0], [0.2])


def make_logits(temperature: float, bias: float, num_images: int = 40_000) -> pd.DataFrame:
    """Logits of images of which half are PNEUMONIA, with labels drawn by sigmoid(logit / temperature + bias)."""
    rng = np.random.default_rng(1)
    logits = rng.normal(-bias * temperature, 3 * temperature, num_images)
    return pd.DataFrame({"logit": logits, "label": rng.uniform(size=num_images) < expit(logits / temperature + bias)})


@pytest.mark.parametrize(("temperature", "bias"), [(1.0, 0.0), (2.5, 1.0), (0.4, -0.7)])
def test_calibration_finds_the_temperature_and_bias_that_made_the_labels(temperature: float, bias: float) -> None:
    found = fit_calibration(make_logits(temperature, bias), 0.3)
    assert found.temperature == pytest.approx(temperature, rel=0.03)
    assert found.bias == pytest.approx(bias, abs=0.05)
    assert found.expected_prevalence == 0.3


def test_calibration_does_not_depend_on_how_many_images_there_are_of_each_class() -> None:
    table = make_logits(2.5, 1.0)
    fourfold = pd.concat([table, *[table[table["label"]]] * 3])
    first, second = fit_calibration(table, 0.5), fit_calibration(fourfold, 0.5)
    assert second.model_dump() == pytest.approx(first.model_dump(), rel=1e-3)


def test_calibrated_probabilities_come_true_on_what_they_were_fitted_on() -> None:
    table = make_logits(2.5, 1.0)
    probability = calibrate(table["logit"], fit_calibration(table, 0.5))
    for low in (0.1, 0.4, 0.8):
        part = (probability > low) & (probability < low + 0.1)
        assert table["label"][part].mean() == pytest.approx(low + 0.05, abs=0.03)


@pytest.mark.parametrize("logits", [[2.0, 2.0, 2.0, 2.0], [3.0, 2.0, -1.0, -2.0]])
def test_a_network_without_information_or_the_wrong_way_round_gets_the_prevalence_for_every_image(
    logits: list[float],
) -> None:
    table = pd.DataFrame({"logit": logits, "label": [0, 0, 1, 1]})
    calibration = fit_calibration(table, 0.2)
    assert all(np.isfinite(each) for each in calibration.model_dump().values())
    np.testing.assert_allclose(calibrate(table["logit"], calibration), 0.2, atol=1e-5)


@pytest.mark.parametrize(
    ("logit", "changes", "probability"),
    [
        (0.0, {}, 1 / 2),
        (np.log(3), {}, 3 / 4),
        (np.log(9), {"temperature": 2.0}, 3 / 4),
        (0.0, {"bias": np.log(3)}, 3 / 4),
        # Odds of 1 to 1 at a share of one half are odds of 1 to 4 where one in five is PNEUMONIA; 3 to 1 are 3 to 4.
        (0.0, {"expected_prevalence": 0.2}, 1 / 5),
        (np.log(3), {"expected_prevalence": 0.2}, 3 / 7),
        (0.0, {"expected_prevalence": 0.75}, 3 / 4),
    ],
)
def test_logits_become_probabilities_at_the_expected_prevalence(
    logit: float, changes: dict[str, float], probability: float
) -> None:
    found = calibrate(
        pd.Series([logit], dtype=np.float32), make_point(0.5, 0.25, "balanced_accuracy", **changes).calibration
    )
    assert found.dtype == np.float64
    assert found[0] == pytest.approx(probability, rel=1e-6)


def test_the_expected_prevalence_moves_probabilities_and_not_thresholds() -> None:
    table = make_predictions(LABELS, PROBABILITIES)
    rare, common = (choose_operating_point(table, make_rule(prevalence=each), make_run()) for each in (0.1, 0.9))
    assert rare.points == common.points
    low, high = (calibrate(table["logit"], each.calibration) for each in (rare, common))
    assert (low < high).all()


def make_shifted() -> pd.DataFrame:
    """Four images unaltered and with noise, which takes the NORMAL ones upwards."""
    table = make_predictions([0, 0, 1, 1] * 2, [0.1, 0.2, 0.6, 0.9, 0.3, 0.7, 0.5, 0.8])
    return table.assign(kind=["none"] * 4 + ["noise"] * 4, strength=[0.0] * 4 + [0.1] * 4)


def test_shift_is_summarised_over_all_conditions_and_for_each() -> None:
    other = Point(threshold=0.25, sensitivity=0.9, specificity=0.625)
    point = make_point(0.55)
    point = point.model_copy(update={"points": {**point.points, "sensitivity": other}})
    # Pooled: of 16 pairs, 0.7 (healthy) stands above 0.6 and 0.5; under noise alone above 0.5 of 4 pairs.
    assert summarise_corruptions(make_shifted(), point) == {
        "num_images": 8,
        "auc": pytest.approx(14 / 16),
        "worst_auc": 0.75,  # One of two conditions is the worst quarter.
        "specificity": 0.625,
        "conditions": [
            {"kind": "none", "strength": 0.0, "auc": 1.0, "sensitivity": 1.0, "specificity": 1.0},
            {"kind": "noise", "strength": 0.1, "auc": 0.75, "sensitivity": 0.5, "specificity": 0.5},
        ],
    }


def test_a_score_at_the_threshold_counts_as_called_under_shift_too() -> None:
    first, noise = summarise_corruptions(make_shifted(), make_point(0.7))["conditions"]
    assert (first["sensitivity"], noise["sensitivity"], noise["specificity"]) == (0.5, 0.5, 0.5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rule": "best"}, "rule: received 'best', but Input should be 'balanced_accuracy' or 'sensitivity'"),
        ({"min_sensitivity": 95}, "min_sensitivity: received 95, but Input should be less than 1"),
        ({"expected_prevalence": 0}, "expected_prevalence: received 0, but Input should be greater than 0"),
        ({"prevalence": 0.5}, "prevalence: received 0.5, but Extra inputs are not permitted"),
    ],
)
def test_an_impossible_rule_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        OperatingPointRule.model_validate({**make_rule().model_dump(), **changes})


def test_the_rule_that_does_not_decide_is_known_by_its_name() -> None:
    assert make_point(0.5).other_rule == "sensitivity"
    assert make_point(0.5, rule="sensitivity").other_rule == "balanced_accuracy"


@pytest.mark.parametrize("name", ["threshold", "sensitivity", "specificity"])
@pytest.mark.parametrize(("share", "refused"), [(-0.001, True), (0.0, False), (1.0, False), (1.001, True)])
def test_what_a_point_holds_is_from_0_to_1(name: str, share: float, refused: bool) -> None:
    fields = {"threshold": 0.5, "sensitivity": 0.5, "specificity": 0.5, name: share}
    if refused:
        with pytest.raises(ValidationError, match=rf"{name}\n  Input should be (greater|less) than or equal to [01] "):
            Point.model_validate(fields)
    else:
        assert getattr(Point.model_validate(fields), name) == share
