"""From a trained network to one row an image: what it says, beside what is known of it."""

from chest_xray.core.types import Array, DataFrame, Model
from chest_xray.models.input_pipeline import image_batches
from chest_xray.models.network import without_sigmoid

BATCH_SIZE = 64  # images at once; more is not faster on a processor


def score_images(model: Model, prepared_images: Array, image_split: DataFrame, subset: str) -> DataFrame:
    """Give the probability of pneumonia of every image of a subset.

    Args:
        model: Maps images in [0, 1] of shape (batch, height, width, 1) to a probability.
        prepared_images: uint8 of shape (images, height, width), one for each row of `image_split`.
        image_split: One row an image.
        subset: "train", "validation" or "test", or another value of that column.

    Returns:
        The rows of the subset, in their order, with two columns more: `logit` (float32) and `probability` of pneumonia,
        its sigmoid in [0, 1], float64, so that sure answers stay apart where float32 would round them to 1.
    """
    import numpy as np
    from scipy.special import expit

    rows = np.flatnonzero(image_split["subset"] == subset)
    logits = without_sigmoid(model).predict(image_batches(prepared_images, rows, BATCH_SIZE), verbose=0)[:, 0]
    table = image_split.iloc[rows].reset_index(drop=True)
    return table.assign(logit=logits, probability=expit(logits.astype(float)))
