"""Tables and figures of the page: how values are written, and that images are embedded whole."""

import base64
import io
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from chest_xray.metrics.results import Estimate
from chest_xray.reporting import report_contents as layouts
from chest_xray.reporting.i18n import read_messages
from chest_xray.reporting.report_blocks import (
    LARGE,
    MISSING,
    format_cell,
    format_tile,
    make_confusion_matrix,
    make_examples,
    make_figure,
    make_table,
)
from chest_xray.reporting.report_blocks import make_gallery as make_gallery_block
from chest_xray.reporting.report_page import read_page_messages
from tests.builders import changed, interval, make_run_metrics
from tests.reporting.inputs import TABLES, make_gallery, make_metrics_table, make_png

ENGLISH, RUSSIAN = read_messages("en"), read_messages("ru")


@pytest.mark.parametrize(
    ("value", "english", "russian"),
    [
        (0.91234, "0.912", "0,912"),
        (1.0, "1.000", "1,000"),
        (340.0, "340", "340"),
        (51.09, "51.1", "51,1"),
        (624, "624", "624"),
        (True, "yes", "да"),
        (None, MISSING, MISSING),
        (float("nan"), MISSING, MISSING),
        (float("inf"), MISSING, MISSING),
        ("sensitivity", "sensitivity", "чувствительность"),
        ("person1_virus_2.jpeg", "person1_virus_2.jpeg", "person1_virus_2.jpeg"),
        (
            {"value": 0.9, "low": 0.85, "high": 0.95, "n": 100},
            "0.900 [0.850, 0.950], n = 100",
            "0,900 [0,850; 0,950], n = 100",
        ),
        ({"value": 0.3, "low": None, "high": None}, "0.300", "0,300"),
        ({"value": None, "low": None, "high": None}, MISSING, MISSING),
    ],
)
def test_a_cell_is_written_in_the_language(value: Any, english: str, russian: str) -> None:
    assert (format_cell(value, ENGLISH), format_cell(value, RUSSIAN)) == (english, russian)


def test_column_heads_are_translated_and_unknown_ones_lose_their_underscores() -> None:
    frame = pd.DataFrame({"metric": ["accuracy"], "n": [3], "some_new_column": [0.5]})
    table = make_table(frame, "metrics_table", "with augmentation", RUSSIAN)
    assert table.heads == ["показатель", "n", "some new column"]
    assert table.rows == [["доля верных решений", "3", "0,500"]]
    assert table.numbers == [False, True, True]
    assert table.label == f"{RUSSIAN['tables']['metrics_table']} (with augmentation)"


def test_a_long_table_is_cut_and_states_how_many_rows_are_omitted() -> None:
    table = make_table(pd.DataFrame({"path": [f"{number}.png" for number in range(130)]}), "quarantine", "", ENGLISH)
    assert (len(table.rows), table.rows[-1], table.hidden_rows) == (100, ["99.png"], 30)


def test_metrics_over_all_images_are_beside_validation_gap_and_rule() -> None:
    shown = layouts.select_overall_metrics(make_metrics_table())
    assert shown.columns.tolist() == [
        *("metric", "point", "decides", "threshold", "test", "validation", "gap", "metadata_baseline", "note")
    ]
    table = make_table(shown, "metrics_table", "", ENGLISH)
    gap = "-0.070 [-0.100, -0.040]".replace("-", "\N{MINUS SIGN}")
    assert table.rows[0] == ["loss", "", "", MISSING, "0.300, n = 100", MISSING, MISSING, MISSING, ""]
    accuracy = "0.900 [0.850, 0.950], n = 100"
    assert table.rows[1] == ["accuracy", "balanced", "yes", "0.400", accuracy, "0.970", gap, "0.800", ""]
    assert table.rows[2][4:] == [f"{MISSING}, n = 0", MISSING, MISSING, MISSING, "no image is classified as PNEUMONIA"]
    for empty in ("", np.nan):  # as computed, and as read from a CSV file
        whole = make_metrics_table().assign(note=empty)
        assert "note" not in layouts.select_overall_metrics(whole).columns


def test_reasons_are_given_in_the_language() -> None:
    messages = read_page_messages("ru")
    table = make_table(layouts.select_overall_metrics(make_metrics_table()), "metrics_table", "", messages)
    assert table.rows[2][-1] == RUSSIAN["missing"]["precision"]


def test_strata_are_separated_by_what_they_are_cut_by() -> None:
    table = make_table(layouts.list_strata(make_metrics_table()), "strata", "", ENGLISH)
    assert table.rows == [["width over height", "< 1.20", "sensitivity", "0.900 [0.850, 0.950], n = 100", "0.700"]]


def test_a_figure_and_its_interval_go_into_one_column() -> None:
    joined = layouts.join_intervals(TABLES["occlusion_table"])
    assert joined.columns.tolist() == ["shown", "n", "accuracy", "auc", "accuracy_change", "auc_change"]
    assert joined.loc[1, "auc"] == {"value": 0.8, "low": pytest.approx(0.78), "high": pytest.approx(0.82)}


def read_source(source: str) -> tuple[str, Image.Image]:
    head, _, data = source.partition(";base64,")
    return head, Image.open(io.BytesIO(base64.b64decode(data)))


def test_a_small_image_goes_into_the_page_as_it_is_with_its_size() -> None:
    figure = make_figure(make_png(320, 200), "roc_curve", "with augmentation", ENGLISH)
    head, picture = read_source(figure.source)
    assert (head, picture.size) == ("data:image/png", (320, 200))
    assert (figure.width, figure.height) == (320, 200)
    assert figure.title == "ROC curve: with augmentation"
    assert figure.alt == ENGLISH["figures"]["roc_curve"]["alt"]


def test_a_large_image_is_packed_again_at_the_same_size_and_nearly_the_same_greys() -> None:
    smooth = np.linspace(60, 190, 700)[:, None] + np.random.default_rng(0).normal(0, 12, (700, 700))
    grey = smooth.clip(0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(grey).save(file, "PNG")
    assert len(file.getvalue()) > LARGE
    figure = make_figure(file.getvalue(), "example_radiographs", "", ENGLISH)
    head, picture = read_source(figure.source)
    assert (head, picture.size) == ("data:image/webp", (700, 700))
    assert len(figure.source) < len(file.getvalue()) * 4 / 3
    assert np.abs(np.asarray(picture.convert("L"), float) - grey).mean() < 6


def test_a_confusion_matrix_has_counts_and_shares_of_each_class_by_decision() -> None:
    point = changed(make_run_metrics(), "test.at_half", tn=7, fp=3, fn=1, tp=4).test.at_half
    table = make_confusion_matrix(point, ENGLISH)
    assert table.rows == [["NORMAL", "7 (70.0%)", "3 (30.0%)"], ["PNEUMONIA", "1 (20.0%)", "4 (80.0%)"]]
    assert table.heads[1:] == ["decision NORMAL", "decision PNEUMONIA"]
    assert make_confusion_matrix(point, RUSSIAN).rows[0][1] == "7 (70,0%)"


def test_an_interval_without_width_is_not_shown_as_one() -> None:
    sure_of_it = interval(1.0, 1.0, 1.0)
    assert format_tile("auc", sure_of_it.with_n(200), ENGLISH) == ("1.000", "no interval: all resamples agree, n = 200")
    assert format_cell({**dict(sure_of_it), "n": 200}, ENGLISH) == "1.000, n = 200"


def test_a_tile_has_a_share_in_percent_with_interval_and_n() -> None:
    measured = Estimate(value=0.912, low=0.85, high=None, n=40)
    num = "n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}40"
    assert format_tile("accuracy", measured, ENGLISH) == ("91.2%", f"85.0% to {MISSING}, {num}")
    assert format_tile("auc", measured, RUSSIAN) == ("0,912", f"от 0,850 до {MISSING}, {num}")


def test_a_gallery_counts_its_cases_and_folds_all_but_the_first() -> None:
    gallery = make_gallery(num=3)
    made = make_gallery_block(gallery, "typical_decisions", ("true_positive", "true_negative"), 1, ENGLISH)
    assert "Detected: 7; shown are 3, nearest to their median score. Cleared: 7;" in made.caption
    assert (len(made.cases), made.num_open) == (6, 1)
    assert [len(case.sources) for case in made.cases] == [2] * 6
    assert (made.cases[0].width, made.cases[0].height) == (200, 150)
    assert made.cases[0].caption.startswith("PNEUMONIA, probability 0.250, ")
    assert made.cases[3].caption.startswith("NORMAL, ")
    examples = make_examples(gallery, 2, RUSSIAN)
    assert [case.caption.split(",")[0] for case in examples.cases] == ["NORMAL", "NORMAL", "PNEUMONIA", "PNEUMONIA"]
    assert [len(case.sources) for case in examples.cases] == [1] * 4
