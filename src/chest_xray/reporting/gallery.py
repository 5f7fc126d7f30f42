"""Pages of pictures with Grad-CAM maps over them."""

from typing import Any

from chest_xray.core.types import Array, DataFrame, Figure

NUM_COLUMNS = 5  # pictures beside each other
LEGEND = "colour: speaks for pneumonia (Grad-CAM), yellow most; no colour: nothing does"
GROUPS = {  # Of decisions: what they are called, and which are shown of them.
    "false_negative": ("False negatives", "lowest score first"),
    "false_positive": ("False positives", "highest score first"),
    "true_positive": ("True positives", "nearest to their median score"),
    "true_negative": ("True negatives", "nearest to their median score"),
}


def describe_cases(cases: DataFrame, decisions: list[str]) -> str:
    """Write the title of a page: the run, its threshold, and how many there are of each kind of decision."""
    lines = [f"{cases['run'].iloc[0]}, threshold {cases['threshold'].iloc[0]:.3f}"]
    for decision in decisions:
        name, order = GROUPS[decision]
        rows = cases[cases["decision"] == decision]
        lines.append(f"{name}: {len(rows)} of {rows['of'].iloc[0]}, {order}" if len(rows) else f"{name}: none")
    return "\n".join(lines)


def draw_cases(cases: DataFrame, pixels: Array, maps: Array, title: str, data_source: str) -> Figure:
    """Draw a page of pictures, `NUM_COLUMNS` beside each other.

    Args:
        cases: One row a picture: `path`, `aetiology` and `probability`.
        pixels: uint8 of shape (cases, height, width).
        maps: float32 in [0, 1] of the same shape; 0 is not coloured.
        title: Printed above.
        data_source: Printed below.
    """
    from chest_xray.reporting.style import new_figure, show_image

    num_rows = max(-(-len(cases) // NUM_COLUMNS), 1)
    height = 0.5 + 0.15 * len(title.splitlines()) + 1.9 * num_rows
    figure, axes = new_figure(data_source, columns=NUM_COLUMNS, rows=num_rows, width=8.2, height=height)
    figure.suptitle(title, fontsize=9)
    for place in axes.flat:
        place.set_axis_off()
    for place, case, picture, heat in zip(axes.flat, cases.to_dict("records"), pixels, maps, strict=False):
        show_image(place, picture, _caption(case))
        place.title.set_size(6.5)
        place.imshow(heat, cmap="inferno", vmin=0, vmax=1, alpha=0.55 * heat)
    return figure


def _caption(case: dict[Any, Any]) -> str:
    name = case["path"].rsplit("/", 1)[-1].rsplit(".", 1)[0]
    cause = "" if case["aetiology"] in ("none", "unknown") else f", {case['aetiology']}"
    return f"{name}\nscore {case['probability']:.3f}{cause}"
