"""The same picture acquired under other conditions: for validation, and for test."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from chest_xray.core.arrays import StoredArray, compute_rows
from chest_xray.core.options import Options, UnitInterval
from chest_xray.core.types import Array, DataFrame
from chest_xray.images.decoding import Geometry, fit_grey, read_pixels
from chest_xray.images.preprocessing import Preparation, fingerprint_files
from chest_xray.images.validation import read_header

if TYPE_CHECKING:
    import numpy as np


WORKING_SIDE = 256  # pixels of the shorter side at which pictures are corrupted; no network here reads finer detail
KINDS = ("none", "contrast", "gamma", "noise", "blur", "crop", "tilt", "collimation")  # What comes before the file.
SWAPPED = "swapped_shape"  # Healthy pictures are made wider, diseased ones narrower: the other way round than they are.
Strengths = tuple[Annotated[float, Field(gt=0)], ...]
Shares = tuple[Annotated[float, Field(gt=0, lt=1)], ...]
Qualities = tuple[Annotated[int, Field(ge=1, le=100)], ...]


def corrupt(picture: Array, kind: str, strength: float, rng: "np.random.Generator") -> Array:
    """Corrupt a picture in one way.

    Args:
        picture: Grey values, float32 in [0, 1], of shape (height, width), `WORKING_SIDE` pixels on the shorter side.
        kind: What changes, and the unit of its strength:
            "contrast": share of the contrast that is lost, in [0, 1);
            "gamma": logarithm of the exponent, either way;
            "noise": standard deviation of Gaussian noise, in grey values in [0, 1];
            "blur": standard deviation of the Gaussian, in pixels;
            "crop": share of the side that is cut off;
            "tilt": degrees, either way;
            "wider": share of the height that is cut off, half on each side;
            "narrower": share of the width that is cut off, half on each side;
            "collimation": the one or the other;
            "jpeg": quality from 1 to 100 of a JPEG that the picture is stored in and read from again; the only kind
            of which more is weaker;
            "none": nothing.
        strength: How much.
        rng: Draws the direction, the place of the crop and the noise.

    Returns:
        Grey values, float32 in [0, 1]; of another shape after a crop or collimation.

    Raises:
        ValueError: There is no such kind.
    """
    import numpy as np
    from scipy import ndimage

    sign = rng.choice([-1.0, 1.0])
    height, width = picture.shape
    if kind == "none":
        return picture
    if kind == "contrast":
        return picture.mean() + (picture - picture.mean()) * np.float32(1 - strength)
    if kind == "gamma":
        return picture ** np.float32(np.exp(sign * strength))
    if kind == "noise":
        return np.clip(picture + np.float32(rng.normal(0, strength, picture.shape)), 0, 1)
    if kind == "blur":
        return ndimage.gaussian_filter(picture, strength)
    if kind == "crop":
        top, left = (int(rng.uniform(0, strength) * side) for side in (height, width))
        return picture[top : top + round(height * (1 - strength)), left : left + round(width * (1 - strength))]
    if kind == "tilt":
        return ndimage.rotate(picture, sign * strength, reshape=False, order=1, mode="nearest")
    if kind == "collimation":
        kind = "narrower" if sign > 0 else "wider"
    if kind in {"wider", "narrower"}:
        cut_down, cut_across = (0.0, strength / 2) if kind == "narrower" else (strength / 2, 0.0)
        down, across = round(height * cut_down), round(width * cut_across)
        return picture[down : height - down, across : width - across]
    if kind == "jpeg":
        return _store_as_jpeg(picture, round(strength))
    raise ValueError(
        f"received the change {kind!r}; expected one of {', '.join((*KINDS, 'wider', 'narrower', 'jpeg'))}."
    )


def _store_as_jpeg(picture: Array, quality: int) -> Array:
    import numpy as np
    import simplejpeg

    data = simplejpeg.encode_jpeg(_to_grey_values(picture)[..., None], quality, "GRAY")
    return simplejpeg.decode_jpeg(data, "GRAY")[..., 0].astype(np.float32) / 255


def _to_grey_values(picture: Array) -> Array:
    import numpy as np

    return (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)


def fit(picture: Array, size: tuple[int, int], geometry: Geometry) -> Array:
    """Convert grey values in [0, 1] of any shape to uint8 of `size` (width, height), as `decoding.decode_grey` does."""
    import numpy as np
    from PIL import Image

    return np.asarray(fit_grey(Image.fromarray(_to_grey_values(picture)), size, geometry))


def read_working_picture(path: str) -> Array:
    """Decode a radiograph to float32 in [0, 1], `WORKING_SIDE` pixels on the shorter side.

    Raises:
        ValueError: The file, which could be read when it was indexed, can not be read any more.
    """
    import numpy as np

    header = read_header(path, math.inf)
    if "width" not in header:
        raise ValueError(f"{path} could be read when it was indexed, and now: {header}. Run data_processing again.")
    scale = WORKING_SIDE / min(header["width"], header["height"])
    pixels = read_pixels(path, round(header["width"] * scale), round(header["height"] * scale))
    return pixels.astype(np.float32) / 255


class ValidationCorruptions(Options):
    """Which conditions, and how strong; the units stand in `chest_xray.images.corruptions.corrupt`."""

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


def compute_pictures(
    table: DataFrame,
    options: Options,
    preparation: Preparation,
    take: Callable[[int, Array], Array],
    stored: StoredArray | None,
) -> StoredArray:
    """Compute one corrupted picture a row.

    Args:
        table: `path`, `bytes`, `modified`, `kind` and `strength` of each picture; all rows of a path follow each other.
        options: What else decides how a picture is corrupted.
        preparation: Width and height in pixels, and the geometry.
        take: From the number of a row and its working picture to the corrupted one.
        stored: What an earlier run computed.
    """
    paths = table["path"].to_numpy()
    read = lru_cache(maxsize=32)(read_working_picture)

    def compute(row: int) -> Array:
        return fit(take(row, read(paths[row])), (preparation.width, preparation.height), preparation.geometry)

    return compute_rows(
        "Corrupting",
        fingerprint_files(table[["path", "bytes", "modified", "kind", "strength"]], options, preparation),
        (len(table), preparation.height, preparation.width),
        compute,
        stored,
    )


def draw_combined(corruptions: ValidationCorruptions, rng: "np.random.Generator") -> list[tuple[str, float]]:
    """Every kind at once, each at a share of its greatest strength, drawn up to `combined`."""
    return [(kind, rng.uniform(0, corruptions.combined) * max(getattr(corruptions, kind))) for kind in KINDS[1:]]


class Robustness(Options):
    """Which alterations, and how strong, weakest first; the units are those of `images.corruptions.corrupt`."""

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


def list_corrupted_validation(image_split: DataFrame, corruptions: ValidationCorruptions) -> DataFrame:
    """List every validation image once for each condition.

    Args:
        image_split: One row an image.
        corruptions: The conditions.

    Returns:
        The validation rows of `image_split`, each repeated for every condition, with the columns `kind` and `strength`,
        and `subset` "corrupted_validation".
    """
    import pandas as pd

    validation = image_split[image_split["subset"] == "validation"].assign(subset="corrupted_validation")
    conditions = pd.DataFrame(corruptions.conditions(), columns=["kind", "strength"])
    return validation.merge(conditions, how="cross")


def list_corrupted_test(image_split: DataFrame, robustness: Robustness) -> DataFrame:
    """List every test image once for each condition.

    Args:
        image_split: One row an image.
        robustness: The conditions.

    Returns:
        The test rows of `image_split`, each repeated for every condition, with the columns `kind` and `strength`, and
        `subset` "corrupted_test".
    """
    import pandas as pd

    test = image_split[image_split["subset"] == "test"].assign(subset="corrupted_test")
    return test.merge(pd.DataFrame(robustness.conditions(), columns=["kind", "strength"]), how="cross")


class Occlusion(Options):
    """The central region that holds the lungs, as shares of the sides of the prepared picture."""

    shape: Literal["box", "ellipse"]
    width: UnitInterval
    height: UnitInterval


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


@dataclass(frozen=True)
class CoveredImages:
    """Prepared images that are covered as they are read."""

    pixels: Array
    hidden: Array

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the images: (n, height, width)."""
        return tuple(self.pixels.shape)

    def __getitem__(self, rows: Array) -> Array:
        return cover(self.pixels[rows], self.hidden)
