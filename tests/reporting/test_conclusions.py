"""Each rule says one thing on one side of its boundary and another on the other side."""

from typing import Any

import pytest

from chest_xray.metrics.results import Interval
from chest_xray.reporting.conclusions import (
    assess_calibration,
    assess_performance,
    assess_predictive_values,
    assess_shortcuts,
    compare_validation_and_test,
    describe_errors,
    find_side,
    find_weaker_aetiology,
    is_above,
    is_lower_on_test,
    suggest_next_steps,
)
from tests.builders import NONE, changed, counted, interval, make_metadata_metrics, make_run_metrics, make_stratum, sure

FINE = {"accuracy": 0.9, "val_accuracy": 0.9}


def keys(findings: Any) -> list[str]:
    return [finding.key for finding in findings]


def test_one_interval_is_above_another_where_they_do_not_meet() -> None:
    assert is_above(interval(0.71, 0.75, 0.8), interval(0.6, 0.65, 0.7))
    assert not is_above(interval(0.7, 0.75, 0.8), interval(0.6, 0.65, 0.7))
    assert not is_above(interval(0.6, 0.65, 0.7), interval(0.71, 0.75, 0.8))
    assert not is_above(Interval(value=0.9, low=None, high=0.91), sure(0.5))
    assert not is_above(sure(0.9), Interval(value=0.5, low=0.49, high=None))


def scale(measured: Interval) -> Interval:
    """The same in points."""
    return interval(*(100 * (each or 0) for each in (measured.low, measured.value, measured.high)))


@pytest.mark.parametrize(
    ("figure", "side"),
    [
        (interval(0.51, 0.6, 0.7), "above"),
        (interval(0.5, 0.6, 0.7), "around"),
        (interval(0.3, 0.4, 0.5), "around"),
        (interval(0.3, 0.4, 0.49), "below"),
        (Interval(value=0.6, low=0.51, high=None), "above"),
        (Interval(value=0.4, low=None, high=0.49), "below"),
        (Interval(value=0.4, low=0.3, high=None), "around"),
        (NONE, None),
    ],
)
def test_an_interval_lies_on_a_side_of_a_mark_or_around_it(figure: Interval, side: str | None) -> None:
    assert find_side(figure, 0.5) == side


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
def test_accuracy_is_held_against_the_bar(accuracy: Interval, key: str) -> None:
    found = keys(assess_performance(make_run_metrics(accuracy=accuracy), make_metadata_metrics()))
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
def test_accuracy_is_compared_with_the_larger_class(prevalence: float, low: float, key: str, majority: float) -> None:
    metrics = changed(make_run_metrics(accuracy=interval(low, 0.9, 0.95)), "test", prevalence=prevalence)
    (found,) = [
        finding for finding in assess_performance(metrics, make_metadata_metrics()) if "majority" in finding.key
    ]
    assert found.key == key
    assert found.values["majority"] == majority


@pytest.mark.parametrize(
    ("difference", "key"),
    [
        (interval(0.001, 0.02, 0.04), "better_than_baseline"),
        (interval(0.0, 0.02, 0.04), "not_better_than_baseline"),
        (interval(-0.04, -0.02, 0.0), "not_better_than_baseline"),
        (interval(-0.04, -0.02, -0.001), "worse_than_baseline"),
    ],
)
def test_accuracy_is_compared_with_the_metadata_baseline(difference: Interval, key: str) -> None:
    metadata_metrics = make_metadata_metrics(difference)
    (found,) = [each for each in assess_performance(make_run_metrics(), metadata_metrics) if "baseline" in each.key]
    assert found.key == key
    assert (found.values["feature"], found.values["baseline"].value) == ("width", 0.8)
    assert found.values["difference"] == scale(difference).with_n(100)


@pytest.mark.parametrize("name", ["lr_positive", "mcc"])
def test_metrics_that_could_not_be_computed_are_reported(name: str) -> None:
    metrics = changed(make_run_metrics(), "test.points.balanced", **{name: NONE.with_n(100)})
    found = {each.key: each.values for each in assess_performance(metrics, make_metadata_metrics())}
    assert found["undefined"] == {"missing": (name,)}
    assert "undefined" not in keys(assess_performance(make_run_metrics(), make_metadata_metrics()))


def test_precision_is_reported_where_there_is_one() -> None:
    assert "precision" in keys(assess_predictive_values(make_run_metrics()))
    assert (
        keys(assess_predictive_values(make_run_metrics(precision=NONE, ppv_realistic=NONE, npv_realistic=NONE))) == []
    )


@pytest.mark.parametrize(
    ("figure", "within", "conflict"),
    [
        (interval(0.51, 0.6, 0.7), "within_ranks", "conflict_mostly_right"),
        (interval(0.5, 0.6, 0.7), "within_not_shown", "conflict_undecided"),
        (interval(0.3, 0.4, 0.5), "within_not_shown", "conflict_undecided"),
        (interval(0.3, 0.4, 0.49), "within_reversed", "conflict_mostly_wrong"),
    ],
)
def test_what_the_network_knows_beyond_the_metadata_is_compared_with_chance(
    figure: Interval, within: str, conflict: str
) -> None:
    found = list(assess_shortcuts(make_run_metrics(), make_metadata_metrics(shortcut=figure)))
    assert [each.key for each in found] == [within, within, conflict]
    assert [each.values["by"] for each in found[:2]] == ["width", "metadata_score"]


def test_strata_without_pairs_and_a_missing_conflict_stratum_are_not_mentioned() -> None:
    assert not list(assess_shortcuts(make_run_metrics(), make_metadata_metrics(shortcut=NONE)))
    separated = assess_shortcuts(make_run_metrics(), make_metadata_metrics(shortcut=interval(1.0, 1.0, 1.0)))
    assert not [each for each in separated if each.key.startswith("within")]


def test_predictive_values_elsewhere_are_conditional_and_have_no_verdict() -> None:
    metrics = make_run_metrics(ppv_realistic=sure(0.3), npv_realistic=NONE)
    (found,) = [each for each in assess_predictive_values(metrics) if "elsewhere" in each.key]
    assert found == ("ppv_elsewhere", {"prevalence": 0.16, "ppv": sure(0.3).with_n(100)})


def test_without_a_false_positive_the_interval_does_not_shrink_to_a_point() -> None:
    certain = interval(1.0, 1.0, 1.0)
    metrics = make_run_metrics(
        ppv_realistic=certain,
        npv_realistic=certain,
        sensitivity=interval(0.8, 0.9, 0.95),
        specificity=interval(0.9, 1, 1),
    )
    metrics = changed(metrics, "test.points.balanced", tn=40, fp=0)
    found = {each.key: each.values for each in assess_predictive_values(metrics)}
    # 0.16 x 0.8 = 0.128 true and 0.84 x 0.1 = 0.084 false positives of all; there are false negatives, so NPV stays.
    assert found["ppv_elsewhere"]["ppv"].low == pytest.approx(0.128 / 0.212)
    assert found["npv_elsewhere_informs"]["npv"].low == 1.0
    metrics = changed(metrics, "test.points.balanced", fn=0, tp=60)
    found = {each.key: each.values for each in assess_predictive_values(metrics)}
    assert found["npv_elsewhere_informs"]["npv"].low == pytest.approx(0.756 / (0.756 + 0.032))


def test_separated_classes_have_an_area_without_an_interval() -> None:
    metrics = changed(make_run_metrics(), "test", auc=interval(1.0, 1.0, 1.0).with_n(100))
    found = keys(assess_performance(metrics, make_metadata_metrics()))
    assert [key for key in found if key.startswith("ranking")] == ["ranking_separated"]
    metrics = changed(metrics, "test", auc=interval(0.99, 0.9999, 1.0).with_n(100))
    assert "ranking" in keys(assess_performance(metrics, make_metadata_metrics()))


@pytest.mark.parametrize(
    ("npv", "key"),
    [
        (interval(0.85, 0.9, 0.95), "npv_elsewhere_informs"),
        (interval(0.84, 0.9, 0.95), "npv_elsewhere_not_shown"),
        (interval(0.7, 0.75, 0.8), "npv_elsewhere_not_shown"),
    ],
)
def test_a_negative_result_informs_where_it_is_above_what_was_known_before(npv: Interval, key: str) -> None:
    metrics = make_run_metrics(npv_realistic=npv)
    (found,) = [each for each in assess_predictive_values(metrics) if "npv_elsewhere" in each.key]
    assert found.key == key
    assert found.values["healthy"] == 0.84


def test_other_operating_points_are_reported_with_their_metrics_and_rules() -> None:
    metrics = changed(make_run_metrics(), "test.points.specificity", threshold=0.7, accuracy=sure(0.77).with_n(100))
    performance = list(assess_performance(metrics, make_metadata_metrics()))
    first, second = [finding.values for finding in performance if finding.key == "other_point"]
    assert (first["rule"], first["threshold"]) == ("sensitivity", 0.4)
    assert (second["rule"], second["threshold"]) == ("specificity", 0.7)
    assert second["accuracy"] == sure(0.77).with_n(100)


@pytest.mark.parametrize(
    ("reached", "keys"), [(True, ["holds_in_every_condition"]), (False, ["fails_in_some_condition"]), (None, [])]
)
def test_a_point_that_fails_its_rule_in_some_condition_is_reported(reached: bool | None, keys: list[str]) -> None:
    metrics = changed(make_run_metrics(), "operating_point.points.sensitivity", reached=reached)
    performance = assess_performance(metrics, make_metadata_metrics())
    assert [each.key for each in performance if each.values.get("rule") == "sensitivity"] == ["other_point", *keys]


def told_of_calibration(**calibration: Any) -> list[str]:
    return keys(assess_calibration(make_run_metrics(calibration=calibration)))


@pytest.mark.parametrize(
    ("ece", "key"), [(0.061, "error_beyond_chance"), (0.06, "error_within_chance"), (0.03, "error_within_chance")]
)
def test_the_calibration_error_is_compared_with_chance(ece: float, key: str) -> None:
    assert told_of_calibration(ece=sure(ece), ece_by_chance=0.06)[:2] == ["calibrated", key]


@pytest.mark.parametrize(
    ("slope", "key"),
    [
        (interval(0.7, 0.8, 0.99), "slope_too_extreme"),
        (interval(0.7, 0.8, 1.0), "slope_holds"),
        (interval(1.0, 1.2, 1.4), "slope_holds"),
        (interval(1.01, 1.2, 1.4), "slope_too_timid"),
        (Interval(value=1.2, low=1.01, high=None), "slope_open"),
        (NONE, None),
    ],
)
def test_the_slope_decides_whether_probabilities_are_too_extreme(slope: Interval, key: str | None) -> None:
    assert [each for each in told_of_calibration(slope=slope) if "slope" in each] == ([key] if key else [])
    tried = keys(suggest_next_steps(make_run_metrics(calibration={"slope": slope}), FINE))
    assert ("try_recalibration" in tried) == (key in {"slope_too_extreme", "slope_too_timid"})


@pytest.mark.parametrize(
    ("intercept", "slope", "key"),
    [
        (interval(0.01, 0.2, 0.49), sure(1), "level_too_low"),
        (interval(0.0, 0.3, 0.6), sure(1), "level_holds"),
        (interval(-0.4, -0.2, -0.01), sure(1), "level_too_high"),
        (NONE, sure(1), None),
        (interval(-4.5, -3.2, -2.4), NONE, None),  # The classes are separated.
    ],
)
def test_the_intercept_shows_whether_probabilities_are_too_high_or_too_low(
    intercept: Interval, slope: Interval, key: str | None
) -> None:
    metrics = make_run_metrics(calibration={"intercept": intercept, "slope": slope})
    assert [each for each in keys(assess_calibration(metrics)) if each.startswith("level")] == ([key] if key else [])
    if key:
        assert ("try_bias" in keys(suggest_next_steps(metrics, FINE))) == (key != "level_holds")


@pytest.mark.parametrize(
    ("sensitivity", "specificity", "key"),
    [
        (interval(0.81, 0.85, 0.9), interval(0.7, 0.75, 0.80), "misses_normal"),
        (interval(0.80, 0.85, 0.9), interval(0.7, 0.75, 0.80), "errors_balanced"),
        (interval(0.7, 0.75, 0.80), interval(0.80, 0.85, 0.9), "errors_balanced"),
        (interval(0.7, 0.75, 0.80), interval(0.81, 0.85, 0.9), "misses_pneumonia"),
    ],
)
def test_the_more_frequent_kind_of_error_is_named_if_it_is_shown(
    sensitivity: Interval, specificity: Interval, key: str
) -> None:
    first = next(iter(describe_errors(make_run_metrics(sensitivity=sensitivity, specificity=specificity))))
    assert first.key == key
    assert (first.values["num_normal"], first.values["num_pneumonia"]) == (40, 60)


def test_no_errors_are_reported_as_none() -> None:
    metrics = changed(make_run_metrics(), "test.points.balanced", tn=40, fp=0, fn=0, tp=60)
    assert keys(describe_errors(metrics))[0] == "no_errors"
    for error in ({"tn": 39, "fp": 1}, {"fn": 1, "tp": 59}):
        metrics = changed(make_run_metrics(), "test.points.balanced", **{"tn": 40, "fp": 0, "fn": 0, "tp": 60, **error})
        assert keys(describe_errors(metrics))[0] != "no_errors"


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
    bacterial: Interval, viral: Interval, weaker: str | None
) -> None:
    metrics = make_run_metrics(by_aetiology={"bacterial": bacterial, "viral": viral})
    assert find_weaker_aetiology(metrics) == weaker
    (found,) = [each for each in describe_errors(metrics) if each.key.endswith("weaker") or "aetiology" in each.key]
    both = counted({"bacterial": bacterial, "viral": viral})
    assert found == (f"{weaker}_weaker" if weaker else "aetiology_alike", both)
    tried = [key for key in keys(suggest_next_steps(metrics, FINE)) if key in {"try_bacterial", "try_viral"}]
    assert tried == ([f"try_{weaker}"] if weaker else [])


@pytest.mark.parametrize("known", [{}, {"unknown": sure(0.9)}, {"viral": sure(0.9)}])
def test_aetiologies_are_compared_where_both_are_known(known: dict[str, Interval]) -> None:
    found = keys(describe_errors(make_run_metrics(by_aetiology=known)))
    assert not {"bacterial_weaker", "viral_weaker", "aetiology_alike"} & set(found)


@pytest.mark.parametrize(
    ("half", "key", "corrected", "regressed", "p"),
    [
        # At the chosen threshold: tn 36, tp 54. Two-sided and exact: 2 x 0.5^6 = 0.03125, 2 x 0.5^5 = 0.0625.
        ({"tn": 30, "fp": 10}, "threshold_helps", 6, 0, 0.03125),
        ({"tn": 31, "fp": 9}, "threshold_alike", 5, 0, 0.0625),
        ({"fn": 0, "tp": 60}, "threshold_hurts", 0, 6, 0.03125),
        ({"fn": 1, "tp": 59}, "threshold_alike", 0, 5, 0.0625),
        ({"tn": 30, "fp": 10, "fn": 0, "tp": 60}, "threshold_alike", 6, 6, 1.0),
        ({}, "threshold_alike", 0, 0, 1.0),
    ],
)
def test_the_chosen_threshold_is_compared_with_one_half_by_the_decisions_that_change(
    half: dict[str, int], key: str, corrected: int, regressed: int, p: float
) -> None:
    found = list(describe_errors(changed(make_run_metrics(), "test.at_half", **half)))[-1]
    assert found.key == key
    assert [found.values[name] for name in ("corrected", "regressed", "p")] == [corrected, regressed, pytest.approx(p)]


WEAK, STRONG = interval(0.6, 0.65, 0.7), interval(0.71, 0.8, 0.9)


@pytest.mark.parametrize("by", ["aspect", "size"])
@pytest.mark.parametrize("name", ["sensitivity", "specificity", "auc"])
def test_a_stratum_is_named_where_it_is_shown_to_be_worse_than_another(by: str, name: str) -> None:
    strata = [make_stratum("< 1", by, **{name: WEAK}), make_stratum("≥ 1", by, **{name: STRONG})]
    metrics = make_run_metrics(strata=strata)
    (found,) = [each for each in describe_errors(metrics) if "strat" in each.key]
    assert found.key == "stratum_weaker"
    assert (found.values["by"], found.values["metric"]) == (by, name)
    assert (found.values["worse_range"], found.values["better_range"]) == ("< 1", "≥ 1")
    assert (found.values["worse"], found.values["better"]) == tuple(getattr(each, name) for each in strata)
    (tried,) = [each for each in suggest_next_steps(metrics, FINE) if each.key == "try_strata"]
    assert (tried.values["range"], tried.values["found"]) == ("< 1", getattr(strata[0], name))


@pytest.mark.parametrize(
    "weak",
    [
        interval(0.6, 0.65, 0.71),  # the intervals meet
        WEAK.with_n(9),  # too few images
        Interval(value=0.65, low=None, high=None),
    ],
)
def test_strata_are_not_reported_to_differ_without_evidence(weak: Interval) -> None:
    metrics = make_run_metrics(strata=[make_stratum("< 1", specificity=weak), make_stratum("≥ 1", specificity=STRONG)])
    told = [each for each in describe_errors(metrics) if "strat" in each.key]
    assert [each.key for each in told] == ["strata_alike"]
    compared = ("sensitivity", "specificity", "auc") if weak.high == 0.71 else ("sensitivity", "auc")
    assert told[0].values["metrics"] == compared  # of the others nothing is said
    assert "try_strata" not in keys(suggest_next_steps(metrics, FINE))


def test_ten_images_are_enough_to_be_held_against_others() -> None:
    weak = make_stratum("< 1", specificity=WEAK.with_n(10))
    metrics = make_run_metrics(strata=[weak, make_stratum("≥ 1", specificity=STRONG)])
    assert "stratum_weaker" in keys(describe_errors(metrics))


def test_one_stratum_alone_is_held_against_none() -> None:
    told = keys(describe_errors(make_run_metrics(strata=[make_stratum("all of them", specificity=WEAK)])))
    assert not [key for key in told if "strat" in key]


def test_a_stratum_that_lacks_a_class_is_reported_with_what_it_has() -> None:
    lacking = make_stratum("≥ 1", specificity=NONE, auc=NONE).model_copy(update={"num_normal": 0})
    (found,) = [each for each in describe_errors(make_run_metrics(strata=[lacking])) if "strat" in each.key]
    assert found.key == "stratum_undefined"
    assert (found.values["num_normal"], found.values["num_pneumonia"]) == (0, 30)
    assert found.values["lacking"] == ("specificity", "auc")


def test_the_metric_with_the_largest_gap_is_suggested() -> None:
    slightly = interval(0.71, 0.73, 0.75)
    strata = [make_stratum("< 1", sensitivity=WEAK, auc=STRONG), make_stratum("≥ 1", sensitivity=slightly, auc=WEAK)]
    (tried,) = [each for each in suggest_next_steps(make_run_metrics(strata=strata), FINE) if each.key == "try_strata"]
    assert (tried.values["metric"], tried.values["range"]) == ("auc", "≥ 1")  # 0.15 apart, the other 0.08


FALLS, FALLS_OR_NOT = interval(-0.1, -0.05, -0.001), interval(-0.1, -0.05, 0.0)
RISES, RISES_OR_NOT = interval(0.001, 0.05, 0.1), interval(0.0, 0.05, 0.1)


@pytest.mark.parametrize(
    ("gap", "key"),
    [
        (FALLS, "validation_flatters"),
        (FALLS_OR_NOT, "validation_agrees"),
        (RISES_OR_NOT, "validation_agrees"),
        (RISES, "validation_strict"),
    ],
)
def test_validation_is_compared_with_test(gap: Interval, key: str) -> None:
    metrics = make_run_metrics(gap={"balanced_accuracy": gap})
    (found,) = compare_validation_and_test(metrics)
    assert found.key == key
    assert found.values["gap"] == scale(gap)
    assert found.values["test"] == metrics.test.at_chosen.balanced_accuracy
    assert is_lower_on_test(metrics, "balanced_accuracy") == (key == "validation_flatters")


@pytest.mark.parametrize(
    ("name", "gap", "found"),
    [
        ("balanced_accuracy", interval(0.0, 0.0, 0.0), []),  # No resample differs.
        ("accuracy", FALLS, ["validation_agrees"]),  # It follows the prevalence.
        ("specificity", FALLS, ["validation_agrees", "specificity_gap"]),
        ("specificity", FALLS_OR_NOT, ["validation_agrees"]),
        ("sensitivity", FALLS, ["validation_agrees", "sensitivity_gap"]),
        ("sensitivity", FALLS_OR_NOT, ["validation_agrees"]),
    ],
)
def test_the_side_of_the_gap_is_named_where_it_is_shown(name: str, gap: Interval, found: list[str]) -> None:
    assert keys(compare_validation_and_test(make_run_metrics(gap={name: gap}))) == found


def test_where_nothing_failed_another_hospital_is_all_that_is_left_to_try() -> None:
    well_ranked = changed(make_run_metrics(accuracy=sure(0.8)), "test", auc=sure(0.98).with_n(100))
    for metrics in (make_run_metrics(), well_ranked):
        assert keys(suggest_next_steps(metrics, FINE)) == ["try_other_hospital"]


@pytest.mark.parametrize("name", ["balanced_accuracy", "specificity", "sensitivity", "accuracy"])
def test_another_validation_is_to_be_tried_where_this_one_flatters(name: str) -> None:
    tried = keys(suggest_next_steps(make_run_metrics(gap={name: FALLS}), FINE))
    assert ("try_other_validation" in tried) == (name in {"balanced_accuracy", "specificity"})


@pytest.mark.parametrize(
    ("sensitivity", "specificity", "shown"),
    [
        (RISES, FALLS, True),
        (FALLS, RISES, True),
        (RISES, FALLS_OR_NOT, False),
        (RISES_OR_NOT, FALLS, False),
        (FALLS, FALLS, False),
        (RISES, RISES, False),
    ],
)
def test_another_threshold_is_suggested_if_the_rates_move_in_opposite_directions(
    sensitivity: Interval, specificity: Interval, shown: bool
) -> None:
    metrics = make_run_metrics(gap={"sensitivity": sensitivity, "specificity": specificity})
    assert ("try_threshold" in keys(suggest_next_steps(metrics, FINE))) == shown


def test_regularisation_is_to_be_tried_where_training_is_above_the_interval_of_validation() -> None:
    # Wilson's interval of 90 in 100 is 0.8256 to 0.9448.
    for train, shown in ((0.945, True), (0.944, False), (0.85, False), (0.8, False)):
        found = keys(suggest_next_steps(make_run_metrics(), {**FINE, "accuracy": train}))
        assert ("try_regularisation" in found) == shown


def test_overfitting_is_not_concluded_from_a_gap_that_its_numbers_do_not_show() -> None:
    # Wilson's interval of 177 in 178 ends at 0.99901: as far as it is written, where training is.
    metrics = changed(make_run_metrics(), "validation", num_images=178)
    for train, shown in ((1021 / 1022, False), (1.0, True)):
        found = keys(suggest_next_steps(metrics, {"accuracy": train, "val_accuracy": 177 / 178}))
        assert ("try_regularisation" in found) == shown


@pytest.mark.parametrize(("rate", "other"), [("specificity", "sensitivity"), ("sensitivity", "specificity")])
@pytest.mark.parametrize(("high", "shown"), [(0.79, True), (0.8, False)])
def test_the_rate_of_the_commoner_error_is_to_be_tried(rate: str, other: str, high: float, shown: bool) -> None:
    rates: dict[str, Any] = {rate: interval(0.7, 0.75, high), other: interval(0.8, 0.85, 0.9)}
    metrics = make_run_metrics(**rates)
    assert (f"try_{rate}" in keys(suggest_next_steps(metrics, FINE))) == shown
