"""A task that a tiny network learns in a few steps: dark NORMAL and bright PNEUMONIA images."""

from typing import Any

import keras
import numpy as np
import pandas as pd

from chest_xray.core.types import Array
from chest_xray.images.preprocessing import Preparation
from chest_xray.models.augmentation import Augmentation
from chest_xray.models.network import Network
from chest_xray.models.training import Run, TrainingSets
from chest_xray.pipelines.modeling.nodes import build_model, build_training_sets
from tests.builders import TINY_NETWORK, make_pixels, make_run, make_split, make_training

PREPARATION = Preparation(width=16, height=16)
TRAIN, VALIDATION = [0, 1] * 8, [0, 1] * 4
COPIES = Augmentation(copies=1, horizontal_flip=True, tilt=10)


def make_images_and_split(*, mislead: bool = False) -> tuple[Array, pd.DataFrame]:
    """16 images for training and 8 for validation; with `mislead`, validation labels are reversed."""
    labels = np.array(TRAIN + VALIDATION)
    pixels = (make_pixels(len(labels)) // 4 + 128 * labels[:, None, None]).astype(np.uint8)
    labels[len(TRAIN) :] = (labels[len(TRAIN) :] + mislead) % 2
    return pixels, make_split(labels.tolist(), ["train"] * len(TRAIN) + ["validation"] * len(VALIDATION))


def make_sets(
    *, mislead: bool = False, seed: int = 7, augmentation: Augmentation | None = None, **training: Any
) -> TrainingSets:
    """Training and validation sets of these images, by default without copies."""
    run = Run(title="as a trial", seed=seed, augmentation=augmentation or Augmentation())
    images_and_split = make_images_and_split(mislead=mislead)
    return build_training_sets(*images_and_split, PREPARATION, make_training(**training), run)


def make_model(seed: int = 7, network: Network = TINY_NETWORK) -> keras.Model:
    """An untrained network for these images."""
    return build_model(make_pixels(1), network, make_run(seed))


def weights_differ(first: keras.Model, second: keras.Model) -> bool:
    """Whether any bit does."""
    return any((a != b).any() for a, b in zip(first.get_weights(), second.get_weights(), strict=True))
