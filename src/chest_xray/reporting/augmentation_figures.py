"""Figures of augmentation: training images as the network sees them, and each transform alone.

In all of them `prepared_images` is uint8 of shape (images, height, width) with one row of `image_split` each, `run` has
the augmentation that is shown, and `labels` are those of a language.
"""

import math

from chest_xray.core.types import Array, DataFrame, Figure
from chest_xray.images.kermany import CLASSES
from chest_xray.images.preprocessing import Preparation, compute_aspects
from chest_xray.models.augmentation import NUM_DRAWS, Augmentation, alter, augment
from chest_xray.models.input_pipeline import scale
from chest_xray.models.training import Run
from chest_xray.reporting.style import PAGE_WIDTH, Labels, new_figure, show_image

NUM_COPIES = 5  # shown beside each original
DRAWS = (-1.0, -0.5, 0.0, 0.5, 1.0)  # from one end of a range to the other
ONE_SIDED = {"noise", "blur"}  # whose ranges start at zero


def draw_augmented_examples(
    prepared_images: Array, image_split: DataFrame, preparation: Preparation, run: Run, labels: Labels
) -> Figure:
    """Draw a training image of each class beside augmented copies."""
    import numpy as np

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
    import numpy as np

    names = _list_active(run.augmentation)
    columns = 1 + len(names)
    figure, axes = new_figure(labels, columns=columns, rows=2, width=1.65 * columns, height=4.6)
    for label, panels in enumerate(np.reshape(axes, (2, -1))):
        image, aspect = _find_first(label, prepared_images, image_split, preparation)
        show_image(panels[0], image[..., 0], labels("original", name=CLASSES[label]).replace(": ", ":\n"))
        for panel, name in zip(panels[1:], names, strict=True):
            end = -1.0 if name == "horizontal_flip" else 1.0
            (altered,) = _transform_alone(image, aspect, run.augmentation, name, (end,))
            show_image(panel, altered, _describe_strength(name, run, end, labels))
    return figure


def draw_transform_ranges(
    prepared_images: Array, image_split: DataFrame, preparation: Preparation, run: Run, labels: Labels
) -> Figure:
    """Draw a PNEUMONIA training image along the range of every active transform, one row each."""
    import numpy as np

    names = _list_active(run.augmentation) or ["horizontal_flip"]
    figure, axes = new_figure(labels, columns=len(DRAWS), rows=len(names), width=10, height=0.4 + 2.2 * len(names))
    image, aspect = _find_first(1, prepared_images, image_split, preparation)
    for name, panels in zip(names, np.reshape(axes, (len(names), -1)), strict=True):
        draws = tuple((1 + draw) / 2 for draw in DRAWS) if name in ONE_SIDED else DRAWS
        altered = _transform_alone(image, aspect, run.augmentation, name, draws)
        for panel, draw, pixels in zip(panels, draws, altered, strict=True):
            show_image(panel, pixels, _describe_strength(name, run, draw, labels))
    return figure


def _find_first(
    label: int, prepared_images: Array, image_split: DataFrame, preparation: Preparation
) -> tuple[Array, float]:
    """Return the first training image of a class, float32 in [0, 1] of shape (height, width, 1), and its aspect."""
    import numpy as np

    row = np.flatnonzero((image_split["subset"] == "train") & (image_split["label"] == label))[0]
    return np.asarray(scale(prepared_images[row])), float(compute_aspects(image_split, preparation)[row])


def _list_active(options: Augmentation) -> list[str]:
    return [name for name, strength in options if name != "copies" and strength]


def _transform_alone(image: Array, aspect: float, options: Augmentation, name: str, draws: tuple[float, ...]) -> Array:
    """Return the image under one transform at each draw: float32 of shape (draws, height, width)."""
    import numpy as np
    import tensorflow as tf

    alone = Augmentation(**{name: getattr(options, name)})
    all_draws = tf.constant(np.tile(np.array(draws, np.float32), (NUM_DRAWS, 1)))
    aspects = np.full(len(draws), aspect, np.float32)
    return np.asarray(alter(np.stack([image] * len(draws)), alone, all_draws, (0, 0), aspects))[..., 0]


def _describe_strength(name: str, run: Run, draw: float, labels: Labels) -> str:
    strength = float(getattr(run.augmentation, name))
    amount = strength * draw
    key = "not_flipped" if name == "horizontal_flip" and amount >= 0 else f"strength_of_{name}"
    shape = strength ** ((1 + draw) / 2)
    values = {"amount": amount, "factor": 1 + amount, "exponent": math.exp(amount), "shape": shape}
    return f"{labels(f'transform_{name}')}:\n{labels(key, **values)}"
