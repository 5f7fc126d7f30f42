"""Figures of the robustness and explanation checks; `labels` are those of a language."""

import io
from collections.abc import Hashable, Mapping
from typing import Any

from chest_xray.core.types import Array, DataFrame, Figure
from chest_xray.images.decoding import read_pixels
from chest_xray.images.preprocessing import Preparation
from chest_xray.models.gradcam import lay_over
from chest_xray.reporting.conclusions import UNALTERED
from chest_xray.reporting.style import BLUE, GREY, ORANGE, PAGE_WIDTH, Labels, label_axes, new_figure, show_image

NUM_COLUMNS = 4  # panels in a row
GROUPS = ("false_negative", "false_positive", "true_positive", "true_negative")  # of the gallery, in this order
SIDE = 384  # pixels of the longer side of a picture of the gallery
QUALITY = 80  # of WebP, at most 100


def draw_occlusion(occluded_examples: Array, occlusion_table: DataFrame, labels: Labels) -> Figure:
    """Draw a test image in each view of `measure_occlusion`, with the AUC of all test images and its paired change.

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
    """Draw by how much each corruption changes accuracy and AUC, against its strength, with paired 95% intervals.

    `robustness_table` is from `measure_robustness`.
    """
    is_unaltered = robustness_table["kind"] == UNALTERED
    altered, unaltered = robustness_table[~is_unaltered], robustness_table[is_unaltered].iloc[0]
    num_rows = -(-max(altered["kind"].nunique(), 1) // NUM_COLUMNS)
    size = {"width": PAGE_WIDTH, "height": 1 + 1.75 * num_rows}
    figure, axes = new_figure(labels, columns=NUM_COLUMNS, rows=num_rows, sharey=True, **size)
    for panel in axes.flat:
        panel.set_visible(False)
    for panel, (kind, rows) in zip(axes.flat, altered.groupby("kind", sort=False), strict=False):
        panel.set_visible(True)
        _draw_kind(panel, rows, unaltered, labels)
        label_axes(panel, labels.translate(str(kind)), (labels(f"strength_{kind}"), ""))
        panel.tick_params(labelsize=8)
        panel.xaxis.label.set_size(8)
    figure.supylabel(labels("points"), fontsize=9)
    title = labels("robustness_title", run=unaltered["run"], num=int(unaltered["n"]))
    handles, names = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, names, title=title, loc="outside upper center", ncols=2, frameon=False, fontsize=9)
    return figure


def _draw_kind(panel: Any, rows: DataFrame, unaltered: Any, labels: Labels) -> None:
    panel.axhline(0, color=GREY, linestyle=":", linewidth=1)
    for name, colour, marker, aside in (("accuracy", BLUE, "o", -0.08), ("auc", ORANGE, "s", 0.08)):
        value, low, high = (100 * rows[f"{name}_change{part}"] for part in ("", "_low", "_high"))
        at = [step + aside for step in range(len(rows))]
        label = labels(f"{name}_unaltered", value=unaltered[name])
        look = {"marker": marker, "markersize": 4, "color": colour, "elinewidth": 1}
        panel.errorbar(at, value, [value - low, high - value], label=label, **look)
    panel.set_xticks(range(len(rows)), [labels.number(strength, "g") for strength in rows["strength"]])
    panel.margins(x=0.15)


def draw_pair(case: Mapping[Hashable, Any], evidence: Array, preparation: Preparation) -> tuple[bytes, bytes]:
    """Draw the part of an image that the network sees, in its proportions, and the same below its Grad-CAM map.

    Args:
        case: `path` of the file; `width` and `height` of the image in pixels.
        evidence: The map, float32 in [0, 1] of shape (height, width) of the prepared image; 0 is transparent.
        preparation: Of the prepared image.

    Returns:
        Two pictures of equal size as WebP.
    """
    whole = preparation.geometry == "stretch"
    sides = [(case if whole else preparation.model_dump())[name] for name in ("width", "height")]
    width, height = (max(1, round(SIDE * side / max(sides))) for side in sides)
    grey = read_pixels(case["path"], width, height, preparation.geometry)
    return _encode(grey), _encode(lay_over(grey, evidence))


def _encode(pixels: Array) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).convert("RGB").save(buffer, "WEBP", quality=QUALITY)
    return buffer.getvalue()
