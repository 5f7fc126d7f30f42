"""Images changed on purpose: corrupted as by other conditions of acquisition, or with a part covered.

Corruptions show how robust predictions are; covering shows which part of an image they depend on.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Literal

from pydantic import Field

from chest_xray.core.files import StoredArray, compute_rows
from chest_xray.core.libraries import np, pd, pillow
from chest_xray.core.types import Array, DataFrame, Generator, Options, Seed, UnitInterval
from chest_xray.images.decoding import Geometry, fit_grey, read_pixels
from chest_xray.images.preprocessing import Preparation, fingerprint_files
from chest_xray.images.validation import Refusal, read_header

WORKING_SIDE = 256  # pixels of the shorter side while an image is corrupted; no network here reads finer detail
KINDS = ("none", "contrast", "gamma", "noise", "blur", "crop", "tilt", "collimation")  # of acquisition
SWAPPED = "swapped_shape"  # Makes NORMAL images wider and PNEUMONIA narrower: the opposite of their usual shapes.
Strengths = tuple[Annotated[float, Field(gt=0)], ...]
Shares = tuple[UnitInterval, ...]
Qualities = tuple[Annotated[int, Field(ge=1, le=100)], ...]
WINDOWS_A_SIDE = 6  # of `locate_evidence`: a window is a sixth of each side, about a third of a lung
PALE = 1.0  # log odds; where covering changes less, evidence stays pale


def corrupt(image: Array, kind: str, strength: float, rng: Generator) -> Array:
    """Return an image with one corruption.

    Args:
        image: float32 in [0, 1] of shape (height, width), with `WORKING_SIDE` pixels on the shorter side.
        kind: One of `KINDS`, "wider", "narrower" or "jpeg".
        strength: By kind:
            "contrast": share of the contrast that is lost, in [0, 1);
            "gamma": logarithm of the exponent, of either sign;
            "noise": standard deviation of Gaussian noise, in grey values in [0, 1];
            "blur": standard deviation of the Gaussian, in pixels;
            "crop": share of each side that is cut off, at a random position;
            "tilt": degrees, in either direction;
            "wider", "narrower": share of the height or width that is cut off, half on each side;
            "collimation": the same, of the height or the width at random;
            "jpeg": quality of a JPEG, 1 to 100; the only kind that is weaker for larger values;
            "none": unused.
        rng: Draws the direction, the position and the noise.

    Returns:
        float32 of about [0, 1]; smaller than the image after "crop", "wider", "narrower" and "collimation".

    Raises:
        ValueError: The kind is unknown.
    """
    import simplejpeg
    from scipy import ndimage

    sign = rng.choice([-1.0, 1.0])
    height, width = image.shape
    if kind == "none":
        return image
    if kind == "contrast":
        return image.mean() + (image - image.mean()) * np.float32(1 - strength)
    if kind == "gamma":
        return image ** np.float32(np.exp(sign * strength))
    if kind == "noise":
        return np.clip(image + np.float32(rng.normal(0, strength, image.shape)), 0, 1)
    if kind == "blur":
        return ndimage.gaussian_filter(image, strength)
    if kind == "crop":
        top, left = (int(rng.uniform(0, strength) * side) for side in (height, width))
        return image[top : top + round(height * (1 - strength)), left : left + round(width * (1 - strength))]
    if kind == "tilt":
        return ndimage.rotate(image, sign * strength, reshape=False, order=1, mode="nearest")
    if kind == "collimation":
        kind = "narrower" if sign > 0 else "wider"
    if kind == "wider":
        cut = round(height * (strength / 2))
        return image[cut : height - cut]
    if kind == "narrower":
        cut = round(width * (strength / 2))
        return image[:, cut : width - cut]
    if kind == "jpeg":
        data = simplejpeg.encode_jpeg(_to_grey_values(image)[..., None], round(strength), "GRAY")
        return simplejpeg.decode_jpeg(data, "GRAY")[..., 0].astype(np.float32) / 255
    raise ValueError(
        f"received the corruption {kind!r}; expected one of {', '.join((*KINDS, 'wider', 'narrower', 'jpeg'))}."
    )


def _to_grey_values(image: Array) -> Array:
    return (image.clip(0, 1) * 255 + 0.5).astype("uint8")


def fit(image: Array, size: tuple[int, int], geometry: Geometry) -> Array:
    """Convert grey values in [0, 1] of shape (height, width) to uint8 of `size` (width, height), as `decode_grey`."""
    return np.asarray(fit_grey(pillow.fromarray(_to_grey_values(image)), size, geometry))


def read_working_image(path: str) -> Array:
    """Decode a radiograph to float32 in [0, 1] of shape (height, width), `WORKING_SIDE` pixels on the shorter side.

    Raises:
        ValueError: The file has become unreadable since it was indexed.
    """
    facts = read_header(path, math.inf)
    if isinstance(facts, Refusal):
        raise ValueError(
            f"{path} could be read when it was indexed, but no longer can ({facts.reason}: {facts.detail}). "
            "Put it back, or run data_processing again."
        )
    scale = WORKING_SIDE / min(facts.width, facts.height)
    pixels = read_pixels(path, round(facts.width * scale), round(facts.height * scale))
    return pixels.astype("float32") / 255


class ValidationCorruptions(Options):
    """Strengths of each kind, in the units of `corrupt`, for validation."""

    seed: Seed
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
        """List kind and strength: "none", each kind at each strength, swapped shapes, and all kinds at once."""
        alone = [(kind, strength) for kind in (*KINDS[1:], SWAPPED) for strength in getattr(self, kind)]
        return [(KINDS[0], 0.0), *alone, ("combined", self.combined)]


def compute_corrupted(
    table: DataFrame,
    options: Options,
    preparation: Preparation,
    corrupt_row: Callable[[int, Array], Array],
    stored: StoredArray | None,
) -> StoredArray:
    """Compute one corrupted image for each row of a table, in which rows of the same path are adjacent.

    Args:
        table: `path`, `bytes`, `modified`, `kind` and `strength`.
        options: A part of the fingerprint, as `preparation` is.
        preparation: Of the result, uint8 of shape (rows, height, width).
        corrupt_row: Computes a corrupted image from the number of a row and its working image.
        stored: The result of an earlier run.
    """
    paths, width, height = table["path"].to_numpy(), preparation.width, preparation.height
    read = lru_cache(maxsize=32)(read_working_image)

    def compute(row: int) -> Array:
        return fit(corrupt_row(row, read(paths[row])), (width, height), preparation.geometry)

    digest = fingerprint_files(table[["path", "bytes", "modified", "kind", "strength"]], options, preparation)
    return compute_rows("Corrupting", digest, (len(table), height, width), compute, stored)


def draw_combined(corruptions: ValidationCorruptions, rng: Generator) -> list[tuple[str, float]]:
    """Draw a strength for every kind, up to the share `combined` of its greatest."""
    return [(kind, rng.uniform(0, corruptions.combined) * max(getattr(corruptions, kind))) for kind in KINDS[1:]]


class Robustness(Options):
    """Strengths of each kind, in the units of `corrupt`, weakest first, for test."""

    seed: Seed
    blur: Strengths
    noise: Strengths
    contrast: Shares
    gamma: Strengths
    jpeg: Qualities
    tilt: Strengths
    crop: Shares
    collimation: Shares

    def conditions(self) -> list[tuple[str, float]]:
        """List kind and strength: "none", and each kind at each strength."""
        strengths = self.model_dump(exclude={"seed"})
        return [("none", 0.0), *((kind, float(strength)) for kind, values in strengths.items() for strength in values)]


def list_corrupted(image_split: DataFrame, subset: str, corruptions: ValidationCorruptions | Robustness) -> DataFrame:
    """Repeat each row of a subset for every condition, with `kind`, `strength`, and "corrupted_" before `subset`."""
    rows = image_split[image_split["subset"] == subset].assign(subset=f"corrupted_{subset}")
    return rows.merge(pd.DataFrame(corruptions.conditions(), columns=["kind", "strength"]), how="cross")


class Occlusion(Options):
    """The central region with the lungs, as shares of the sides of the prepared image."""

    shape: Literal["box", "ellipse"]
    width: UnitInterval
    height: UnitInterval


def central_region(size: tuple[int, int], occlusion: Occlusion) -> Array:
    """Return whether the middle of each pixel lies in the central region: bool of `size` (height, width)."""
    down, across = (np.abs((np.arange(side) + 0.5) / side - 0.5) * 2 for side in size)
    down, across = down[:, None] / occlusion.height, across[None] / occlusion.width
    return (np.maximum(down, across) if occlusion.shape == "box" else np.hypot(down, across)) <= 1


def cover(pixels: Array, hidden: Array) -> Array:
    """Return uint8 images (n, height, width), their pixels in `hidden` (height, width) replaced by the others' mean.

    Black or white would be an edge that no radiograph has; the mean of the whole image would reveal how opaque the
    lungs are.
    """
    means = pixels[:, ~hidden].mean(axis=1).round().astype(np.uint8)
    return np.where(hidden, means[:, None, None], pixels)


@dataclass(frozen=True)
class CoveredImages:
    """Prepared images that `cover` is applied to when they are read."""

    pixels: Array
    hidden: Array

    @property
    def shape(self) -> tuple[int, ...]:
        """Return (n, height, width)."""
        return tuple(self.pixels.shape)

    def __getitem__(self, rows: Array) -> Array:
        return cover(self.pixels[rows], self.hidden)


def locate_evidence(compute_logits: Callable[[Array], Array], pixels: Array) -> Array:
    """Compute by how much the logit falls where a part of an image is covered (Zeiler and Fergus 2014, section 4.2).

    Windows of a sixth of each side, half a window apart, are covered one after the other by `cover`. This needs no
    gradients, so it serves any network. It misses evidence that is present twice at distant positions, and covering
    itself may disturb the network.

    Args:
        compute_logits: Maps uint8 images (n, height, width) to their logits (n,).
        pixels: uint8 of shape (height, width).

    Returns:
        float32 of shape (height, width), in log odds: the mean fall over the windows that cover a pixel, above 0 for
        evidence for PNEUMONIA, below 0 for evidence against it.
    """
    hidden = np.stack(
        [down[:, None] & across for down in _windows(pixels.shape[0]) for across in _windows(pixels.shape[1])]
    )
    covered = np.concatenate([cover(pixels[None], window) for window in hidden])
    logit, *covered_logits = compute_logits(np.concatenate([pixels[None], covered]))
    falls = logit - np.array(covered_logits)
    return (np.tensordot(falls, hidden, 1) / hidden.sum(axis=0)).astype(np.float32)


def scale_evidence(falls: Array) -> Array:
    """Scale the falls of `locate_evidence` to [0, 1]: 1 is the largest of this image, or `PALE` if that is more."""
    return np.clip(falls / max(float(falls.max()), PALE), 0, 1)


def _windows(side: int) -> Array:
    """Return which pixels of a side each window covers: bool of shape (windows, side)."""
    width = max(1, side // WINDOWS_A_SIDE)
    starts = np.unique(np.append(np.arange(0, side - width, max(1, width // 2)), side - width))
    return (np.arange(side) >= starts[:, None]) & (np.arange(side) < starts[:, None] + width)
