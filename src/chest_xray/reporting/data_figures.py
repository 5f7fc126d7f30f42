"""Figures of the data: example radiographs, file properties, and the metadata baseline.

In all of them `image_index` has one row per image, and `labels` are those of a language.
"""

from itertools import product
from typing import Any

from chest_xray.core.types import DataFrame, Figure
from chest_xray.images.decoding import read_pixels
from chest_xray.images.index import FEATURES, read_feature, select_class
from chest_xray.images.kermany import CLASSES
from chest_xray.metrics.metadata_baseline import orient, sweep_thresholds
from chest_xray.reporting.style import (
    BLUE,
    GREY,
    ORANGE,
    PAGE_WIDTH,
    Labels,
    add_heading,
    add_legend,
    label_axes,
    new_figure,
    show_image,
)


def draw_example_radiographs(image_index: DataFrame, labels: Labels) -> Figure:
    """Draw two train images of each class, of median width and from two patients, in their own proportions."""
    figure, axes = new_figure(labels, columns=2, rows=2, width=PAGE_WIDTH, height=7)
    for panel in axes.flat:
        panel.set_axis_off()  # where a class has a single patient
    for label, name in enumerate(CLASSES):
        rows = image_index[(image_index["split"] == "train") & (image_index["label"] == label)]
        rows = rows.drop_duplicates("group").sort_values(["width", "path"])
        middle = max(len(rows) // 2 - 1, 0)
        for panel, row in zip(axes[label], rows.iloc[middle : middle + 2].to_dict("records"), strict=False):
            scale = min(1.0, 480 / row["width"])
            pixels = read_pixels(row["path"], round(row["width"] * scale), round(row["height"] * scale))
            title = (
                name if row["aetiology"] in ("none", "unknown") else f"{name} ({labels.translate(row['aetiology'])})"
            )
            size = labels("size_of_image", group=row["group"], width=row["width"], height=row["height"])
            show_image(panel, pixels, f"{title}\n{size}")
    return figure


def draw_headers(image_index: DataFrame, labels: Labels) -> Figure:
    """Draw the cumulative distributions of width, height, aspect and file size, by split and class."""
    import numpy as np

    figure, axes = new_figure(labels, columns=2, rows=2, width=PAGE_WIDTH, height=6.4)
    for panel, (feature, unit) in zip(axes.flat, FEATURES.items(), strict=True):
        for split, (label, name) in product(("train", "test"), enumerate(CLASSES)):
            values = np.sort(read_feature(select_class(image_index, split, label), feature))
            style = {"color": (BLUE, ORANGE)[label], "linestyle": "-" if split == "train" else "--"}
            shown = labels("subset", subset=f"{labels.translate(split)} {name}", num=len(values))
            panel.plot(values, np.linspace(0, 1, len(values)), label=shown, **style)
        panel.locator_params(axis="x", nbins=6)  # keeps long numbers apart
        label_axes(panel, labels.translate(feature), [labels.translate(unit), labels("cumulative_share")])
    add_heading(figure, labels("headers_title"))
    return figure


def draw_metadata_baseline(image_index: DataFrame, metadata_baseline: dict[str, Any], labels: Labels) -> Figure:
    """Draw the ROC curve of each feature on test, and the threshold that `fit_metadata_baseline` chose on train."""
    figure, axes = new_figure(labels, width=6.4, height=6.2)
    test = image_index[image_index["split"] == "test"]
    truth = test["label"].to_numpy()
    for feature, rule in metadata_baseline.items():
        sensitivity, specificity, _ = sweep_thresholds(orient(read_feature(test, feature), rule["direction"]), truth)
        scores = rule["test"]
        (line,) = axes.plot(
            1 - specificity, sensitivity, label=labels("feature_auc", feature=labels.translate(feature), **scores)
        )
        look = {"color": line.get_color(), "markersize": 8, "markeredgecolor": "white", "zorder": 3}
        axes.plot(1 - scores["specificity"], scores["sensitivity"], "o", **look)
    axes.plot([0, 1], [0, 1], ":", color=GREY, label=labels("chance"))
    axes.plot([], [], "o", color=GREY, label=labels("fitted_threshold"))
    axes.set_aspect("equal")
    add_legend(axes, loc="lower right")
    title = labels("metadata_title", num=len(test))
    label_axes(axes, title, [labels("false_positive_rate"), labels("sensitivity")])
    return figure
