"""Every figure states its source; images keep their grey values."""

import numpy as np
import pandas as pd
import pytest

from chest_xray.core.types import Array
from chest_xray.pipelines.modeling.nodes import draw_learning_curves
from chest_xray.reporting.i18n import read_messages
from chest_xray.reporting.style import Labels, add_heading, add_legend, label_axes, new_figure, show_image
from tests.builders import TITLE, axes_of, make_history, make_run, make_split


def test_the_source_of_the_data_is_printed_on_the_figure() -> None:
    figure, _ = new_figure(Labels("phantoms"))
    assert figure.get_supxlabel() == "Data: phantoms"


def test_plots_are_laid_out_in_rows_and_columns_of_the_given_size() -> None:
    figure, axes = new_figure(Labels("phantoms"), columns=3, rows=2, width=6, height=4)
    assert axes.shape == (2, 3)
    assert figure.get_size_inches().tolist() == [6, 4]


def test_figures_belong_to_no_global_state() -> None:
    from matplotlib import pyplot

    new_figure(Labels("phantoms"))
    assert pyplot.get_fignums() == []


SPLIT = make_split([0] * 1003, ["train"] * 1002 + ["validation"])


@pytest.mark.parametrize("pixels", [np.full((2, 3), 128, np.uint8), np.full((2, 3), 0.5, np.float32)])
def test_an_image_is_shown_from_black_to_white_whatever_its_values(pixels: Array) -> None:
    _, axes = new_figure(Labels("phantoms"))
    show_image(axes, pixels, "NORMAL")
    (image,) = axes.images
    assert image.get_clim() == ((0, 255) if pixels.dtype == np.uint8 else (0, 1))
    assert image.get_cmap().name == "gray"
    assert axes.get_title() == "NORMAL"
    assert not axes.axison


def test_a_plot_has_its_title_and_the_names_of_its_axes() -> None:
    _, axes = new_figure(Labels("phantoms"))
    label_axes(axes, "Loss by epoch", ("epoch", "loss"))
    assert (axes.get_title(), axes.get_xlabel(), axes.get_ylabel()) == ("Loss by epoch", "epoch", "loss")
    assert [axes.spines[side].get_visible() for side in ("top", "right", "left")] == [False, False, True]


@pytest.mark.parametrize("size", [{}, {"columns": 2, "rows": 2}])
def test_every_plot_has_a_grid_behind_its_data_and_colours_that_the_colour_blind_distinguish(
    size: dict[str, int],
) -> None:
    figure, _ = new_figure(Labels("phantoms"), **size)
    for axes in axes_of(figure):
        assert axes.get_axisbelow() is True
        assert [line.get_visible() for line in axes.get_xgridlines()] == [True] * len(axes.get_xgridlines())
        drawn = [axes.plot([0, 1], [0, 1])[0].get_color() for _ in range(5)]
        assert drawn == ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#595959"]


def test_plots_share_an_axis_on_request() -> None:
    _, (first, second) = new_figure(Labels("phantoms"), columns=2, sharex=True)
    first.set_xlim(0, 7)
    assert second.get_xlim() == (0, 7)


def test_the_head_of_a_figure_names_each_line_of_its_plots_once() -> None:
    figure, (first, second) = new_figure(Labels("phantoms"), columns=2)
    for axes in (first, second):
        axes.plot([0, 1], [0, 1], label="both")
    second.plot([0, 1], [1, 0], label="second alone")
    add_heading(figure, "What was seen")
    (head,) = figure.legends
    assert head.get_title().get_text() == "What was seen"
    assert [text.get_text() for text in head.get_texts()] == ["both", "second alone"]


def test_a_legend_is_on_white() -> None:
    _, axes = new_figure(Labels("phantoms"))
    axes.plot([0, 1], [0, 1], label="a line")
    add_legend(axes, loc="lower left")
    frame = axes.get_legend().get_frame()
    assert frame.get_visible()
    assert frame.get_facecolor() == (1, 1, 1, 0.9)
    assert frame.get_edgecolor()[3] == 0


def test_learning_curves_show_train_validation_and_the_kept_epoch() -> None:
    history = make_history([0.6, 0.4, 0.5], kept=2).assign(loss=[0.7, 0.5, 0.3])
    figure = draw_learning_curves(history, SPLIT, make_run(), "phantoms")["en"]
    assert figure.get_supxlabel() == "Data: phantoms"
    (legend,) = figure.legends
    assert legend.get_title().get_text() == f"Training {TITLE}"
    loss, accuracy = axes_of(figure)
    assert (loss.get_title(), accuracy.get_title()) == ("Loss by epoch", "Accuracy by epoch")
    assert (loss.get_xlabel(), loss.get_ylabel()) == ("epoch", "binary cross-entropy")
    assert (accuracy.get_xlabel(), accuracy.get_ylabel()) == ("epoch", "accuracy")
    kept, *curves = loss.lines
    assert [curve.get_xydata().tolist() for curve in curves] == [
        *([[1, 0.7], [2, 0.5], [3, 0.3]], [[1, 0.6], [2, 0.4], [3, 0.5]])
    ]
    assert list(kept.get_xdata()) == [2, 2]
    assert [text.get_text() for text in legend.get_texts()] == [
        "kept: epoch 2",
        "train: n = 1,002",
        "validation: n = 1",
    ]


def test_drawing_does_not_change_the_history() -> None:
    history = make_history([0.6, 0.4], kept=2)
    draw_learning_curves(history, SPLIT, make_run(), "phantoms")
    pd.testing.assert_frame_equal(history, make_history([0.6, 0.4], kept=2))


def test_a_russian_figure_has_a_decimal_comma_at_its_ticks_and_a_translated_source() -> None:
    source = "SYNTHETIC phantoms drawn by this project, not radiographs"
    figure, axes = new_figure(Labels(source, "ru"))
    axes.set_xlim(0, 1)
    ticks = [text.get_text() for text in axes.get_xticklabels()]
    assert "0,2" in ticks
    assert not any("." in text for text in ticks)
    assert figure.get_supxlabel() == f"Данные: {read_messages('ru')['given'][source]}"
    assert Labels(source, "ru")("subset", subset="тест", num=12345) == "тест: n = 12\N{NO-BREAK SPACE}345"
