"""Figures on abstention show the curves, the band and what they are compared with."""

import pytest

from chest_xray.metrics.abstention import measure_abstention
from chest_xray.reporting.abstention_figures import draw_net_benefit, draw_risk_coverage
from chest_xray.reporting.style import Labels
from chest_xray.reporting.tables import tabulate_abstention
from tests.builders import axes_of, make_evaluation, make_point, make_predictions, with_band

TABLE = make_predictions([1, 0, 1, 0] * 5, [0.9, 0.2, 0.4, 0.55] * 5)
FOUND, CURVES = measure_abstention(TABLE, TABLE, with_band(make_point(0.5), 0.3), make_evaluation())


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
