"""The common style of all figures, each of which shows the source of its data."""

from collections.abc import Sequence
from typing import Any

from chest_xray.core.types import Array, Figure

# Okabe and Ito 2008: distinguishable by colour-blind readers. Grey is for everything that is not data.
BLUE, ORANGE, GREEN, PURPLE, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#595959"
PAGE_WIDTH = 8.2  # inches: the width of the report, 900 pixels, where text is not scaled down


def new_figure(
    data_source: str, *, columns: int = 1, rows: int = 1, width: float = 7, height: float = 5, **grid: Any
) -> tuple[Figure, Any]:
    """Create a figure outside of pyplot's global state.

    Args:
        data_source: Printed below the plots.
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
    for place in figure.axes:
        place.set_prop_cycle(color=[BLUE, ORANGE, GREEN, PURPLE, GREY])
        place.spines[["top", "right"]].set_visible(False)
        place.spines[["left", "bottom"]].set_color(GREY)
        place.tick_params(labelsize=9, color=GREY)
        place.grid(color="0.92", linewidth=0.8)
        place.set_axisbelow(True)
    figure.supxlabel(f"Data: {data_source}", fontsize=8, color=GREY)
    return figure, axes


def show_image(axes: Any, pixels: Array, title: str) -> None:
    """Draw a grey image of shape (height, width), uint8 in [0, 255] or float32 in [0, 1], below its title."""
    axes.imshow(pixels, cmap="gray", vmin=0, vmax=255 if pixels.dtype == "uint8" else 1)
    axes.set_title(title, fontsize=9)
    axes.set_axis_off()
    axes.set_anchor("N")  # aligns the titles of images side by side


def label_axes(axes: Any, title: str, labels: Sequence[str]) -> None:
    """Set the title of a plot and the labels of its horizontal and vertical axis."""
    axes.set_title(title, fontsize=10)
    axes.set_xlabel(labels[0], fontsize=9.5)
    axes.set_ylabel(labels[1], fontsize=9.5)


def add_legend(axes: Any, **options: Any) -> None:
    """Add a legend on white, so that grid and curves do not cross its text; options as for matplotlib's `legend`."""
    axes.legend(**{"fontsize": 9, "facecolor": "white", "edgecolor": "none", "framealpha": 0.9, **options})


def head_figure(figure: Figure, title: str) -> None:
    """Add a title above all plots of a complete figure, with one legend that names each label once."""
    named: dict[str, Any] = {}
    for place in figure.axes:
        for handle, label in zip(*place.get_legend_handles_labels(), strict=True):
            named.setdefault(label, handle)
    look = {"ncols": 2 if len(named) == 4 else 3, "frameon": False, "title_fontsize": 11, "fontsize": 9}
    figure.legend(list(named.values()), list(named), title=title, loc="outside upper center", **look)
