"""Cover a part of each radiograph, to compute which part the predictions depend on."""

from dataclasses import dataclass
from typing import Literal

from chest_xray.core.options import Options, UnitInterval
from chest_xray.core.types import Array


class Occlusion(Options):
    """The central region with the lungs, as shares of the sides of the prepared image."""

    shape: Literal["box", "ellipse"]
    width: UnitInterval
    height: UnitInterval


def central_region(size: tuple[int, int], occlusion: Occlusion) -> Array:
    """Return whether the middle of each pixel lies in the central region: bool of `size` (height, width)."""
    import numpy as np

    down, across = (np.abs((np.arange(side) + 0.5) / side - 0.5) * 2 for side in size)
    down, across = down[:, None] / occlusion.height, across[None] / occlusion.width
    return (np.maximum(down, across) if occlusion.shape == "box" else np.hypot(down, across)) <= 1


def cover(pixels: Array, hidden: Array) -> Array:
    """Return uint8 images (n, height, width), with pixels where `hidden` (height, width) replaced by the others' mean.

    Black or white would be an edge that no radiograph has; the mean of the whole image would reveal how opaque the
    lungs are.
    """
    import numpy as np

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
