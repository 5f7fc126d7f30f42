"""The images that a network gets wrong, and some that it gets right, with what its decision came from."""

from typing import Annotated, Any

from pydantic import Field

from chest_xray.models.gradcam import grad_cam
from chest_xray.options import Options
from chest_xray.types import Array, DataFrame, Figure, Model

NUM_COLUMNS = 5  # pictures beside each other
LEGEND = "colour: speaks for pneumonia (Grad-CAM), yellow most; no colour: nothing does"
GROUPS = {  # Of decisions: what they are called, and which are shown of them.
    "false_negative": ("False negatives", "lowest score first"),
    "false_positive": ("False positives", "highest score first"),
    "true_positive": ("True positives", "nearest to their median score"),
    "true_negative": ("True negatives", "nearest to their median score"),
}


class Gallery(Options):
    """How many images of each group are shown."""

    max_false_negatives: Annotated[int, Field(ge=1, le=500)]
    num_false_positives: Annotated[int, Field(ge=1, le=500)]
    num_typical: Annotated[int, Field(ge=1, le=500)]


def select_cases(
    test_predictions: DataFrame, image_split: DataFrame, operating_point: dict[str, Any], gallery: Gallery
) -> DataFrame:
    """Choose the test images to look at.

    Args:
        test_predictions: One row a test image, in the order of `image_split`.
        image_split: One row an image, in the order of the prepared images.
        operating_point: The run's title and `threshold`.
        gallery: How many of each group.

    Returns:
        One row an image: `run` (its title), `decision` ("false_negative", "false_positive", "true_positive",
        "true_negative"), `of` (how many there are of it), `path`, `aetiology`, `probability` (the score), `threshold`,
        and `row` of the prepared images. False negatives come with the lowest score first, false positives with the
        highest; of the right ones those nearest to their median.
    """
    import numpy as np
    import pandas as pd

    called = test_predictions["probability"] >= operating_point["threshold"]
    table = test_predictions.assign(
        row=np.flatnonzero(image_split["subset"] == "test"),
        run=operating_point["run"],
        threshold=operating_point["threshold"],
        decision=np.where(
            test_predictions["label"] == 1,
            np.where(called, "true_positive", "false_negative"),
            np.where(called, "false_positive", "true_negative"),
        ),
    )
    chosen = [_choose(table[table["decision"] == decision], decision, gallery) for decision in GROUPS]
    columns = ["run", "decision", "of", "path", "aetiology", "probability", "threshold", "row"]
    return pd.concat(chosen, ignore_index=True)[columns]


def _choose(group: DataFrame, decision: str, gallery: Gallery) -> DataFrame:
    group = group.assign(of=len(group))
    if decision == "false_negative":
        return group.sort_values("logit").head(gallery.max_false_negatives)
    if decision == "false_positive":
        return group.sort_values("logit", ascending=False).head(gallery.num_false_positives)
    distance = (group["logit"] - group["logit"].median()).abs()
    return group.loc[distance.sort_values(kind="stable").index].head(gallery.num_typical)


def draw_gallery(
    model: Model, prepared_images: Array, gallery_cases: DataFrame, data_source: str
) -> tuple[Figure, Figure, Figure]:
    """Lay Grad-CAM maps over the chosen images, as the network sees them.

    Args:
        model: The trained network.
        prepared_images: uint8 of shape (images, height, width).
        gallery_cases: From `select_cases`.
        data_source: Printed below the pictures.

    Returns:
        False negatives, false positives, and those got right, as many rows as it takes.
    """
    import numpy as np

    pixels = prepared_images[gallery_cases["row"].to_numpy(int)]
    maps = grad_cam(model, pixels.astype(np.float32)[..., None] / 255)
    pages = []
    for decisions in (["false_negative"], ["false_positive"], ["true_positive", "true_negative"]):
        shown = gallery_cases["decision"].isin(decisions).to_numpy()
        title = "\n".join([_describe(gallery_cases, decisions), LEGEND])
        pages.append(_draw_page(gallery_cases[shown], pixels[shown], maps[shown], title, data_source))
    return pages[0], pages[1], pages[2]


def _describe(cases: DataFrame, decisions: list[str]) -> str:
    lines = [f"{cases['run'].iloc[0]}, threshold {cases['threshold'].iloc[0]:.3f}"]
    for decision in decisions:
        name, order = GROUPS[decision]
        rows = cases[cases["decision"] == decision]
        lines.append(f"{name}: {len(rows)} of {rows['of'].iloc[0]}, {order}" if len(rows) else f"{name}: none")
    return "\n".join(lines)


def _draw_page(cases: DataFrame, pixels: Array, maps: Array, title: str, data_source: str) -> Figure:
    from chest_xray.figures import new_figure, show_image

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
