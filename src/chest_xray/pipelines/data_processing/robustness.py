"""Test under graded alteration: every test image taken again, one thing changed at a time, weakly to strongly.

No choice is made on these pictures; they tell how much of a network's accuracy another room would leave.
"""

from typing import Annotated

import numpy as np
from pydantic import Field

from chest_xray.core.options import Options
from chest_xray.core.types import Array, DataFrame
from chest_xray.datasets.partial_array import RowPlan
from chest_xray.images.corruptions import reacquire
from chest_xray.pipelines.data_processing.prepare import Preparation
from chest_xray.pipelines.data_processing.shift import Strengths, plan_pictures

Shares = tuple[Annotated[float, Field(gt=0, lt=1)], ...]
Qualities = tuple[Annotated[int, Field(ge=1, le=100)], ...]


class Robustness(Options):
    """Which alterations, and how strong, weakest first; the units are those of `images.corruptions.reacquire`."""

    seed: Annotated[int, Field(ge=0, lt=2**31)]
    blur: Strengths
    noise: Strengths
    contrast: Shares
    gamma: Strengths
    jpeg: Qualities
    tilt: Strengths
    crop: Shares
    collimation: Shares

    def conditions(self) -> list[tuple[str, float]]:
        """List the conditions: unaltered, and each kind at each strength."""
        strengths = self.model_dump(exclude={"seed"})
        return [("none", 0.0), *((kind, float(each)) for kind, all_of_it in strengths.items() for each in all_of_it)]


def list_altered_test(image_split: DataFrame, robustness: Robustness) -> DataFrame:
    """List every test image once for each condition.

    Args:
        image_split: One row an image.
        robustness: The conditions.

    Returns:
        The test rows of `image_split`, each repeated for every condition, with the columns `kind` and `strength`, and
        `subset` "altered_test".
    """
    import pandas as pd

    test = image_split[image_split["subset"] == "test"].assign(subset="altered_test")
    return test.merge(pd.DataFrame(robustness.conditions(), columns=["kind", "strength"]), how="cross")


def reacquire_test(altered_test: DataFrame, robustness: Robustness, preparation: Preparation) -> RowPlan:
    """Plan how the test images are taken again and prepared as the network will read them.

    What is drawn (direction, place, noise) is drawn for each image once and is the same at all strengths, so that
    conditions differ in strength alone.

    Args:
        altered_test: One row an image and condition, from `list_altered_test`.
        robustness: The conditions, and the seed.
        preparation: Width and height in pixels, and the geometry.

    Returns:
        A plan of uint8 of shape (rows, height, width), in the order of the rows; its dataset carries it out.
    """
    conditions = altered_test[["kind", "strength"]].to_numpy()
    num_conditions = len(robustness.conditions())

    def take(row: int, picture: Array) -> Array:
        kind, strength = conditions[row]
        return reacquire(picture, kind, strength, np.random.default_rng([robustness.seed, row // num_conditions]))

    return plan_pictures(altered_test, robustness, preparation, take)
