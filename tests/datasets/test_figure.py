"""Figures are loaded as images, for pages and for Kedro-Viz."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from kedro.io import DatasetError
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from chest_xray.datasets import FigureDataset
from chest_xray.datasets.single_file import ImagePreview


@pytest.fixture
def dataset(tmp_path: Path) -> FigureDataset:
    """One that holds a red figure of 3 by 2 inches at 50 pixels an inch."""
    kept = FigureDataset(filepath=str(tmp_path / "new" / "figure.png"))
    assert not kept.exists()
    kept.save(Figure(figsize=(3, 2), dpi=50, facecolor="red"))
    assert kept.exists()
    return kept


def test_a_figure_is_loaded_as_an_image_of_its_size(dataset: FigureDataset) -> None:
    with Image.open(io.BytesIO(dataset.load())) as picture:
        assert (picture.format, picture.size) == ("PNG", (150, 100))
        assert (np.asarray(picture.convert("RGB")) == (255, 0, 0)).all()


def test_the_preview_is_an_image_for_kedro_viz(dataset: FigureDataset) -> None:
    assert base64.b64decode(dataset.preview()) == dataset.load()
    assert FigureDataset.preview.__annotations__["return"] is ImagePreview


def test_a_figure_that_cannot_be_drawn_keeps_the_previous_file(dataset: FigureDataset) -> None:
    before = dataset.load()
    broken = Figure(figsize=(1e5, 1e5))
    with pytest.raises(DatasetError, match="is too large"):
        dataset.save(broken)
    assert dataset.load() == before


@pytest.mark.parametrize("name", ["h$$_P7.jpeg", r"$\frac$", "a$b", "x_{1}^2 \\ %", "$$$"])
def test_special_characters_in_a_name_are_drawn_literally(dataset: FigureDataset, name: str) -> None:
    figure, plain = Figure(figsize=(3, 2)), Figure(figsize=(3, 2))
    for each in (figure, plain):
        axes = each.subplots()
        axes.set_title(name, parse_math=each is figure)
        axes.plot([0, 1], label=name)
        axes.legend()
    dataset.save(figure)
    drawn = dataset.load()
    for text in plain.findobj(Text):
        text.set_parse_math(False)
    dataset.save(plain)
    assert drawn == dataset.load()
