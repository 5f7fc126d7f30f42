"""Show what the classes look like."""

from collections.abc import Iterable
from typing import Any

from chest_xray.core.types import DataFrame, Figure
from chest_xray.images.decoding import read_pixels
from chest_xray.images.kermany import CLASSES


def draw_example_radiographs(image_index: DataFrame, data_source: str) -> Figure:
    """Show two healthy and two diseased pairs of lungs side by side, in their own proportions.

    Args:
        image_index: One row an image.
        data_source: Printed below the pictures.

    Returns:
        Four pictures: of each class, the train images of median width, from two patients.
    """
    from chest_xray.reporting.style import PAGE_WIDTH, new_figure, show_image

    figure, axes = new_figure(data_source, columns=2, rows=2, width=PAGE_WIDTH, height=7)
    for place in axes.flat:
        place.set_axis_off()  # where a class has one patient alone
    for label, name in enumerate(CLASSES):
        rows = image_index[(image_index["split"] == "train") & (image_index["label"] == label)]
        rows = rows.drop_duplicates("group").sort_values(["width", "path"])
        middle = max(len(rows) // 2 - 1, 0)
        chosen: Iterable[Any] = rows.iloc[middle : middle + 2].itertuples()
        for column, row in enumerate(chosen):
            scale = min(1.0, 480 / row.width)
            pixels = read_pixels(row.path, round(row.width * scale), round(row.height * scale))
            title = name if row.aetiology in ("none", "unknown") else f"{name} ({row.aetiology})"
            show_image(axes[label, column], pixels, f"{title}\n{row.group}, {row.width} x {row.height} px")
    return figure
