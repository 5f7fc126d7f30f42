"""One look for every figure, with the source of the data on its face."""

from collections.abc import Sequence
from typing import Any

from chest_xray.core.types import Array, Figure

# Okabe and Ito 2008: told apart by colour-blind readers. Grey is for what is no data.
BLUE, ORANGE, GREEN, PURPLE, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#595959"
PAGE_WIDTH = 8.2  # inches: 900 pixels, the width of a report, so that no text is scaled down there


def new_figure(
    data_source: str, *, columns: int = 1, rows: int = 1, width: float = 7, height: float = 5, **grid: Any
) -> tuple[Figure, Any]:
    """Open a figure that belongs to no window and no global state.

    Args:
        data_source: Printed below the plots.
        columns: Plots beside each other.
        rows: Plots below each other.
        width: In inches, at 110 pixels an inch; `PAGE_WIDTH` fills a report.
        height: In inches.
        **grid: How the plots lie to each other, as `matplotlib.figure.Figure.subplots` takes it, such as `sharex=True`.

    Returns:
        The figure and its axes: one object, or an array of shape (columns,), (rows,) or (rows, columns).
    """
    from matplotlib.figure import Figure as EmptyFigure

    figure = EmptyFigure(figsize=(width, height), dpi=110, layout="constrained")
    axes = figure.subplots(rows, columns, **grid)
    for place in figure.axes:
        _dress(place)
    figure.supxlabel(f"Data: {data_source}", fontsize=8, color=GREY)
    return figure, axes


def _dress(axes: Any) -> None:
    """Remove what carries no data from the axes, and draw a faint grid."""
    axes.set_prop_cycle(color=[BLUE, ORANGE, GREEN, PURPLE, GREY])
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    axes.tick_params(labelsize=9, color=GREY)
    axes.grid(color="0.92", linewidth=0.8)
    axes.set_axisbelow(True)


def show_image(axes: Any, pixels: Array, title: str) -> None:
    """Draw one grey image.

    Args:
        axes: Where to.
        pixels: Of shape (height, width): uint8 in [0, 255] or float32 in [0, 1].
        title: Printed above.
    """
    axes.imshow(pixels, cmap="gray", vmin=0, vmax=255 if pixels.dtype == "uint8" else 1)
    axes.set_title(title, fontsize=9)
    axes.set_axis_off()
    axes.set_anchor("N")  # Titles beside each other stand at one height.


def label_axes(axes: Any, title: str, labels: Sequence[str]) -> None:
    """Name a plot and its two axes.

    Args:
        axes: The plot.
        title: Printed above.
        labels: Of the horizontal and the vertical axis.
    """
    axes.set_title(title, fontsize=10)
    axes.set_xlabel(labels[0], fontsize=9.5)
    axes.set_ylabel(labels[1], fontsize=9.5)


def add_legend(holder: Any, **where: Any) -> None:
    """Add a legend on white, so that neither grid nor curve runs through its text.

    Args:
        holder: A plot, or a figure for all of its plots.
        **where: As `legend` of matplotlib takes it, such as `loc="lower right"` or `ncols=3`.
    """
    holder.legend(**{"fontsize": 9, "facecolor": "white", "edgecolor": "none", "framealpha": 0.9, **where})


def head_figure(figure: Figure, title: str) -> None:
    """Print a title above all plots, and below it what their lines are, each name once.

    Args:
        figure: From `new_figure`, with everything drawn.
        title: Of the whole figure.
    """
    named: dict[str, Any] = {}
    for place in figure.axes:
        for handle, label in zip(*place.get_legend_handles_labels(), strict=True):
            named.setdefault(label, handle)
    look = {"ncols": 2 if len(named) == 4 else 3, "frameon": False, "title_fontsize": 11, "fontsize": 9}
    figure.legend(list(named.values()), list(named), title=title, loc="outside upper center", **look)


def name_probability(probability: float) -> str:
    """Write a probability with three decimals, or with as many as tell it from 0 and 1."""
    from math import ceil, log10

    distance = min(probability, 1 - probability)
    return f"{probability:.{max(3, ceil(-log10(distance))) if distance > 0 else 3}f}"
