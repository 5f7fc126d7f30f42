"""Every figure carries its source; pictures keep their grey values."""

import numpy as np
import pandas as pd
import pytest

from chest_xray.figures import label_axes, new_figure, show_image
from chest_xray.pipelines.modeling.nodes import draw_learning_curves
from chest_xray.types import Array
from tests.builders import TITLE, axes_of, make_history, make_run


def test_the_source_of_the_data_stands_on_the_face_of_the_figure() -> None:
    figure, _ = new_figure("phantoms")
    assert figure.get_supxlabel() == "Data: phantoms"


def test_plots_are_laid_out_in_rows_and_columns_of_the_size_asked_for() -> None:
    figure, axes = new_figure("phantoms", columns=3, rows=2, width=6, height=4)
    assert axes.shape == (2, 3)
    assert figure.get_size_inches().tolist() == [6, 4]


def test_figures_belong_to_no_global_state() -> None:
    from matplotlib import pyplot

    new_figure("phantoms")
    assert pyplot.get_fignums() == []


@pytest.mark.parametrize("pixels", [np.full((2, 3), 128, np.uint8), np.full((2, 3), 0.5, np.float32)])
def test_a_picture_is_shown_from_black_to_white_whatever_it_holds(pixels: Array) -> None:
    _, axes = new_figure("phantoms")
    show_image(axes, pixels, "NORMAL")
    (image,) = axes.images
    assert image.get_clim() == ((0, 255) if pixels.dtype == np.uint8 else (0, 1))
    assert image.get_cmap().name == "gray"
    assert axes.get_title() == "NORMAL"
    assert not axes.axison


def test_a_plot_has_its_title_and_the_names_of_its_axes() -> None:
    _, axes = new_figure("phantoms")
    label_axes(axes, "Loss by epoch", ("epoch", "loss"))
    assert (axes.get_title(), axes.get_xlabel(), axes.get_ylabel()) == ("Loss by epoch", "epoch", "loss")
    assert [axes.spines[side].get_visible() for side in ("top", "right", "left")] == [False, False, True]


def test_learning_curves_show_train_validation_and_the_kept_epoch() -> None:
    history = make_history([0.6, 0.4, 0.5], kept=2).assign(loss=[0.7, 0.5, 0.3])
    figure = draw_learning_curves(history, make_run(), "phantoms")
    assert figure.get_supxlabel() == "Data: phantoms"
    assert figure.get_suptitle() == TITLE
    loss, accuracy = axes_of(figure)
    assert (loss.get_title(), accuracy.get_title()) == ("Loss by epoch", "Accuracy by epoch")
    assert (loss.get_xlabel(), loss.get_ylabel()) == ("epoch", "binary cross-entropy")
    assert (accuracy.get_xlabel(), accuracy.get_ylabel()) == ("epoch", "accuracy")
    curves = [line.get_xydata().tolist() for line in loss.lines]
    assert curves[:2] == [[[1, 0.7], [2, 0.5], [3, 0.3]], [[1, 0.6], [2, 0.4], [3, 0.5]]]
    assert list(loss.lines[2].get_xdata()) == [2, 2]
    legend = [text.get_text() for text in accuracy.get_legend().get_texts()]
    assert legend == ["train", "validation", "kept: epoch 2"]


def test_drawing_does_not_change_the_history() -> None:
    history = make_history([0.6, 0.4], kept=2)
    draw_learning_curves(history, make_run(), "phantoms")
    pd.testing.assert_frame_equal(history, make_history([0.6, 0.4], kept=2))
