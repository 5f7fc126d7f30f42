"""The common style of all figures, which show the source of their data, and their labels in each language."""

import textwrap
from collections.abc import Callable, Sequence
from typing import Any

from chest_xray.core.types import Array, Figure
from chest_xray.reporting.i18n import (
    ENGLISH,
    Finding,
    format_number,
    languages,
    read_messages,
    translate,
    translate_text,
)

# Okabe and Ito 2008: distinguishable by colour-blind readers. Grey is for everything that is not data.
BLUE, ORANGE, GREEN, PURPLE, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#595959"
CHARACTERS_PER_INCH = 15  # of the line with the data source
LONG_LABEL = 36  # characters; legends with longer labels have two columns instead of three
PAGE_WIDTH = 8.2  # inches: the width of the report, 900 pixels, where text is not scaled down


class Labels:
    """Writes the labels of figures in one language."""

    def __init__(self, data_source: str, language: str = ENGLISH):
        self._messages = read_messages(language)
        self.data_source = translate_text(data_source, self._messages)
        self.mark: str = self._messages["decimal_mark"]

    def __call__(self, key: str, **values: Any) -> str:
        """Return the text below `labels`; values are inserted as `chest_xray.reporting.i18n.translate` does."""
        return translate(Finding(key, values), self._messages | self._messages["labels"])

    def translate(self, name: str) -> str:
        """Return the translation of a term that tables use, too, such as "train"."""
        return str(self._messages["cells"].get(name, name))

    def number(self, value: float, form: str) -> str:
        """Return a number in Python's format `form`, with the decimal mark of the language."""
        return format_number(value, form, self._messages)


def draw_in_languages(draw: Callable[[Labels], Figure], data_source: str) -> dict[str, Figure]:
    """Draw a figure with the labels of each language, and return the figures by language."""
    return {language: draw(Labels(data_source, language)) for language in languages()}


def new_figure(
    labels: Labels, *, columns: int = 1, rows: int = 1, width: float = 7, height: float = 5, **grid: Any
) -> tuple[Figure, Any]:
    """Create a figure outside of pyplot's global state.

    Args:
        labels: The labels of a language; their data source is printed below the plots.
        columns: Number of plots side by side.
        rows: Number of plots one below the other.
        width: In inches, at 110 pixels an inch; `PAGE_WIDTH` fills a report.
        height: In inches.
        **grid: Passed to `matplotlib.figure.Figure.subplots`, such as `sharex=True`.

    Returns:
        The figure and its axes: one object, or an array of shape (columns,), (rows,) or (rows, columns).
    """
    from matplotlib.figure import Figure as EmptyFigure

    figure = EmptyFigure(figsize=(width, height), dpi=110, layout="constrained")
    axes = figure.subplots(rows, columns, **grid)
    for panel in figure.axes:
        panel.set_prop_cycle(color=[BLUE, ORANGE, GREEN, PURPLE, GREY])
        panel.spines[["top", "right"]].set_visible(False)
        panel.spines[["left", "bottom"]].set_color(GREY)
        panel.tick_params(labelsize=9, color=GREY)
        panel.grid(color="0.92", linewidth=0.8)
        panel.set_axisbelow(True)
        if labels.mark != ".":
            localise_ticks(panel, labels)
    source = textwrap.fill(labels("data", source=labels.data_source), int(CHARACTERS_PER_INCH * width))
    figure.supxlabel(source, fontsize=8, color=GREY)
    return figure, axes


def localise_ticks(axes: Any, labels: Labels) -> None:
    """Write the numbers at the ticks with the decimal mark of the language."""
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: labels.number(float(f"{value:.6g}"), ".10g"))


def show_image(axes: Any, pixels: Array, title: str) -> None:
    """Draw a grey image of shape (height, width), uint8 in [0, 255] or float32 in [0, 1], below its title."""
    axes.imshow(pixels, cmap="gray", vmin=0, vmax=255 if pixels.dtype == "uint8" else 1)
    axes.set_title(title, fontsize=9)
    axes.set_axis_off()
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_visible(False)  # Otherwise matplotlib makes ticks to lay them out, though none is drawn.
    axes.set_anchor("N")  # aligns the titles of images side by side


def label_axes(axes: Any, title: str, labels: Sequence[str]) -> None:
    """Set the title of a plot and the labels of its horizontal and vertical axis."""
    axes.set_title(title, fontsize=10)
    axes.set_xlabel(labels[0], fontsize=9.5)
    axes.set_ylabel(labels[1], fontsize=9.5)


def add_legend(axes: Any, **options: Any) -> None:
    """Add a legend on white, so that no line crosses its text; the options are those of matplotlib's `legend`."""
    axes.legend(**{"fontsize": 9, "facecolor": "white", "edgecolor": "none", "framealpha": 0.9, **options})


def add_heading(figure: Figure, title: str) -> None:
    """Add a title above all plots of a complete figure, with one legend for all of them."""
    handles: dict[str, Any] = {}
    for panel in figure.axes:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    style = {
        "ncols": 2 if len(handles) == 4 or max(map(len, handles)) > LONG_LABEL else 3,
        "frameon": False,
        "title_fontsize": 11,
        "fontsize": 9,
    }
    figure.legend(list(handles.values()), list(handles), title=title, loc="outside upper center", **style)
