"""One look for every figure, with the source of the data on its face."""

from collections.abc import Sequence
from typing import Any

from chest_xray.types import Array, Figure

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#595959"  # Okabe and Ito 2008: told apart by colour-blind readers.


def new_figure(
    data_source: str, *, columns: int = 1, rows: int = 1, width: float = 7, height: float = 5
) -> tuple[Figure, Any]:
    """Open a figure that belongs to no window and no global state.

    Args:
        data_source: Printed below the plots.
        columns: Plots beside each other.
        rows: Plots below each other.
        width: In inches, at 110 pixels an inch.
        height: In inches.

    Returns:
        The figure and its axes: one object, or an array of shape (columns,), (rows,) or (rows, columns).
    """
    from matplotlib.figure import Figure as EmptyFigure

    figure = EmptyFigure(figsize=(width, height), dpi=110, layout="constrained")
    axes = figure.subplots(rows, columns)
    figure.supxlabel(f"Data: {data_source}", fontsize=8, color=GREY)
    return figure, axes


def show_image(axes: Any, pixels: Array, title: str) -> None:
    """Put one grey image in its place.

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
    """Name a plot and its two axes, and take away what carries no data.

    Args:
        axes: The plot.
        title: Printed above.
        labels: Of the horizontal and the vertical axis.
    """
    axes.set_title(title, fontsize=10)
    axes.set_xlabel(labels[0])
    axes.set_ylabel(labels[1])
    axes.spines[["top", "right"]].set_visible(False)
