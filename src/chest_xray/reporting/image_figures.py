"""Figures of the images: their properties, their augmentation, and the checks of robustness and explanation.

In all of them, `image_index` has one row per image; `prepared_images` is uint8 of shape (images, height, width), with
one row of `image_split` per image; `run` has the augmentation to draw, and `labels` are those of a language.
"""

import io
import math
from collections.abc import Hashable, Mapping
from itertools import product
from typing import Any

from chest_xray.core.libraries import np
from chest_xray.core.types import Array, DataFrame, Figure
from chest_xray.images.decoding import read_pixels
from chest_xray.images.kermany import CLASSES, FEATURES, read_feature, select_class
from chest_xray.images.preprocessing import Preparation, compute_aspects
from chest_xray.metrics.metadata_baseline import orient
from chest_xray.metrics.results import MetadataBaseline
from chest_xray.models.augmentation import NUM_DRAWS, Augmentation, alter, augment
from chest_xray.models.gradcam import overlay_evidence
from chest_xray.models.input_pipeline import scale
from chest_xray.models.training import Run
from chest_xray.reporting.conclusions import UNALTERED
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

NUM_COPIES = 5  # shown beside each original
DRAWS = (-1.0, -0.5, 0.0, 0.5, 1.0)  # from one end of a range to the other
ONE_SIDED = {"noise", "blur"}  # transforms whose ranges start at zero
NUM_COLUMNS = 4  # panels in a row
GROUPS = ("false_negative", "false_positive", "true_positive", "true_negative")  # of the gallery, in this order
SIDE = 384  # pixels of the longer side of a picture of the gallery
QUALITY = 80  # of WebP, at most 100


def draw_example_radiographs(image_index: DataFrame, labels: Labels) -> Figure:
    """Draw two train images of each class, of near-median width and different patients, in their own proportions."""
    figure, axes = new_figure(labels, columns=2, rows=2, width=PAGE_WIDTH, height=7)
    for panel in axes.flat:
        panel.set_axis_off()  # A class with a single patient leaves a panel empty.
    for label, name in enumerate(CLASSES):
        rows = image_index[(image_index["split"] == "train") & (image_index["label"] == label)]
        rows = rows.drop_duplicates("group").sort_values(["width", "path"])
        middle = max(len(rows) // 2 - 1, 0)
        for panel, row in zip(axes[label], rows.iloc[middle : middle + 2].to_dict("records"), strict=False):
            factor = min(1.0, 480 / row["width"])
            pixels = read_pixels(row["path"], round(row["width"] * factor), round(row["height"] * factor))
            is_known = row["aetiology"] not in ("none", "unknown")
            title = f"{name} ({labels.translate(row['aetiology'])})" if is_known else name
            size = labels("size_of_image", group=row["group"], width=row["width"], height=row["height"])
            show_image(panel, pixels, f"{title}\n{size}")
    return figure


def draw_headers(image_index: DataFrame, labels: Labels) -> Figure:
    """Draw the cumulative distributions of width, height, aspect and file size, by split and class."""
    figure, axes = new_figure(labels, columns=2, rows=2, width=PAGE_WIDTH, height=6.4)
    for panel, (feature, unit) in zip(axes.flat, FEATURES.items(), strict=True):
        for split, (label, name) in product(("train", "test"), enumerate(CLASSES)):
            values = np.sort(read_feature(select_class(image_index, split, label), feature))
            style = {"color": (BLUE, ORANGE)[label], "linestyle": "-" if split == "train" else "--"}
            legend = labels("subset", subset=f"{labels.translate(split)} {name}", num=len(values))
            panel.plot(values, np.linspace(0, 1, len(values)), label=legend, **style)
        panel.locator_params(axis="x", nbins=6)  # keeps long numbers apart
        label_axes(panel, labels.translate(feature), [labels.translate(unit), labels("cumulative_share")])
    add_heading(figure, labels("headers_title"))
    return figure


def draw_metadata_baseline(image_index: DataFrame, metadata_baseline: MetadataBaseline, labels: Labels) -> Figure:
    """Draw the ROC curve of each feature on test, and the threshold that `fit_metadata_baseline` chose on train."""
    from sklearn.metrics import roc_curve

    figure, axes = new_figure(labels, width=6.4, height=6.2)
    test = image_index[image_index["split"] == "test"]
    truth = test["label"].to_numpy()
    for feature, rule in metadata_baseline.features.items():
        false_positive_rate, sensitivity, _ = roc_curve(truth, orient(read_feature(test, feature), rule.direction))
        label = labels("feature_auc", feature=labels.translate(feature), **dict(rule.test))
        (line,) = axes.plot(false_positive_rate, sensitivity, label=label)
        style = {"color": line.get_color(), "markersize": 8, "markeredgecolor": "white", "zorder": 3}
        axes.plot(1 - rule.test.specificity, rule.test.sensitivity, "o", **style)
    axes.plot([0, 1], [0, 1], ":", color=GREY, label=labels("chance"))
    axes.plot([], [], "o", color=GREY, label=labels("fitted_threshold"))
    axes.set_aspect("equal")
    add_legend(axes, loc="lower right")
    title = labels("metadata_title", num=len(test))
    label_axes(axes, title, [labels("false_positive_rate"), labels("sensitivity")])
    return figure


def draw_augmented_examples(
    prepared_images: Array, image_split: DataFrame, preparation: Preparation, run: Run, labels: Labels
) -> Figure:
    """Draw a training image of each class beside augmented copies."""
    figure, axes = new_figure(labels, columns=1 + NUM_COPIES, rows=2, width=PAGE_WIDTH, height=3.5)
    for label, panels in enumerate(axes):
        image, aspect = _find_first(label, prepared_images, image_split, preparation)
        aspects = np.full(NUM_COPIES, aspect, np.float32)
        copies = augment(np.stack([image] * NUM_COPIES), run.augmentation, (label, 0), aspects)
        show_image(panels[0], image[..., 0], labels("original", name=CLASSES[label]))
        for panel, copy in zip(panels[1:], np.asarray(copies)[..., 0], strict=True):
            show_image(panel, copy, labels("copy"))
    return figure


def draw_transforms(
    prepared_images: Array, image_split: DataFrame, preparation: Preparation, run: Run, labels: Labels
) -> Figure:
    """Draw a training image of each class beside every active transform alone, at full strength."""
    names = _list_active_transforms(run.augmentation)
    columns = 1 + len(names)
    figure, axes = new_figure(labels, columns=columns, rows=2, width=1.65 * columns, height=4.6)
    for label, panels in enumerate(np.reshape(axes, (2, -1))):
        image, aspect = _find_first(label, prepared_images, image_split, preparation)
        show_image(panels[0], image[..., 0], labels("original", name=CLASSES[label]).replace(": ", ":\n"))
        for panel, name in zip(panels[1:], names, strict=True):
            draw = -1.0 if name == "horizontal_flip" else 1.0
            (altered,) = _apply_transform(image, aspect, run.augmentation, name, (draw,))
            show_image(panel, altered, _describe_strength(name, run, draw, labels))
    return figure


def draw_transform_ranges(
    prepared_images: Array, image_split: DataFrame, preparation: Preparation, run: Run, labels: Labels
) -> Figure:
    """Draw a PNEUMONIA training image along the range of every active transform, one row each."""
    names = _list_active_transforms(run.augmentation) or ["horizontal_flip"]
    figure, axes = new_figure(labels, columns=len(DRAWS), rows=len(names), width=10, height=0.4 + 2.2 * len(names))
    image, aspect = _find_first(1, prepared_images, image_split, preparation)
    for name, panels in zip(names, np.reshape(axes, (len(names), -1)), strict=True):
        draws = tuple((1 + draw) / 2 for draw in DRAWS) if name in ONE_SIDED else DRAWS
        altered = _apply_transform(image, aspect, run.augmentation, name, draws)
        for panel, draw, pixels in zip(panels, draws, altered, strict=True):
            show_image(panel, pixels, _describe_strength(name, run, draw, labels))
    return figure


def _find_first(
    label: int, prepared_images: Array, image_split: DataFrame, preparation: Preparation
) -> tuple[Array, float]:
    """Return the first training image of a class, float32 in [0, 1] of shape (height, width, 1), and its aspect."""
    row = np.flatnonzero((image_split["subset"] == "train") & (image_split["label"] == label))[0]
    return np.asarray(scale(prepared_images[row])), float(compute_aspects(image_split, preparation)[row])


def _list_active_transforms(options: Augmentation) -> list[str]:
    return [name for name, strength in options if name != "copies" and strength]


def _apply_transform(image: Array, aspect: float, options: Augmentation, name: str, draws: tuple[float, ...]) -> Array:
    """Return the image under one transform at each draw: float32 of shape (draws, height, width)."""
    import tensorflow as tf

    transform = Augmentation(**{name: getattr(options, name)})
    all_draws = tf.constant(np.tile(np.array(draws, np.float32), (NUM_DRAWS, 1)))
    aspects = np.full(len(draws), aspect, np.float32)
    return np.asarray(alter(np.stack([image] * len(draws)), transform, all_draws, (0, 0), aspects))[..., 0]


def _describe_strength(name: str, run: Run, draw: float, labels: Labels) -> str:
    strength = float(getattr(run.augmentation, name))
    amount = strength * draw
    key = "not_flipped" if name == "horizontal_flip" and amount >= 0 else f"strength_of_{name}"
    shape = strength ** ((1 + draw) / 2)
    values = {"amount": amount, "factor": 1 + amount, "exponent": math.exp(amount), "shape": shape}
    return f"{labels(f'transform_{name}')}:\n{labels(key, **values)}"


def draw_occlusion(occluded_examples: Array, occlusion_table: DataFrame, labels: Labels) -> Figure:
    """Draw a test image in each view of `measure_occlusion`, with the AUC of the view over the test set and its change.

    `occluded_examples` is uint8 of shape (3, height, width): whole, border, centre.
    """
    figure, axes = new_figure(labels, columns=3, width=PAGE_WIDTH, height=3.5)
    rows: list[dict[str, Any]] = occlusion_table.to_dict("records")  # type: ignore[assignment]
    figure.suptitle(labels("occlusion_title", run=rows[0]["run"], num=rows[0]["n"]), fontsize=10)
    for panel, pixels, row in zip(axes, occluded_examples, rows, strict=True):
        has_interval = row is not rows[0] and row["auc_change_low"] != row["auc_change_high"]
        key = "view_covered" if has_interval else "view_whole"
        show_image(panel, pixels, labels(key, **{**row, "shown": labels.translate(row["shown"])}))
    return figure


def draw_robustness(robustness_table: DataFrame, labels: Labels) -> Figure:
    """Draw the change of accuracy and AUC against the strength of each corruption, with paired 95% intervals."""
    is_unaltered = robustness_table["kind"] == UNALTERED
    altered, unaltered = robustness_table[~is_unaltered], robustness_table[is_unaltered].iloc[0]
    num_rows = -(-max(altered["kind"].nunique(), 1) // NUM_COLUMNS)
    size = {"width": PAGE_WIDTH, "height": 1 + 1.75 * num_rows}
    figure, axes = new_figure(labels, columns=NUM_COLUMNS, rows=num_rows, sharey=True, **size)
    for panel in axes.flat:
        panel.set_visible(False)
    for panel, (kind, rows) in zip(axes.flat, altered.groupby("kind", sort=False), strict=False):
        panel.set_visible(True)
        panel.axhline(0, color=GREY, linestyle=":", linewidth=1)
        for name, colour, marker, offset in (("accuracy", BLUE, "o", -0.08), ("auc", ORANGE, "s", 0.08)):
            value, low, high = (100 * rows[f"{name}_change{bound}"] for bound in ("", "_low", "_high"))
            x = [step + offset for step in range(len(rows))]
            label = labels(f"{name}_unaltered", value=unaltered[name])
            style = {"marker": marker, "markersize": 4, "color": colour, "elinewidth": 1}
            panel.errorbar(x, value, [value - low, high - value], label=label, **style)
        panel.set_xticks(range(len(rows)), [labels.number(strength, "g") for strength in rows["strength"]])
        panel.margins(x=0.15)
        label_axes(panel, labels.translate(str(kind)), (labels(f"strength_{kind}"), ""))
        panel.tick_params(labelsize=8)
        panel.xaxis.label.set_size(8)
    figure.supylabel(labels("points"), fontsize=9)
    title = labels("robustness_title", run=unaltered["run"], num=int(unaltered["n"]))
    handles, names = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, names, title=title, loc="outside upper center", ncols=2, frameon=False, fontsize=9)
    return figure


def draw_pair(case: Mapping[Hashable, Any], evidence: Array, preparation: Preparation) -> tuple[bytes, bytes]:
    """Draw the part of an image that the network sees, in its own proportions, without and with its Grad-CAM map.

    Args:
        case: `path` of the file; `width` and `height` of the image in pixels.
        evidence: The map, float32 in [0, 1] of shape (height, width) of the prepared image; 0 is transparent.
        preparation: Of the prepared image.

    Returns:
        Two pictures of equal size as WebP.
    """
    size = preparation.width, preparation.height
    if preparation.geometry == "stretch":  # The other geometries give an image the proportions of their output.
        size = case["width"], case["height"]
    width, height = (max(1, round(SIDE * side / max(size))) for side in size)
    grey = read_pixels(case["path"], width, height, preparation.geometry)
    return _encode(grey), _encode(overlay_evidence(grey, evidence))


def _encode(pixels: Array) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).convert("RGB").save(buffer, "WEBP", quality=QUALITY)
    return buffer.getvalue()
