"""What a network can tell with the lungs covered, and with nothing but the lungs.

A network that still ranks children right when it sees no lung reads something else: the frame of the picture, the arms,
letters in a corner, how the picture was cut.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from chest_xray.metrics.bootstrap import resample_weights
from chest_xray.models.inference import score_images
from chest_xray.options import Options
from chest_xray.pipelines.evaluation.nodes import Evaluation
from chest_xray.pipelines.evaluation.robustness import measure
from chest_xray.types import Array, DataFrame, Figure, Model

Share = Annotated[float, Field(gt=0, lt=1)]
SHOWN = {"whole": "the whole picture", "border": "the border alone", "centre": "the centre alone"}


class Occlusion(Options):
    """The central region that holds the lungs, as shares of the sides of the prepared picture."""

    shape: Literal["box", "ellipse"]
    width: Share
    height: Share


@dataclass(frozen=True)
class _Covered:
    """Prepared images that are covered as they are read."""

    pixels: Array
    hidden: Array

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.pixels.shape)

    def __getitem__(self, rows: Array) -> Array:
        return cover(self.pixels[rows], self.hidden)


def central_region(size: tuple[int, int], occlusion: Occlusion) -> Array:
    """Mark the pixels whose middle lies in the central region: bool of `size` (height, width)."""
    import numpy as np

    down, across = (np.abs((np.arange(side) + 0.5) / side - 0.5) * 2 for side in size)
    down, across = down[:, None] / occlusion.height, across[None] / occlusion.width
    return (np.maximum(down, across) if occlusion.shape == "box" else np.hypot(down, across)) <= 1


def cover(pixels: Array, hidden: Array) -> Array:
    """Hide a part of each image behind the mean grey of its other part.

    Black or white would be an edge that no radiograph has; the mean of the whole image would tell how bright the hidden
    part is, and so how opaque the lungs are.

    Args:
        pixels: uint8 of shape (n, height, width); not changed.
        hidden: bool of shape (height, width); somewhere False.

    Returns:
        uint8 of shape (n, height, width).
    """
    import numpy as np

    means = pixels[:, ~hidden].mean(axis=1).round().astype(np.uint8)
    return np.where(hidden, means[:, None, None], pixels)


def predict_occluded(
    model: Model, prepared_images: Array, image_split: DataFrame, occlusion: Occlusion
) -> tuple[DataFrame, Array]:
    """Score the test images with their centre covered, and with all but their centre covered.

    Args:
        model: The trained network.
        prepared_images: uint8 of shape (images, height, width), one for each row of `image_split`.
        image_split: One row an image.
        occlusion: The central region.

    Returns:
        As `chest_xray.models.inference.score_images` gives it, twice, with the column `shown`: "border" or "centre".
        And the first diseased test image whole, its border and its centre, uint8 of shape (3, height, width).
    """
    import numpy as np
    import pandas as pd

    inside = central_region(prepared_images.shape[1:], occlusion)
    views: dict[str, Any] = {
        "border": _Covered(prepared_images, inside),
        "centre": _Covered(prepared_images, ~inside),
    }
    scored = [score_images(model, view, image_split, "test").assign(shown=name) for name, view in views.items()]
    is_example = (image_split["subset"] == "test") & (image_split["label"] == 1)
    example = np.flatnonzero(is_example)[:1]
    return pd.concat(scored, ignore_index=True), np.concatenate(
        [each[example] for each in (prepared_images, *views.values())]
    )


def measure_occlusion(
    test_predictions: DataFrame,
    occluded_predictions: DataFrame,
    operating_point: dict[str, Any],
    evaluation: Evaluation,
) -> DataFrame:
    """Measure what is left of accuracy and AUC.

    The threshold was chosen on whole pictures, so that AUC tells more of what a covered one still says: 0.5 is chance.

    Args:
        test_predictions: One row a test image, seen whole.
        occluded_predictions: From `predict_occluded`.
        operating_point: The run's title and `threshold`.
        evaluation: Seed of the bootstrap.

    Returns:
        One row a view: `run`, `shown` ("whole", "border", "centre"), and what `measure_robustness` gives of it.
    """
    import pandas as pd

    weights = resample_weights(test_predictions["group"].to_numpy(), evaluation.seed)
    views = {"whole": test_predictions, **dict(iter(occluded_predictions.groupby("shown", sort=False)))}
    rows = [
        {"run": operating_point["run"], "shown": name, **measure(table, operating_point, weights)}
        for name, table in views.items()
    ]
    return pd.DataFrame(rows).round(4)


def draw_occlusion(occluded_examples: Array, occlusion_table: DataFrame, data_source: str) -> Figure:
    """Show one test image in each view, and above it what the network makes of all of them.

    Args:
        occluded_examples: uint8 of shape (3, height, width): whole, border, centre.
        occlusion_table: From `measure_occlusion`.
        data_source: Printed below the pictures.
    """
    from chest_xray.figures import new_figure, show_image

    figure, axes = new_figure(data_source, columns=3, width=8.2, height=3.7)
    rows = occlusion_table.to_dict("records")
    figure.suptitle(f"What is left to see, {rows[0]['run']}: n = {rows[0]['n']}; AUC 0.5 is chance", fontsize=10)
    for place, pixels, row in zip(axes, occluded_examples, rows, strict=True):
        auc = f"AUC {row['auc']:.3f} ({row['auc_low']:.3f} to {row['auc_high']:.3f})"
        show_image(place, pixels, f"{SHOWN[row['shown']]}\n{auc}\naccuracy {row['accuracy']:.3f}")
    return figure
