"""The threshold is chosen as it was asked for, and scores become probabilities that hold where they are used."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.special import expit

from chest_xray.core.types import InputError
from chest_xray.metrics.operating_point import (
    Calibration,
    OperatingPoint,
    OperatingPointRule,
    Point,
    ReferralBand,
    add_calibrated,
    calibrate,
    choose_points,
    compute_log_odds,
    compute_logit,
    fit_calibration,
    format_probability,
)
from chest_xray.pipelines.modeling.nodes import choose_operating_point, summarise_corruptions
from tests.builders import TITLE, make_one_point, make_point, make_predictions, make_run


def make_rule(rule: str = "balanced", prevalence: float = 0.5, **least: float) -> OperatingPointRule:
    required = {"min_sensitivity": 0.75, "min_specificity": 0.75, "min_counterpart": 0.1, **least}
    return OperatingPointRule.model_validate({"rule": rule, "expected_prevalence": prevalence, **required})


def choose(rule: str, table: pd.DataFrame, **least: float) -> dict[str, Any]:
    """The point that decides by this rule, without its log odds; calibration changes nothing."""
    points = choose_points(table, make_rule(rule, **least))
    assert list(points) == ["balanced", "sensitivity", "specificity"]
    return points[rule].model_dump(exclude={"log_odds"})  # type: ignore[index]


def test_a_band_is_chosen_around_the_point_that_decides_unless_it_is_switched_off() -> None:
    table = make_predictions([1, 0] * 40, np.linspace(0.02, 0.98, 80).tolist()).assign(kind="none", strength=0.0)
    rule = make_rule("sensitivity")
    assert choose_operating_point(table, rule, make_run()).band is None
    found = choose_operating_point(table, rule.model_copy(update={"max_referred": 0.25}), make_run())
    assert found.band is not None
    log_odds = compute_log_odds(table["logit"], found.calibration)
    assert found.find_referred(log_odds).sum() in (19, 20)
    low, high = found.bounds
    is_between = (expit(log_odds) > low) & (expit(log_odds) < high)
    assert (is_between == found.find_referred(log_odds)).all()
    older = OperatingPoint.model_validate(found.model_dump(exclude={"band"}))
    assert not older.find_referred(log_odds).any()
    assert older.bounds == (older.chosen.threshold, older.chosen.threshold)
    with pytest.raises(ValidationError, match="half_width\n  Input should be greater than or equal to 0 "):
        ReferralBand(max_referred=0.25, half_width=-0.5)


def expect(threshold: float, whole: tuple[float, float], worst: tuple[float, float], *, reached: bool) -> Any:
    """A point with sensitivity and specificity over all conditions, and in the worst condition for each."""
    names = ("sensitivity", "specificity")
    shares = dict(zip((*names, *map("worst_{}".format, names)), (*whole, *worst), strict=True))
    return pytest.approx({"threshold": threshold, **shares, "reached": reached})


# PNEUMONIA at 0.9, 0.7, 0.5, 0.3 and NORMAL at 0.8, 0.6, 0.4, 0.2.
LABELS, PROBABILITIES = [1, 0, 1, 0, 1, 0, 1, 0], [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2]
ALTERNATING = make_predictions(LABELS, PROBABILITIES)


@pytest.mark.parametrize(
    ("least", "threshold", "shares"),
    [
        (0.1, 0.9, (0.25, 1.0)),
        (0.25, 0.9, (0.25, 1.0)),
        (0.26, 0.7, (0.5, 0.75)),
        (0.75, 0.5, (0.75, 0.5)),
        (0.76, 0.3, (1.0, 0.25)),
        (0.99, 0.3, (1.0, 0.25)),
    ],
)
def test_the_highest_threshold_with_enough_sensitivity(
    least: float, threshold: float, shares: tuple[float, float]
) -> None:
    found = choose("sensitivity", ALTERNATING, min_sensitivity=least)
    assert found == expect(threshold, shares, shares, reached=True)


@pytest.mark.parametrize(
    ("least", "threshold", "shares"),
    [
        (0.25, 0.3, (1.0, 0.25)),
        (0.26, 0.5, (0.75, 0.5)),
        (0.75, 0.7, (0.5, 0.75)),
        (0.76, 0.9, (0.25, 1.0)),
    ],
)
def test_the_lowest_threshold_with_enough_specificity(
    least: float, threshold: float, shares: tuple[float, float]
) -> None:
    found = choose("specificity", ALTERNATING, min_specificity=least)
    assert found == expect(threshold, shares, shares, reached=True)


def make_conditions(**conditions: Sequence[float]) -> pd.DataFrame:
    """Probabilities under each condition, of PNEUMONIA images in the first half, and of NORMAL ones."""
    tables = [
        make_predictions(np.repeat([1, 0], len(each) // 2).tolist(), each).assign(kind=kind)
        for kind, each in conditions.items()
    ]
    return pd.concat(tables, ignore_index=True)


# Noise moves all scores upwards, and crop mixes the classes.
CONDITIONS = make_conditions(none=[0.6, 0.5, 0.2, 0.1], noise=[0.9, 0.8, 0.55, 0.3], crop=[0.7, 0.35, 0.4, 0.25])


def test_the_balanced_point_has_the_best_worst_condition_and_not_the_best_mean() -> None:
    clear = [0.9, 0.9, 0.9, 0.9, 0.5, 0.1, 0.1, 0.1]
    table = make_conditions(none=clear, noise=clear, crop=[0.9, 0.9, 0.4, 0.4, 0.5, 0.1, 0.1, 0.1])
    # At 0.9, all but two of 12 PNEUMONIA are found, but half of those under crop are lost, and all NORMAL are cleared:
    # 10/12 + 1. At 0.4, nobody is lost, and one of four NORMAL is a false positive in every condition: 1 + 9/12.
    assert choose("balanced", table) == expect(0.4, (1, 0.75), (1, 0.75), reached=True)
    assert choose("balanced", table, min_counterpart=0.76)["reached"] is False


def test_sensitivity_is_required_of_every_condition() -> None:
    # All PNEUMONIA are found under crop from 0.35 on; over all conditions, 5 of 6 would be found at 0.5.
    least = {"min_sensitivity": 0.8, "min_counterpart": 0.5}
    assert choose("sensitivity", CONDITIONS, **least) == expect(0.35, (1, 4 / 6), (1, 0.5), reached=True)


def test_specificity_is_required_of_every_condition() -> None:
    # Above 0.55 every condition clears all: the next score is 0.6.
    least = {"min_specificity": 0.8, "min_counterpart": 0.5}
    assert choose("specificity", CONDITIONS, **least) == expect(0.6, (4 / 6, 1), (0.5, 1), reached=True)


def test_a_requirement_without_a_useful_counterpart_falls_back_to_pooled_conditions_and_is_reported_as_failed() -> None:
    least = {"min_sensitivity": 0.8, "min_specificity": 0.8, "min_counterpart": 0.6}
    found = choose("sensitivity", CONDITIONS, **least)
    assert found == expect(0.5, (5 / 6, 5 / 6), (0.5, 0.5), reached=False)
    found = choose("specificity", CONDITIONS, **least)
    assert found == expect(0.5, (5 / 6, 5 / 6), (0.5, 0.5), reached=False)


def test_a_point_of_specificity_without_any_positive_is_reported() -> None:
    table = make_predictions([0, 1, 1, 0], [0.9, 0.8, 0.7, 0.1])
    found = choose("specificity", table, min_specificity=0.95)
    assert found == expect(0.9, (0, 1), (0, 1), reached=False)
    point = choose_points(table, make_rule(min_specificity=0.95))["specificity"]
    assert point.log_odds > table["log_odds"].max()


@pytest.mark.parametrize(("num", "threshold"), [(1, 0.6), (2, 0.5)])
def test_a_share_that_equals_the_requirement_satisfies_it(num: int, threshold: float) -> None:
    # One of 20 PNEUMONIA at 0.5, or two: 19 of 20 is 0.95, and 18 of 20 is not.
    table = make_predictions([1] * 20 + [0] * 20, [0.5] * num + [0.6] * (20 - num) + [0.1] * 20)
    assert choose("sensitivity", table, min_sensitivity=0.95)["threshold"] == pytest.approx(threshold)
    mirrored = make_predictions([0] * 20 + [1] * 20, [0.5] * num + [0.4] * (20 - num) + [0.9] * 20)
    expected = 0.5 if num == 1 else 0.9
    assert choose("specificity", mirrored, min_specificity=0.95)["threshold"] == pytest.approx(expected)


def test_equal_balance_is_decided_by_the_sum_and_then_by_the_height() -> None:
    # At 0.8: 2/3 and 1; at 0.6: 1 and 2/3. Floats must not break the tie.
    found = choose("balanced", make_predictions([1, 1, 0, 1, 0, 0], [0.9, 0.8, 0.7, 0.6, 0.3, 0.1]))
    assert found["threshold"] == pytest.approx(0.8)
    # At 0.8: 1/2 and 1; at 0.7: 1/2 and 1/2.
    found = choose("balanced", make_predictions([1, 0, 1, 0], [0.8, 0.7, 0.6, 0.1]))
    assert found["threshold"] == pytest.approx(0.8)


@pytest.mark.parametrize("probabilities", [[1.0, 1.0, 1.0, 1.0], [1.0, 0.9, 0.2, 0.1]])
def test_a_network_without_information_or_with_reversed_ranking_reaches_nothing(
    probabilities: list[float],
) -> None:
    points = choose_points(make_predictions([0, 0, 1, 1], probabilities), make_rule(min_counterpart=0.5))
    assert [point.reached for point in points.values()] == [False] * 3


def test_images_of_one_score_have_one_decision() -> None:
    # 0.6 is shared by a PNEUMONIA and a NORMAL image: the threshold takes both or neither.
    found = choose("sensitivity", make_predictions([1, 1, 0, 0], [0.9, 0.6, 0.6, 0.1]), min_sensitivity=0.99)
    assert found == expect(0.6, (1, 0.5), (1, 0.5), reached=True)


tables = st.lists(
    st.tuples(
        st.integers(0, 1), st.sampled_from(["none", "noise"]), st.sampled_from([-60.0, -40.0, -1.0, 0.5, 40, 60])
    ),
    min_size=4,
    max_size=40,
).filter(lambda rows: all({label for label, kind, _ in rows if kind == each} == {0, 1} for each in ("none", "noise")))


@settings(deadline=None, max_examples=50)
@given(tables, st.sampled_from([(1.0, 0.0, 0.5), (0.3, 2.0, 0.16), (1e6, 0.0, 0.2), (4.0, -1.0, 0.9)]))
def test_decisions_do_not_depend_on_the_calibration(
    rows: list[tuple[int, str, float]], calibration: tuple[float, float, float]
) -> None:
    temperature, bias, prevalence = calibration
    fields = {"temperature": temperature, "bias": bias, "expected_prevalence": prevalence}
    table = pd.DataFrame(rows, columns=["label", "kind", "logit"]).assign(strength=0.0)
    table["logit"] = table["logit"].astype(np.float32)
    scored = table.assign(log_odds=compute_log_odds(table["logit"], Calibration(**fields)))
    raw = choose_points(table.assign(log_odds=table["logit"].astype(float)), make_rule())
    for rule, point in choose_points(scored, make_rule()).items():
        # Also where the probability of 40 and of 60 is 1 in floats.
        assert ((scored["log_odds"] >= point.log_odds) == (table["logit"].astype(float) >= raw[rule].log_odds)).all()
        decision = scored["log_odds"] >= point.log_odds
        assert point.sensitivity == decision[table["label"] == 1].mean()
        assert point.specificity == pytest.approx(1 - decision[table["label"] == 0].mean())
        shares = [decision[(table["label"] == 1) & (table["kind"] == kind)].mean() for kind in ("none", "noise")]
        assert point.worst_sensitivity == min(shares)
        shares = [decision[(table["label"] == 0) & (table["kind"] == kind)].mean() for kind in ("none", "noise")]
        assert point.worst_specificity == pytest.approx(1 - max(shares))


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(-60, 60, width=32), min_size=2, max_size=20), st.floats(0.2, 5), st.floats(-3, 3))
def test_calibration_never_reverses_two_scores(logits: list[float], temperature: float, bias: float) -> None:
    calibration = Calibration(temperature=temperature, bias=bias, expected_prevalence=0.16)
    log_odds = compute_log_odds(np.sort(np.array(logits, np.float32)), calibration)
    assert (np.diff(log_odds) >= 0).all()
    assert compute_logit(float(log_odds[0]), calibration) == pytest.approx(min(logits), abs=1e-9)


def test_the_order_of_images_does_not_matter() -> None:
    assert choose_points(CONDITIONS[::-1], make_rule()) == choose_points(CONDITIONS, make_rule())


@pytest.mark.parametrize("rule", ["balanced", "sensitivity", "specificity"])
def test_all_points_are_computed_whichever_decides(rule: str) -> None:
    found = choose_operating_point(CONDITIONS, make_rule(rule), make_run())
    assert (found.run, found.rule, found.chosen) == (TITLE, rule, found.points[rule])  # type: ignore[index]
    assert found.calibration == fit_calibration(CONDITIONS, 0.5)
    scored = add_calibrated(CONDITIONS, found)
    assert found.points == choose_points(scored, make_rule(rule))
    np.testing.assert_allclose(scored["probability"], expit(scored["log_odds"]))


def test_images_of_one_class_alone_are_refused() -> None:
    for label, labels in ((1, [1, 1]), (0, [0, 0])):
        with pytest.raises(
            InputError, match=rf"all of one class \(label {label}\); expected both. Raise hold_out.share"
        ):
            choose_operating_point(make_predictions(labels, [0.2, 0.8]), make_rule(), make_run())


@pytest.mark.parametrize(
    ("probability", "written"),
    [
        *((0.5, "0.500"), (0.9, "0.900"), (0.99951, "0.9995"), (0.9999, "0.9999"), (1 - 1e-6, "0.999999")),
        *(
            (0.0004, "0.0004"),
            (2.14e-8, "2.1e-08"),
            (1 - 2.14e-8, "1 - 2.1e-08"),
            (1.0, "> 1 - 1e-16"),
            (0.0, "< 1e-300"),
        ),
    ],
)
def test_a_probability_is_never_written_as_1(probability: float, written: str) -> None:
    assert format_probability(probability) == written


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
    found = calibrate(pd.Series([logit], dtype=np.float32), make_point(0.5, 0.25, "balanced", **changes).calibration)
    assert found.dtype == np.float64
    assert found[0] == pytest.approx(probability, rel=1e-6)


def test_the_expected_prevalence_moves_probabilities_with_their_thresholds_and_not_decisions() -> None:
    points = [choose_operating_point(ALTERNATING, make_rule(prevalence=each), make_run()) for each in (0.1, 0.9)]
    rare, common = (add_calibrated(ALTERNATING, each) for each in points)
    assert (rare["probability"] < common["probability"]).all()
    for rule, point in points[0].points.items():
        assert point.threshold < points[1].points[rule].threshold
        decided = rare["log_odds"] >= point.log_odds, common["log_odds"] >= points[1].points[rule].log_odds
        assert (decided[0] == decided[1]).all()


def make_shifted() -> pd.DataFrame:
    """Four images unaltered and with noise, which takes the NORMAL ones upwards."""
    table = make_predictions([0, 0, 1, 1] * 2, [0.1, 0.2, 0.6, 0.9, 0.3, 0.7, 0.5, 0.8])
    return table.assign(kind=["none"] * 4 + ["noise"] * 4, strength=[0.0] * 4 + [0.1] * 4)


def test_shift_is_summarised_over_all_conditions_and_for_each() -> None:
    # Pooled: of 16 pairs, 0.7 (NORMAL) is above 0.6 and 0.5; under noise alone above 0.5 of 4 pairs.
    assert summarise_corruptions(make_shifted(), make_point(0.55), make_rule()).model_dump() == {
        "num_images": 8,
        "auc": pytest.approx(14 / 16),
        "worst_auc": 0.75,  # One of two conditions is the worst quarter.
        "specificity": 0.75,  # At 0.6, three of four PNEUMONIA are found, and 0.7 alone is a false positive.
        "conditions": [
            {"kind": "none", "strength": 0.0, "auc": 1.0, "sensitivity": 1.0, "specificity": 1.0},
            {"kind": "noise", "strength": 0.1, "auc": 0.75, "sensitivity": 0.5, "specificity": 0.5},
        ],
    }


def test_a_score_at_the_threshold_is_positive_on_corrupted_images_too() -> None:
    first, noise = summarise_corruptions(make_shifted(), make_point(0.7), make_rule()).conditions
    assert (first.sensitivity, noise.sensitivity, noise.specificity) == (0.5, 0.5, 0.5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rule": "best"}, "rule: received 'best', but Input should be 'balanced', 'sensitivity' or 'specificity'"),
        ({"min_sensitivity": 95}, "min_sensitivity: received 95, but Input should be less than 1"),
        ({"expected_prevalence": 0}, "expected_prevalence: received 0, but Input should be greater than 0"),
        ({"prevalence": 0.5}, "prevalence: received 0.5, but Extra inputs are not permitted"),
    ],
)
def test_an_impossible_rule_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        OperatingPointRule.model_validate({**make_rule().model_dump(), **changes})


def test_a_point_of_the_rule_that_decides_is_required() -> None:
    plain = make_point(0.5).model_dump()
    del plain["points"]["balanced"]
    with pytest.raises(
        ValidationError, match=r"'balanced' decides, but there are only points of \['sensitivity', 'spec"
    ):
        OperatingPoint.model_validate(plain)


def test_the_two_forms_of_a_threshold_have_to_agree() -> None:
    with pytest.raises(ValidationError, match=r"threshold 0.5 is not the probability 0.88\d+ of log_odds"):
        Point.model_validate(make_one_point(0.5, log_odds=2.0))


@pytest.mark.parametrize("name", ["sensitivity", "specificity", "worst_sensitivity", "worst_specificity"])
@pytest.mark.parametrize(("share", "refused"), [(-0.001, True), (0.0, False), (1.0, False), (1.001, True)])
def test_the_metrics_of_a_point_are_between_0_and_1(name: str, share: float, refused: bool) -> None:
    fields = make_one_point(0.5, **{name: share})
    if refused:
        with pytest.raises(ValidationError, match=rf"{name}\n  Input should be (greater|less) than or equal to [01] "):
            Point.model_validate(fields)
    else:
        assert getattr(Point.model_validate(fields), name) == share
