"""Figures of the robustness and explanation checks; `data_source` is printed below the plots."""

from typing import Any

from chest_xray.core.types import Array, DataFrame, Figure
from chest_xray.metrics.operating_point import name_probability
from chest_xray.reporting.conclusions import UNALTERED
from chest_xray.reporting.style import BLUE, ORANGE, PAGE_WIDTH, label_axes, new_figure, show_image

SHOWN = {"whole": "whole image", "border": "border alone", "centre": "centre alone"}
NUM_COLUMNS = 4  # panels in a row
AXIS = {  # meaning of the strength of each kind; see `chest_xray.images.corruptions.corrupt`
    "blur": "standard deviation, px of 256",
    "noise": "standard deviation, of 0 to 1",
    "contrast": "share lost",
    "gamma": "logarithm of the exponent",
    "jpeg": "quality",
    "tilt": "degrees",
    "crop": "share of either side cut off",
    "collimation": "share of one side cut off",
}
GALLERY_COLUMNS = 5  # images in a row
LEGEND = "colour: evidence for pneumonia (Grad-CAM), strongest in yellow; no colour: none"
GROUPS = {  # title of each kind of decision, and the order of its images
    "false_negative": ("False negatives", "lowest score first"),
    "false_positive": ("False positives", "highest score first"),
    "true_positive": ("True positives", "nearest to their median score"),
    "true_negative": ("True negatives", "nearest to their median score"),
}


def draw_occlusion(occluded_examples: Array, occlusion_table: DataFrame, data_source: str) -> Figure:
    """Draw a test image in each view of `measure_occlusion`, with accuracy and AUC of all test images above it.

    `occluded_examples` is uint8 of shape (3, height, width): whole, border, centre.
    """
    figure, axes = new_figure(data_source, columns=3, width=PAGE_WIDTH, height=3.7)
    rows = occlusion_table.to_dict("records")
    figure.suptitle(f"Covered test images, {rows[0]['run']}: n = {rows[0]['n']}; AUC 0.5 is chance", fontsize=10)
    for place, pixels, row in zip(axes, occluded_examples, rows, strict=True):
        auc = f"AUC {row['auc']:.3f} ({row['auc_low']:.3f} to {row['auc_high']:.3f})"
        show_image(place, pixels, f"{SHOWN[row['shown']]}\n{auc}\naccuracy {row['accuracy']:.3f}")
    return figure


def draw_robustness(robustness_table: DataFrame, data_source: str) -> Figure:
    """Draw accuracy and AUC with 95% intervals against the strength of each corruption, and their unaltered values.

    `robustness_table` is from `measure_robustness`.
    """
    is_unaltered = robustness_table["kind"] == UNALTERED
    altered, unaltered = robustness_table[~is_unaltered], robustness_table[is_unaltered].iloc[0]
    num_rows = -(-max(altered["kind"].nunique(), 1) // NUM_COLUMNS)
    size = {"width": PAGE_WIDTH, "height": 1 + 2.2 * num_rows}
    figure, axes = new_figure(data_source, columns=NUM_COLUMNS, rows=num_rows, **size)
    floor = min(0.5, robustness_table[["accuracy_low", "auc_low"]].min().min()) - 0.02
    for place in axes.flat:
        place.set_visible(False)
    for place, (kind, rows) in zip(axes.flat, altered.groupby("kind", sort=False), strict=False):
        place.set_visible(True)
        _draw_kind(place, rows, unaltered)
        label_axes(place, str(kind), (AXIS[str(kind)], ""))
        place.set_ylim(floor, 1.02)
        place.tick_params(labelsize=8, labelleft=place.get_subplotspec().is_first_col())
        place.xaxis.label.set_size(8)
    title = f"Corrupted test images, {unaltered['run']}: n = {unaltered['n']} each, 95% intervals"
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, title=title, loc="outside upper center", ncols=4, frameon=False, fontsize=9)
    return figure


def _draw_kind(place: Any, rows: DataFrame, unaltered: Any) -> None:
    steps = range(len(rows))
    accuracy = f"accuracy at {name_probability(unaltered['threshold'])}"
    for name, label, colour, marker in (("accuracy", accuracy, BLUE, "o"), ("auc", "AUC", ORANGE, "s")):
        ends = [rows[name] - rows[f"{name}_low"], rows[f"{name}_high"] - rows[name]]
        place.axhline(unaltered[name], color=colour, linestyle=":", linewidth=1, label=f"{label.split()[0]}, unaltered")
        place.errorbar(steps, rows[name], ends, marker=marker, markersize=4, color=colour, elinewidth=1, label=label)
    place.set_xticks(list(steps), [f"{strength:g}" for strength in rows["strength"]])
    place.margins(x=0.15)


def describe_cases(cases: DataFrame, decisions: list[str]) -> str:
    """Return the title of a page of the gallery: run, threshold, and the number of images of each kind of decision."""
    lines = [f"{cases['run'].iloc[0]}, threshold {name_probability(cases['threshold'].iloc[0])}"]
    for decision in decisions:
        name, order = GROUPS[decision]
        rows = cases[cases["decision"] == decision]
        lines.append(f"{name}: {len(rows)} of {rows['of'].iloc[0]}, {order}" if len(rows) else f"{name}: none")
    return "\n".join(lines)


def draw_cases(cases: DataFrame, pixels: Array, maps: Array, title: str, data_source: str) -> Figure:
    """Draw a page of the gallery, `GALLERY_COLUMNS` images in a row.

    Args:
        cases: One row per image: `path`, `aetiology` and `probability`.
        pixels: uint8 of shape (cases, height, width).
        maps: float32 in [0, 1] of the same shape; 0 is transparent.
        title: Printed above.
        data_source: Printed below.
    """
    num_rows = max(-(-len(cases) // GALLERY_COLUMNS), 1)
    height = 0.5 + 0.15 * len(title.splitlines()) + 1.9 * num_rows
    figure, axes = new_figure(data_source, columns=GALLERY_COLUMNS, rows=num_rows, width=PAGE_WIDTH, height=height)
    figure.suptitle(title, fontsize=9)
    for place in axes.flat:
        place.set_axis_off()
    for place, case, picture, heat in zip(axes.flat, cases.to_dict("records"), pixels, maps, strict=False):
        name = case["path"].rsplit("/", 1)[-1].rsplit(".", 1)[0]
        aetiology = "" if case["aetiology"] in ("none", "unknown") else f", {case['aetiology']}"
        show_image(place, picture, f"{name}\nscore {case['probability']:.3f}{aetiology}")
        place.title.set_size(6.5)
        place.imshow(heat, cmap="inferno", vmin=0, vmax=1, alpha=0.55 * heat)
    return figure
