"""What augmentation does to a radiograph: as training sees it, each transform alone, and along its range."""

from chest_xray.core.types import Array, DataFrame, Figure
from chest_xray.images.kermany import CLASSES
from chest_xray.images.preprocessing import Preparation, compute_aspects
from chest_xray.models.augmentation import NUM_DRAWS, Augmentation, alter, augment
from chest_xray.models.input_pipeline import scale
from chest_xray.models.training import Run

NUM_COPIES = 5  # shown beside each original
DRAWS = (-1.0, -0.5, 0.0, 0.5, 1.0)  # from one end of a range to the other
ONE_SIDED = {"noise", "blur"}  # their ranges begin at nothing
# How a strength is told: `amount` is that of the draw, in the transform's unit.
TOLD = {
    "horizontal_flip": "{mirrored}",
    "zoom": "{factor:.2f} times as large",
    "translation": "{amount:+.2f} of the side",
    "tilt": "{amount:+.1f} degrees",
    "aspect": "width / height x {factor:.2f}",
    "collimation": "cut to {shape:.2f} : 1",
    "brightness": "{amount:+.2f} of 1",
    "contrast": "factor {factor:.2f}",
    "gamma": "exponent {exponent:.2f}",
    "noise": "deviation {amount:.3f}",
    "blur": "deviation {amount:.1f} px",
}


def draw_augmented_examples(
    prepared_images: Array, image_split: DataFrame, preparation: Preparation, run: Run, data_source: str
) -> Figure:
    """Draw a healthy and a diseased training image, each beside copies as training sees them.

    Args:
        prepared_images: uint8 of shape (images, height, width), one for each row of `image_split`.
        image_split: One row an image.
        preparation: How the images were prepared.
        run: Its augmentation is shown.
        data_source: Printed below the pictures.
    """
    import numpy as np

    from chest_xray.reporting.style import PAGE_WIDTH, new_figure, show_image

    figure, axes = new_figure(data_source, columns=1 + NUM_COPIES, rows=2, width=PAGE_WIDTH, height=3.5)
    for label, row_of_axes in enumerate(axes):
        image, aspect = _first_of(label, prepared_images, image_split, preparation)
        aspects = np.full(NUM_COPIES, aspect, np.float32)
        copies = augment(np.stack([image] * NUM_COPIES), run.augmentation, (label, 0), aspects)
        show_image(row_of_axes[0], image[..., 0], f"{CLASSES[label]}: original")
        for place, copy in zip(row_of_axes[1:], np.asarray(copies)[..., 0], strict=True):
            show_image(place, copy, "altered copy")
    return figure


def draw_transforms(
    prepared_images: Array, image_split: DataFrame, preparation: Preparation, run: Run, data_source: str
) -> Figure:
    """Draw a healthy and a diseased training image, each beside every transform alone at its full strength.

    The transforms are those that the run switches on; for the arguments see `draw_augmented_examples`.
    """
    import numpy as np

    from chest_xray.reporting.style import new_figure, show_image

    names = _switched_on(run.augmentation)
    columns = 1 + len(names)
    figure, axes = new_figure(data_source, columns=columns, rows=2, width=1.65 * columns, height=4.6)
    for label, row_of_axes in enumerate(np.reshape(axes, (2, -1))):
        image, aspect = _first_of(label, prepared_images, image_split, preparation)
        show_image(row_of_axes[0], image[..., 0], f"{CLASSES[label]}:\noriginal")
        for place, name in zip(row_of_axes[1:], names, strict=True):
            end = -1.0 if name == "horizontal_flip" else 1.0
            show_image(
                place, _alter_alone(image, aspect, run.augmentation, name, (end,))[0], _tell(name, run, end, "\n")
            )
    return figure


def draw_transform_ranges(
    prepared_images: Array, image_split: DataFrame, preparation: Preparation, run: Run, data_source: str
) -> Figure:
    """Draw one diseased training image along the range of each transform, a row a transform.

    The transforms are those that the run switches on; for the arguments see `draw_augmented_examples`.
    """
    import numpy as np

    from chest_xray.reporting.style import new_figure, show_image

    names = _switched_on(run.augmentation) or ["horizontal_flip"]
    figure, axes = new_figure(data_source, columns=len(DRAWS), rows=len(names), width=10, height=0.4 + 2.2 * len(names))
    image, aspect = _first_of(1, prepared_images, image_split, preparation)
    for name, row_of_axes in zip(names, np.reshape(axes, (len(names), -1)), strict=True):
        draws = tuple((1 + draw) / 2 for draw in DRAWS) if name in ONE_SIDED else DRAWS
        pictures = _alter_alone(image, aspect, run.augmentation, name, draws)
        for place, draw, picture in zip(row_of_axes, draws, pictures, strict=True):
            show_image(place, picture, _tell(name, run, draw, ": "))
    return figure


def _first_of(
    label: int, prepared_images: Array, image_split: DataFrame, preparation: Preparation
) -> tuple[Array, float]:
    """The first training image of a class, float32 in [0, 1] of shape (height, width, 1), and what it shows' shape."""
    import numpy as np

    row = np.flatnonzero((image_split["subset"] == "train") & (image_split["label"] == label))[0]
    return np.asarray(scale(prepared_images[row])), float(compute_aspects(image_split, preparation)[row])


def _switched_on(options: Augmentation) -> list[str]:
    return [name for name, strength in options if name != "copies" and strength]


def _alter_alone(image: Array, aspect: float, options: Augmentation, name: str, draws: tuple[float, ...]) -> Array:
    """One transform of the augmentation at each of these draws; float32 of shape (draws, height, width)."""
    import numpy as np
    import tensorflow as tf

    alone = Augmentation(**{name: getattr(options, name)})
    all_draws = tf.constant(np.tile(np.array(draws, np.float32), (NUM_DRAWS, 1)))
    aspects = np.full(len(draws), aspect, np.float32)
    return np.asarray(alter(np.stack([image] * len(draws)), alone, all_draws, (0, 0), aspects))[..., 0]


def _tell(name: str, run: Run, draw: float, between: str) -> str:
    """Name a transform and its strength at a draw, in its unit."""
    import math

    strength = float(getattr(run.augmentation, name))
    amount = strength * draw
    mirrored = "mirrored" if amount < 0 else "as it is"
    told = TOLD.get(name, "{amount:+.2f}").format(
        **{"amount": amount, "factor": 1 + amount, "exponent": math.exp(amount), "mirrored": mirrored},
        shape=strength ** ((1 + draw) / 2),
    )
    return f"{name.replace('_', ' ')}{between}{told}"
