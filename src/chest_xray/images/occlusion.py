"""Cover a part of each radiograph, to compute which part the predictions depend on."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from chest_xray.core.options import Options, UnitInterval
from chest_xray.core.types import Array

WINDOWS_A_SIDE = 6  # of `locate_evidence`: a window is a sixth of each side, about a third of a lung
PALE = 1.0  # log odds; where covering changes less, evidence stays pale


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


def locate_evidence(compute_logits: Callable[[Array], Array], pixels: Array) -> Array:
    """Compute by how much the logit falls where a part of an image is covered (Zeiler and Fergus 2014, section 4.2).

    Windows of a sixth of each side, half a window apart, are covered one after the other as by `cover`. It needs no
    gradients, so it serves any network. It does not see evidence that two distant places hold each on its own, and
    covering itself may disturb the network.

    Args:
        compute_logits: Maps uint8 images (n, height, width) to their logits (n,).
        pixels: uint8 of shape (height, width).

    Returns:
        float32 of shape (height, width), in log odds: the mean fall over the windows that cover a pixel. Above 0 the
        place is evidence for PNEUMONIA, below 0 against it.
    """
    import numpy as np

    hidden = np.stack(
        [down[:, None] & across for down in _windows(pixels.shape[0]) for across in _windows(pixels.shape[1])]
    )
    covered = np.concatenate([cover(pixels[None], each) for each in hidden])
    whole, *others = compute_logits(np.concatenate([pixels[None], covered]))
    falls = whole - np.array(others)
    return (np.tensordot(falls, hidden, 1) / hidden.sum(axis=0)).astype(np.float32)


def scale_evidence(falls: Array) -> Array:
    """Scale the falls of `locate_evidence` to [0, 1]: 1 is the largest of this image, or `PALE` if that is more."""
    import numpy as np

    return np.clip(falls / max(float(falls.max()), PALE), 0, 1)


def _windows(side: int) -> Array:
    """Return which pixels of a side each window covers: bool of shape (windows, side)."""
    import numpy as np

    width = max(1, side // WINDOWS_A_SIDE)
    starts = np.unique(np.append(np.arange(0, side - width, max(1, width // 2)), side - width))
    return (np.arange(side) >= starts[:, None]) & (np.arange(side) < starts[:, None] + width)
