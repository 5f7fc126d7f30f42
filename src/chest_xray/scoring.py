"""From a trained network to one row an image: what it says, beside what is known of it."""

from chest_xray.batches import image_batches
from chest_xray.types import Array, DataFrame, Model

COLUMNS = ["path", "subset", "group", "aetiology", "label", "width", "height"]
BATCH_SIZE = 64  # images at once; more is not faster on a processor


def score_images(model: Model, prepared_images: Array, image_split: DataFrame, subset: str) -> DataFrame:
    """Give the probability of pneumonia of every image of a subset.

    Args:
        model: Maps images in [0, 1] of shape (batch, height, width, 1) to a probability.
        prepared_images: uint8 of shape (images, height, width), one for each row of `image_split`.
        image_split: One row an image.
        subset: "train", "validation" or "test".

    Returns:
        The rows of the subset, in their order: `path`, `subset`, `group`, `aetiology`, `label` (0 healthy, 1 diseased),
        `width`, `height` (pixels of the original) and `probability` of pneumonia, float32 in [0, 1].
    """
    import numpy as np

    rows = np.flatnonzero(image_split["subset"] == subset)
    probabilities = model.predict(image_batches(prepared_images, rows, BATCH_SIZE), verbose=0)
    return image_split.iloc[rows][COLUMNS].assign(probability=probabilities[:, 0]).reset_index(drop=True)
