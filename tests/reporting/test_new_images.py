"""The page of an external evaluation says the same in each language, and loads nothing."""

import re

import pytest

from chest_xray.models.batch import ExternalEvaluation
from chest_xray.reporting.i18n import languages
from chest_xray.reporting.new_images import (
    draw_external,
    render_external,
    tabulate_external,
    tabulate_refusals,
    tabulate_shift,
)
from chest_xray.reporting.report_contents import Report
from chest_xray.reporting.style import Labels
from tests.builders import axes_of, encode, make_pixels
from tests.models.test_batch import evaluate, make_predictions
from tests.reporting.inputs import make_evidence

RECORD = make_evidence()["run_record"]


@pytest.fixture(scope="module")
def evaluation() -> ExternalEvaluation:
    return evaluate(make_predictions())


@pytest.mark.parametrize(
    ("language", "sentence"),
    [
        ("en", "With every refused image counted as an error, sensitivity is 0.667"),
        ("ru", "Если считать каждый отказ ошибкой, чувствительность равна 0,667"),
    ],
)
def test_the_page_has_the_metrics_in_the_language_and_loads_nothing(
    language: str, sentence: str, evaluation: ExternalEvaluation
) -> None:
    report = Report(synthetic=False, data_licence="", num_test_looks=None)
    page = render_external(evaluation, dict.fromkeys(languages(), encode(make_pixels(1)[0])), RECORD, report, language)
    assert sentence in " ".join(page.split())
    assert "site B" in page
    assert not re.findall(r"(?:src|href)=\"(?!#|data:)", page)


def test_tables_have_every_metric_measure_and_reason(evaluation: ExternalEvaluation) -> None:
    rows = {row["metric"]: row for row in tabulate_external(evaluation).to_dict("records")}
    assert rows["sensitivity"]["external"]["value"] == pytest.approx(4 / 5)
    assert rows["sensitivity"]["refused_as_errors"]["value"] == pytest.approx(4 / 6)
    assert rows["auc"]["refused_as_errors"] is None
    assert tabulate_refusals(evaluation).to_dict("records") == [
        {"reason": "not_frontal_chest", "NORMAL": 1, "PNEUMONIA": 1}
    ]
    assert tabulate_shift(evaluation)["measure"].tolist()[0] == "probability"


def test_the_figure_counts_answered_images_alone_and_marks_the_frozen_threshold(
    evaluation: ExternalEvaluation,
) -> None:
    left, right = axes_of(draw_external(make_predictions(), evaluation, Labels("site B")))
    assert [text.get_text() for text in left.get_legend().get_texts()] == ["NORMAL: n = 7", "PNEUMONIA: n = 5"]
    (point,) = (line for line in right.lines if line.get_label() == "frozen threshold")
    assert (point.get_xdata()[0], point.get_ydata()[0]) == pytest.approx((1 / 7, 4 / 5))
