"""Each rule says one thing on one side of its boundary and another on the other side."""

from typing import Any

import pytest

from chest_xray.pipelines.evaluation.conclusions import (
    above,
    flatters,
    how_well,
    validation_and_test,
    weaker_aetiology,
    what_to_try,
    where_it_fails,
)
from tests.builders import interval, make_header_rule, make_run_metrics, sure

FINE = {"train_accuracy": 0.9, "validation_accuracy": 0.9, "best_was_last": False}


def keys(findings: Any) -> list[str]:
    return [finding.key for finding in findings]


def test_one_interval_is_above_another_where_they_do_not_meet() -> None:
    assert above(interval(0.71, 0.75, 0.8), interval(0.6, 0.65, 0.7))
    assert not above(interval(0.7, 0.75, 0.8), interval(0.6, 0.65, 0.7))
    assert not above(interval(0.6, 0.65, 0.7), interval(0.71, 0.75, 0.8))


@pytest.mark.parametrize(
    ("accuracy", "key"),
    [
        (interval(0.801, 0.85, 0.9), "above_bar"),
        (interval(0.80, 0.85, 0.9), "above_bar_unsure"),
        (interval(0.7, 0.801, 0.9), "above_bar_unsure"),
        (interval(0.7, 0.80, 0.9), "below_bar"),
        (interval(0.7, 0.75, 0.79), "below_bar"),
    ],
)
def test_accuracy_is_held_against_the_bar(accuracy: dict[str, float], key: str) -> None:
    found = keys(how_well(make_run_metrics(accuracy=accuracy), make_header_rule()))
    assert [name for name in found if "bar" in name] == [key]


@pytest.mark.parametrize(
    ("prevalence", "low", "key", "majority"),
    [
        (0.625, 0.626, "above_majority", 0.625),
        (0.625, 0.625, "not_above_majority", 0.625),
        (0.25, 0.751, "above_majority", 0.75),  # where the healthy are the larger class
        (0.25, 0.74, "not_above_majority", 0.75),
    ],
)
def test_accuracy_is_held_against_the_larger_class(prevalence: float, low: float, key: str, majority: float) -> None:
    metrics = make_run_metrics(accuracy=interval(low, 0.9, 0.95))
    metrics["test"]["prevalence"] = prevalence
    (found,) = [finding for finding in how_well(metrics, make_header_rule()) if "majority" in finding.key]
    assert found.key == key
    assert found.values["majority"] == majority


@pytest.mark.parametrize(
    ("low", "key"), [(0.76, "better_than_header"), (0.75, "not_better_than_header"), (0.7, "not_better_than_header")]
)
def test_accuracy_is_held_against_the_rule_on_the_header_that_is_best_on_train(low: float, key: str) -> None:
    metrics = make_run_metrics(accuracy=interval(low, 0.9, 0.95))
    (found,) = [finding for finding in how_well(metrics, make_header_rule(0.75)) if "header" in finding.key]
    # Sensitivity + specificity on train: 1.5 for height, 1.4 for each other; which is best on test is not asked.
    assert found == (key, {"feature": "height", "header": 0.75})


def test_precision_is_told_where_there_is_one() -> None:
    metrics = make_run_metrics()
    assert "precision" in keys(how_well(metrics, make_header_rule()))
    metrics["test"]["at_chosen"]["precision"] = {"value": None, "low": None, "high": None}
    assert "precision" not in keys(how_well(metrics, make_header_rule()))


def test_the_point_that_does_not_decide_is_told_with_its_own_figures_and_its_rule() -> None:
    metrics = make_run_metrics()
    metrics["test"]["at_other"].update(rule="balanced_accuracy", threshold=0.7, accuracy=sure(0.77))
    (found,) = [finding for finding in how_well(metrics, make_header_rule()) if finding.key == "other_point"]
    assert (found.values["rule"], found.values["threshold"]) == ("balanced_accuracy", 0.7)
    assert found.values["accuracy"] == sure(0.77)


def test_calibration_is_told_by_its_error_and_brier_score() -> None:
    (found,) = [finding for finding in how_well(make_run_metrics(), make_header_rule()) if finding.key == "calibrated"]
    assert found.values == {"ece": 0.05, "brier": 0.12}


@pytest.mark.parametrize(
    ("sensitivity", "specificity", "key"),
    [
        (interval(0.81, 0.85, 0.9), interval(0.7, 0.75, 0.80), "misses_healthy"),
        (interval(0.80, 0.85, 0.9), interval(0.7, 0.75, 0.80), "errors_balanced"),
        (interval(0.7, 0.75, 0.80), interval(0.80, 0.85, 0.9), "errors_balanced"),
        (interval(0.7, 0.75, 0.80), interval(0.81, 0.85, 0.9), "misses_diseased"),
    ],
)
def test_the_commoner_kind_of_error_is_named_where_it_is_shown(
    sensitivity: dict[str, float], specificity: dict[str, float], key: str
) -> None:
    first = next(iter(where_it_fails(make_run_metrics(sensitivity=sensitivity, specificity=specificity))))
    assert first.key == key
    assert (first.values["healthy"], first.values["diseased"]) == (40, 60)


def test_no_error_is_said_to_be_none() -> None:
    metrics = make_run_metrics()
    metrics["test"]["at_chosen"].update(tn=40, fp=0, fn=0, tp=60)
    assert keys(where_it_fails(metrics))[0] == "no_errors"
    for error in ({"tn": 39, "fp": 1}, {"fn": 1, "tp": 59}):
        metrics = make_run_metrics()
        metrics["test"]["at_chosen"].update({"tn": 40, "fp": 0, "fn": 0, "tp": 60, **error})
        assert keys(where_it_fails(metrics))[0] != "no_errors"


@pytest.mark.parametrize(
    ("bacterial", "viral", "weaker"),
    [
        (interval(0.7, 0.75, 0.79), interval(0.8, 0.85, 0.9), "bacterial"),
        (interval(0.7, 0.75, 0.80), interval(0.8, 0.85, 0.9), None),
        (interval(0.8, 0.85, 0.9), interval(0.7, 0.75, 0.80), None),
        (interval(0.8, 0.85, 0.9), interval(0.7, 0.75, 0.79), "viral"),
    ],
)
def test_an_aetiology_is_named_where_it_is_shown_to_be_found_less_often(
    bacterial: dict[str, float], viral: dict[str, float], weaker: str | None
) -> None:
    metrics = make_run_metrics(by_aetiology={"bacterial": bacterial, "viral": viral})
    assert weaker_aetiology(metrics) == weaker
    (found,) = [each for each in where_it_fails(metrics) if each.key.endswith("weaker") or "aetiology" in each.key]
    assert found == (f"{weaker}_weaker" if weaker else "aetiology_alike", {"bacterial": bacterial, "viral": viral})
    tried = [key for key in keys(what_to_try(metrics, FINE)) if key in {"try_bacterial", "try_viral"}]
    assert tried == ([f"try_{weaker}"] if weaker else [])


@pytest.mark.parametrize("known", [{}, {"unknown": sure(0.9)}, {"viral": sure(0.9)}])
def test_aetiologies_are_compared_where_both_are_known(known: dict[str, Any]) -> None:
    found = keys(where_it_fails(make_run_metrics(by_aetiology=known)))
    assert not {"bacterial_weaker", "viral_weaker", "aetiology_alike"} & set(found)


@pytest.mark.parametrize(
    ("chosen", "key", "gain"),
    [
        (0.825, "threshold_helps", 0.025),
        (0.8125, "threshold_helps", 0.0125),
        (0.8, "threshold_alike", 0),
        (0.805, "threshold_alike", 0.005),
        (0.795, "threshold_alike", 0.005),
        (0.7875, "threshold_hurts", 0.0125),
        (0.775, "threshold_hurts", 0.025),
    ],
)
def test_the_chosen_threshold_is_held_against_one_half(chosen: float, key: str, gain: float) -> None:
    found = list(where_it_fails(make_run_metrics(accuracy=sure(chosen), at_half=sure(0.8))))[-1]
    assert found.key == key
    assert found.values["gain"] == pytest.approx(gain)


@pytest.mark.parametrize(
    ("validation", "test", "key"),
    [
        (interval(0.91, 0.95, 0.97), interval(0.7, 0.8, 0.9), "validation_flatters"),
        (interval(0.90, 0.95, 0.97), interval(0.7, 0.8, 0.9), "validation_agrees"),
        (interval(0.7, 0.8, 0.9), interval(0.90, 0.95, 0.97), "validation_agrees"),
        (interval(0.7, 0.8, 0.9), interval(0.91, 0.95, 0.97), "validation_strict"),
    ],
)
def test_validation_is_held_against_test(validation: dict[str, float], test: dict[str, float], key: str) -> None:
    metrics = make_run_metrics(accuracy=test, validation={"accuracy": validation})
    assert keys(validation_and_test(metrics)) == [key]
    assert flatters(metrics, "accuracy") == (key == "validation_flatters")


@pytest.mark.parametrize("side", ["specificity", "sensitivity"])
def test_the_side_of_the_gap_is_named_where_it_is_shown(side: str) -> None:
    shown = make_run_metrics(validation={side: interval(0.91, 0.95, 0.97)}, **{side: interval(0.8, 0.85, 0.9)})
    assert keys(validation_and_test(shown)) == ["validation_agrees", f"{side}_gap"]
    touching = make_run_metrics(validation={side: interval(0.9, 0.95, 0.97)}, **{side: interval(0.8, 0.85, 0.9)})
    assert keys(validation_and_test(touching)) == ["validation_agrees"]


def test_where_nothing_failed_another_hospital_is_all_that_is_left_to_try() -> None:
    assert keys(what_to_try(make_run_metrics(), FINE)) == ["try_other_hospital"]


@pytest.mark.parametrize("name", ["accuracy", "specificity", "sensitivity"])
def test_robustness_is_to_be_tried_where_validation_flatters_accuracy_or_specificity(name: str) -> None:
    metrics = make_run_metrics(validation={name: interval(0.91, 0.95, 0.97)}, **{name: interval(0.8, 0.85, 0.9)})
    assert ("try_robustness" in keys(what_to_try(metrics, FINE))) == (name != "sensitivity")


def test_the_threshold_is_to_be_tried_where_ranking_is_better_than_the_decisions() -> None:
    for low, shown in ((0.911, True), (0.91, False)):
        metrics = make_run_metrics(accuracy=interval(0.85, 0.88, 0.91))
        metrics["test"]["auc"] = interval(low, 0.95, 0.97)
        assert ("try_threshold" in keys(what_to_try(metrics, FINE))) == shown


def test_regularisation_is_to_be_tried_where_training_is_well_above_validation() -> None:
    for train, shown in ((0.94, True), (0.931, True), (0.929, False), (0.85, False)):
        found = keys(what_to_try(make_run_metrics(), {**FINE, "train_accuracy": train}))
        assert ("try_regularisation" in found) == shown


def test_longer_training_is_to_be_tried_where_the_last_epoch_was_kept() -> None:
    for last in (True, False):
        assert ("try_longer" in keys(what_to_try(make_run_metrics(), {**FINE, "best_was_last": last}))) == last


def test_sensitivity_is_to_be_tried_where_misses_are_shown_to_be_commoner() -> None:
    for high, shown in ((0.79, True), (0.8, False)):
        metrics = make_run_metrics(sensitivity=interval(0.7, 0.75, high), specificity=interval(0.8, 0.85, 0.9))
        assert ("try_sensitivity" in keys(what_to_try(metrics, FINE))) == shown
