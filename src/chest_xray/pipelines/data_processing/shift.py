"""Validation under shift: every validation image taken again under conditions that training never saw."""

from collections.abc import Callable
from functools import lru_cache
from typing import Annotated

import numpy as np
from pydantic import Field

from chest_xray.core.options import Options
from chest_xray.core.types import Array, DataFrame
from chest_xray.datasets.partial_array import RowPlan
from chest_xray.images.corruptions import KINDS, fit, reacquire, read_working_picture
from chest_xray.pipelines.data_processing.prepare import Preparation, fingerprint

SWAPPED = "swapped_shape"  # Healthy pictures are made wider, diseased ones narrower: the other way round than they are.
Strengths = tuple[Annotated[float, Field(gt=0)], ...]


class Shift(Options):
    """Which conditions, and how strong; the units stand in `chest_xray.images.corruptions.reacquire`."""

    seed: Annotated[int, Field(ge=0, lt=2**31)]
    contrast: Strengths
    gamma: Strengths
    noise: Strengths
    blur: Strengths
    crop: Strengths
    tilt: Strengths
    collimation: Strengths
    swapped_shape: Strengths
    combined: Annotated[float, Field(gt=0, le=1)]

    def conditions(self) -> list[tuple[str, float]]:
        """List the conditions: unaltered, each kind at each strength, shapes swapped, and all kinds at once."""
        alone = [(kind, strength) for kind in (*KINDS[1:], SWAPPED) for strength in getattr(self, kind)]
        return [(KINDS[0], 0.0), *alone, ("combined", self.combined)]


def list_shifted_validation(image_split: DataFrame, shift: Shift) -> DataFrame:
    """List every validation image once for each condition.

    Args:
        image_split: One row an image.
        shift: The conditions.

    Returns:
        The validation rows of `image_split`, each repeated for every condition, with the columns `kind` and `strength`,
        and `subset` "shifted_validation".
    """
    import pandas as pd

    validation = image_split[image_split["subset"] == "validation"].assign(subset="shifted_validation")
    conditions = pd.DataFrame(shift.conditions(), columns=["kind", "strength"])
    return validation.merge(conditions, how="cross")


def reacquire_validation(shifted_validation: DataFrame, shift: Shift, preparation: Preparation) -> RowPlan:
    """Plan how the validation images are taken again and prepared as the network will read them.

    Args:
        shifted_validation: One row an image and condition, from `list_shifted_validation`.
        shift: Seed, and the strongest of each kind, of which the combined condition draws shares.
        preparation: Width and height in pixels, and the geometry.

    Returns:
        A plan of uint8 of shape (rows, height, width), in the order of the rows; its dataset carries it out.
    """
    conditions = shifted_validation[["kind", "strength", "label"]].to_numpy()

    def take(row: int, picture: Array) -> Array:
        kind, strength, label = conditions[row]
        if kind == SWAPPED:
            kind = "narrower" if label else "wider"
        rng = np.random.default_rng([shift.seed, row])
        for each, how_much in _combined(shift, rng) if kind == "combined" else [(kind, strength)]:
            picture = reacquire(picture, each, how_much, rng)
        return picture

    return plan_pictures(shifted_validation, shift, preparation, take)


def plan_pictures(
    table: DataFrame, options: Options, preparation: Preparation, take: Callable[[int, Array], Array]
) -> RowPlan:
    """Plan one picture a row.

    Args:
        table: `path`, `bytes`, `modified`, `kind` and `strength` of each picture; all rows of a path stand together.
        options: What else decides how a picture is taken.
        preparation: Width and height in pixels, and the geometry.
        take: From the number of a row and its working picture to the picture taken again.
    """
    paths = table["path"].to_numpy()
    read = lru_cache(maxsize=32)(read_working_picture)  # All conditions of a picture stand one after the other.

    def compute(row: int) -> Array:
        return fit(take(row, read(paths[row])), (preparation.width, preparation.height), preparation.geometry)

    return RowPlan(
        title="Taking again",
        fingerprint=fingerprint(table[["path", "bytes", "modified", "kind", "strength"]], options, preparation),
        shape=(len(table), preparation.height, preparation.width),
        compute=compute,
    )


def _combined(shift: Shift, rng: np.random.Generator) -> list[tuple[str, float]]:
    """Every kind at once, each at a share of its greatest strength, drawn up to `combined`."""
    return [(kind, rng.uniform(0, shift.combined) * max(getattr(shift, kind))) for kind in KINDS[1:]]
