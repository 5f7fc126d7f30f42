"""What the report shows of abstention follows from the numbers, at and around each boundary."""

import numpy as np
import pytest

from chest_xray.metrics.abstention import measure_abstention
from chest_xray.metrics.binary import proportion
from chest_xray.metrics.results import Interval, Metrics
from chest_xray.reporting.abstention import draw_net_benefit, draw_risk_coverage, find_abstention
from chest_xray.reporting.style import Labels
from chest_xray.reporting.tables import tabulate_abstention
from tests.builders import (
    axes_of,
    changed,
    interval,
    make_abstention,
    make_evaluation,
    make_point,
    make_predictions,
    make_run_metrics,
    with_band,
)

NUM = 200  # simulated splits
TABLE = make_predictions([1, 0, 1, 0] * 5, [0.9, 0.2, 0.4, 0.55] * 5)
FOUND, CURVES = measure_abstention(TABLE, TABLE, with_band(make_point(0.5), 0.3), make_evaluation())


def find_keys(metrics: Metrics) -> dict[str, str]:
    """The key of each finding on the likelihood ratios, with the strength that it names."""
    found = find_abstention(make_abstention(), metrics)["abstention"]
    return {each.key: str(each.values.get("strength", "")) for each in found if "_shift" in each.key}


@pytest.mark.parametrize(
    ("low", "key", "strength"),
    [
        (0.99, "positive_shift_not_shown", ""),
        (1.01, "positive_shift", "shift_minimal"),
        (2.01, "positive_shift", "shift_small"),
        (5.0, "positive_shift", "shift_small"),
        (5.01, "positive_shift", "shift_moderate"),
        (10.0, "positive_shift", "shift_moderate"),
        (10.01, "positive_shift", "shift_large"),
    ],
)
def test_a_shift_is_named_by_the_end_of_its_interval_nearest_to_1(low: float, key: str, strength: str) -> None:
    assert find_keys(make_run_metrics(lr_positive=interval(low, low + 3, low + 9)))[key] == strength
    mirrored = interval(0, 0.5 / low, 1 / low)
    assert find_keys(make_run_metrics(lr_negative=mirrored))[key.replace("positive", "negative")] == strength


def test_without_a_false_alarm_the_answer_pneumonia_has_no_upper_end() -> None:
    ratio = Interval(value=30, low=12, high=None).with_n(100).model_dump()
    metrics = changed(make_run_metrics(), "test.points.balanced", lr_positive=ratio)
    keys = {each.key for each in find_abstention(make_abstention(), metrics)["abstention"]}
    assert "positive_shift_open" in keys
    assert "positive_shift" not in keys


@pytest.mark.parametrize(("reached", "often"), [(0.95, (0, 0.06)), (0.91, (0.2, 0.8)), (0.8, (0.98, 1))])
def test_a_violated_guarantee_is_reported_only_if_it_is_shown(reached: float, often: tuple[float, float]) -> None:
    rng, broken = np.random.default_rng(4), 0
    for _ in range(NUM):
        abstention = make_abstention()
        share = proportion(int(rng.binomial(234, reached)), 234)
        conformal = abstention.conformal.model_copy(update={"reached": {"NORMAL": share}})
        found = find_abstention(abstention.model_copy(update={"conformal": conformal}), make_run_metrics())
        broken += "conformal_broken" in {each.key for each in found["abstention"]}
    assert often[0] <= broken / NUM <= often[1]


def test_the_band_covers_the_images_that_are_answered_last() -> None:
    (axes,) = axes_of(draw_risk_coverage(CURVES, FOUND, "as a trial", Labels("phantoms")))
    (span,) = [each for each in axes.patches if each.get_alpha()]
    assert span.get_x() == pytest.approx(0.75)  # A quarter of the images, at 0.55, is referred.
    assert axes.get_lines()[0].get_ydata().tolist() == pytest.approx([1, 1, 2 / 3, 0.5])
    without = FOUND.model_copy(update={"referral": None})
    assert len(axes_of(draw_risk_coverage(CURVES, without, "as a trial", Labels("phantoms")))[0].patches) == 0


def test_each_prevalence_has_its_decision_curves_beside_all_and_none() -> None:
    axes = axes_of(draw_net_benefit(CURVES, "as a trial", Labels("phantoms")))
    assert [each.get_title() for each in axes] == ["prevalence 10%", "prevalence 40%"]
    for place, prevalence in zip(axes, (0.1, 0.4), strict=True):
        lines = {each.get_label(): each for each in place.get_lines()}
        everyone = lines["all treated"]
        assert everyone.get_ydata()[0] == pytest.approx(prevalence - (1 - prevalence) / 99)
        assert lines["treated if classified as PNEUMONIA"].get_ydata()[0] == pytest.approx(
            0.5 * prevalence - 0.5 * (1 - prevalence) / 99
        )


def test_the_table_has_what_was_promised_or_chance_would_give_beside_each_value() -> None:
    table = tabulate_abstention(FOUND).set_index("metric")
    assert table["expected"].dropna().to_dict() == {
        **{"risk_coverage_area": 0.5, "errors_referred": 0.25, "accuracy_answered": 0.5},
        **{"reached_NORMAL": 0.9, "reached_PNEUMONIA": 0.9},
    }
    assert table["test"].to_dict()["referred"]["value"] == 0.25
    assert "referred" not in tabulate_abstention(FOUND.model_copy(update={"referral": None}))["metric"].tolist()
