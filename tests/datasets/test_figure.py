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

from chest_xray.datasets import FigureDataset, FigureFolderDataset, PlotlyDataset
from chest_xray.datasets.single_file import ImagePreview, PlotlyPreview


@pytest.fixture
def dataset(tmp_path: Path) -> FigureDataset:
    """One that holds a red figure of 3 by 2 inches at 50 pixels an inch, and a blue one in Russian."""
    kept = FigureDataset(filepath=str(tmp_path / "new" / "figure.png"))
    assert not kept.exists()
    kept.save({"en": Figure(figsize=(3, 2), dpi=50, facecolor="red"), "ru": Figure(facecolor="blue")})
    assert kept.exists()
    return kept


def test_a_figure_is_loaded_as_an_image_of_its_size(dataset: FigureDataset) -> None:
    with Image.open(io.BytesIO(dataset.load()["en"])) as picture:
        assert (picture.format, picture.size) == ("PNG", (150, 100))
        assert (np.asarray(picture.convert("RGB")) == (255, 0, 0)).all()


def test_every_language_has_its_own_file_beside_the_english_one(dataset: FigureDataset, tmp_path: Path) -> None:
    assert {path.name for path in (tmp_path / "new").iterdir()} == {"figure.png", "figure.ru.png"}
    found = dataset.load()
    assert list(found) == ["en", "ru"]
    with Image.open(io.BytesIO(found["ru"])) as picture:
        assert picture.convert("RGB").getpixel((0, 0)) == (0, 0, 255)


def test_a_folder_holds_figures_by_name_and_language_and_no_others(tmp_path: Path) -> None:
    folder = FigureFolderDataset(filepath=str(tmp_path / "folder [1]"))
    figures = {language: Figure(figsize=(1, 1), dpi=20) for language in ("en", "ru")}
    folder.save({"old": figures, "roc": figures})
    folder.save({"roc": figures, "roc_curve": figures})
    assert {name: list(each) for name, each in folder.load().items()} == {
        "roc": ["en", "ru"],
        "roc_curve": ["en", "ru"],
    }
    assert {path.name.split(".")[0] for path in (tmp_path / "folder [1]").iterdir()} == {"roc", "roc_curve"}


def test_the_preview_is_an_image_for_kedro_viz(dataset: FigureDataset) -> None:
    assert base64.b64decode(dataset.preview()) == dataset.load()["en"]
    assert FigureDataset.preview.__annotations__["return"] is ImagePreview


def test_an_interactive_figure_survives_a_round_trip_and_is_shown_by_kedro_viz(tmp_path: Path) -> None:
    import plotly.graph_objects as go

    dataset, figure = PlotlyDataset(filepath=str(tmp_path / "figure.json")), go.Figure(layout={"title": "Снимок"})
    dataset.save(figure)
    assert dataset.load() == figure
    assert dataset.preview()["layout"]["title"]["text"] == "Снимок"
    assert (PlotlyDataset.preview.__annotations__["return"], PlotlyPreview.__name__) == (PlotlyPreview, "PlotlyPreview")


def test_a_figure_that_cannot_be_drawn_keeps_the_previous_file(dataset: FigureDataset) -> None:
    before = dataset.load()
    broken = Figure(figsize=(1e5, 1e5))
    with pytest.raises(DatasetError, match="is too large"):
        dataset.save({"en": broken})
    assert dataset.load() == before


@pytest.mark.parametrize("name", ["h$$_P7.jpeg", r"$\frac$", "a$b", "x_{1}^2 \\ %", "$$$"])
def test_special_characters_in_a_name_are_drawn_literally(dataset: FigureDataset, name: str) -> None:
    figure, plain = Figure(figsize=(3, 2)), Figure(figsize=(3, 2))
    for each in (figure, plain):
        for axes in each.subplots(ncols=2):
            axes.set_title(name, parse_math=each is figure)
            axes.plot([0, 1], label=name)
            axes.legend()
        axes.set_axis_off()
    dataset.save({"en": figure})
    drawn = dataset.load()
    for text in plain.findobj(Text):
        text.set_parse_math(False)
    dataset.save({"en": plain})
    assert drawn == dataset.load()


def test_a_figure_with_a_layout_is_drawn_once(dataset: FigureDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Figure] = []
    monkeypatch.setattr(Figure, "draw", lambda figure, _: drawn.append(figure))
    figure = Figure(figsize=(3, 2), layout="constrained")
    figure.subplots()
    dataset.save({"en": figure})
    assert drawn == [figure]
