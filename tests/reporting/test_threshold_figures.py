"""The threshold explorer shows at each threshold what counting by hand gives."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from kedro_datasets.plotly import JSONDataset
from scipy.special import logit

from chest_xray.pipelines.evaluation.nodes import compute_metrics
from chest_xray.reporting.evaluation_figures import draw_threshold_explorer, tabulate_thresholds
from chest_xray.reporting.style import Labels
from tests.builders import TITLE, make_evaluation, make_point, make_predictions

LABELS = Labels("phantoms")
TEST = make_predictions([0, 0, 1, 1, 1], [0.2, 0.7, 0.3, 0.6, 0.9])


@pytest.fixture
def figure() -> Any:
    metrics = compute_metrics(TEST, TEST, make_point(0.35), make_evaluation(seed=1))
    return draw_threshold_explorer(TEST, metrics, LABELS)


def test_every_threshold_has_its_four_counts() -> None:
    table = tabulate_thresholds(TEST)
    assert table["threshold"].tolist() == ["", "0.900", "0.700", "0.600", "0.300", "0.200"]
    assert table[["tp", "fn", "tn", "fp"]].to_numpy().tolist() == [
        *([0, 3, 2, 0], [1, 2, 2, 0], [1, 2, 1, 1], [2, 1, 1, 1], [3, 0, 1, 1], [3, 0, 0, 2])
    ]
    assert table["sensitivity"].tolist() == pytest.approx([0, 1 / 3, 1 / 3, 2 / 3, 1, 1])
    assert table["specificity"].tolist() == [1, 1, 0.5, 0.5, 0.5, 0]
    assert table["log_odds"].tolist()[1:] == pytest.approx(logit([0.9, 0.7, 0.6, 0.3, 0.2]))
    assert table["log_odds"].is_monotonic_decreasing


@pytest.mark.parametrize("probabilities", [[0.5] * 3, [0.0, 1.0, 1.0], [1.0, 0.0, 1.0]])
def test_counts_are_right_with_equal_and_certain_scores(probabilities: list[float]) -> None:
    table = tabulate_thresholds(make_predictions([0, 1, 1], probabilities))
    assert (table["tp"] + table["fn"]).tolist() == [2] * len(table)
    assert (table["tn"] + table["fp"]).tolist() == [1] * len(table)
    assert table[["tp", "fp"]].iloc[-1].tolist() == [2, 1]


def test_the_explorer_draws_the_three_curves_and_shows_the_counts_of_each_threshold(figure: Any) -> None:
    table = tabulate_thresholds(TEST)
    roc, sensitivity, specificity, *points = figure.data
    assert [each.name for each in (roc, sensitivity, specificity)] == ["ROC curve", "sensitivity", "specificity"]
    assert (list(roc.x), list(roc.y)) == ((1 - table["specificity"]).tolist(), table["sensitivity"].tolist())
    for line in (sensitivity, specificity):
        assert (list(line.x), list(line.y)) == (table["log_odds"].tolist(), table[line.name].tolist())
    table.loc[0, "threshold"] = "above every score"
    told = table[["threshold", "sensitivity", "specificity", "tp", "fn", "tn", "fp"]].to_numpy(object).tolist()
    for line in (roc, sensitivity, specificity):
        assert [list(each) for each in line.customdata] == told
    assert [point.name for point in points] == [
        *("threshold 0.500 (uncalibrated 0.5)", "threshold 0.350 (balanced, decides)"),
        *("threshold 0.250 (sensitivity)", "threshold 0.250 (specificity)"),
    ]
    # At 0.5 two of three PNEUMONIA are found and one of two NORMAL cleared.
    assert points[0].customdata[0] == ["0.500", pytest.approx(2 / 3), 0.5, 2, 1, 1, 1]
    assert (points[0].x[0], points[0].y[0]) == (0.5, pytest.approx(2 / 3))
    assert [line.x0 for line in figure.layout.shapes] == pytest.approx(logit([0.5, 0.35, 0.25, 0.25]))


def test_the_explorer_names_run_number_of_images_and_source(figure: Any) -> None:
    assert figure.layout.title.text == f"Thresholds on test, {TITLE}: n = 5<br><sup>Data: phantoms</sup>"


def test_the_explorer_speaks_russian() -> None:
    metrics = compute_metrics(TEST, TEST, make_point(0.35), make_evaluation(seed=1))
    shown = draw_threshold_explorer(TEST, metrics, Labels("phantoms", "ru")).to_dict()
    names = [each["name"] for each in shown["data"]]
    assert names[:4] == ["ROC-кривая", "чувствительность", "специфичность", "порог 0,500 (точка: 0,5 без калибровки)"]
    assert shown["layout"]["title"]["text"].startswith("Пороги на тесте")
    assert shown["layout"]["separators"] == ", "
    hover = shown["data"][0]["hovertemplate"]
    assert "порог %{customdata[0]}<br>чувствительность %{customdata[1]:.3f}, специфичность" in hover
    assert "найдено %{customdata[3]}, пропущено %{customdata[4]}<br>NORMAL: распознано %{customdata[5]}" in hover
    assert [each[0] for each in shown["data"][0]["customdata"]][:2] == ["выше всех оценок", "0,900"]
    axes = [shown["layout"][name]["title"]["text"] for name in ("xaxis", "yaxis", "xaxis2", "yaxis2")]
    assert not [each for each in axes if re.search("[a-z]", each)]


def test_the_explorer_is_stored_as_plain_numbers_that_any_viewer_reads(figure: Any, tmp_path: Path) -> None:
    dataset = JSONDataset(filepath=(tmp_path / "explorer.json").as_posix())
    dataset.save(figure)
    shown = dataset.preview()
    assert shown["data"][0]["y"] == list(figure.data[0].y)
    assert "bdata" not in json.dumps(shown)
    assert dataset.load() == figure
