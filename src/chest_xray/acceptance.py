"""Whether an image is the kind that the network was trained on; what is not gets a reason in place of an answer."""

from typing import Annotated, Any

from pydantic import Field

from chest_xray.options import Options
from chest_xray.types import Array

Refusal = tuple[str, str]  # a reason for machines, and a sentence

CHROMA_SIDE = 64  # pixels; a tint shows at any size
LEAST_CONTRAST = 0.02  # of the full range: below it, standardising would enlarge the noise of the encoder
LEAST_RESIDUAL = 1e-6


class Acceptance(Options):
    """What an image must be like to get an answer."""

    max_megapixels: Annotated[float, Field(gt=0, le=1000)]
    min_side: Annotated[int, Field(ge=1)]
    max_aspect: Annotated[float, Field(ge=1)]
    max_chroma: Annotated[float, Field(ge=0, le=255)]
    min_contrast: Annotated[float, Field(ge=0, le=127)]
    side: Annotated[int, Field(ge=8, le=128)]
    components: Annotated[int, Field(ge=1, le=256)]
    refused_share: Annotated[float, Field(gt=0, lt=0.5)]


def check_header(size: tuple[int, int], limits: dict[str, float]) -> Refusal | None:
    """Refuse what is too small or of odd proportions.

    Args:
        size: Width and height in pixels.
        limits: `min_side` in pixels, `max_aspect` of the longer side over the shorter.
    """
    width, height = size
    if min(width, height) < limits["min_side"]:
        return "too_small", f"{width} x {height} pixels; expected at least {limits['min_side']} on either side"
    if max(width, height) > limits["max_aspect"] * min(width, height):
        return "extreme_aspect", f"{width} x {height} pixels; expected sides of at most 1 to {limits['max_aspect']:g}"
    return None


def check_colour(image: Any, limits: dict[str, float]) -> Refusal | None:
    """Refuse a colour picture; a grey one that is stored as RGB passes.

    Args:
        image: Of Pillow, opened and perhaps not decoded yet; a JPEG is decoded at an eighth.
        limits: `max_chroma`, of the mean over the image of largest less smallest of red, green and blue, 0 to 255.
    """
    import numpy as np

    if tell_grey(image.mode):
        return None
    image.draft("RGB", (CHROMA_SIDE, CHROMA_SIDE))
    colours = np.asarray(image.convert("RGB").resize((CHROMA_SIDE, CHROMA_SIDE)))
    chroma = float(np.ptp(colours, axis=2).mean())
    if chroma > limits["max_chroma"]:
        return (
            "colour",
            f"a mean chroma of {chroma:.0f} of 255; expected a grey picture, at most {limits['max_chroma']:g}",
        )
    return None


def tell_grey(mode: str) -> bool:
    """Tell modes of Pillow that have no colours from those that may show some."""
    return mode in ("L", "LA", "La", "1", "F") or mode.startswith("I")


def check_contrast(pixels: Array, limits: dict[str, float]) -> Refusal | None:
    """Refuse a blank picture.

    Args:
        pixels: Prepared, uint8 of shape (height, width).
        limits: `min_contrast`, of the standard deviation of the grey values, 0 to 127.
    """
    contrast = float(pixels.std())
    if contrast < limits["min_contrast"]:
        return "blank", f"grey values deviate by {contrast:.1f} of 255; expected at least {limits['min_contrast']:g}"
    return None


def fit_familiarity(pixels: Array, options: Acceptance) -> dict[str, Array]:
    """Learn what the images for training look like, from their pixels alone.

    The features of the network would be the obvious place to look (Lee et al. 2018), but it has learned to tell lungs
    from lungs: noise and text pages come out as ordinary there. See docs/prediction.md.

    Args:
        pixels: Of train, uint8 of shape (n, height, width).
        options: Side of the reduced images, and number of principal components.

    Returns:
        Float32 arrays for `measure_distance`: `mean` (side * side), `axes` (components, side * side), `variances`
        (components), `residual` (1), the mean square of what the components leave.
    """
    import numpy as np
    from sklearn.decomposition import PCA

    standard = _standardise(pixels, options.side)
    components = min(options.components, len(standard) - 1)
    fitted = PCA(components, svd_solver="randomized", random_state=0).fit(standard)
    left = standard - fitted.inverse_transform(fitted.transform(standard))
    return {
        "mean": fitted.mean_.astype(np.float32),
        "axes": fitted.components_.astype(np.float32),
        "variances": np.maximum(fitted.explained_variance_, LEAST_RESIDUAL).astype(np.float32),
        "residual": np.maximum([np.square(left).mean()], LEAST_RESIDUAL).astype(np.float32),
    }


def measure_distance(pixels: Array, familiarity: dict[str, Array]) -> Array:
    """Tell how far images lie from those for training.

    Each image is reduced and standardised. Within the principal components of train the distance is Hotelling's T2, off
    them the squared residual; each is divided by what it is on average on train, and the two are added (the combined
    index of Yue and Qin 2001, with those weights). An ordinary image lies near 2.

    Args:
        pixels: uint8 of shape (n, height, width).
        familiarity: From `fit_familiarity`.

    Returns:
        float32 of shape (n,), at least 0.
    """
    import numpy as np

    mean, axes = familiarity["mean"], familiarity["axes"]
    centred = _standardise(pixels, round(len(mean) ** 0.5)) - mean
    scores = centred @ axes.T
    within = np.square(scores) @ (1 / familiarity["variances"]) / len(axes)
    off = np.square(centred - scores @ axes).mean(axis=1) / familiarity["residual"]
    return np.asarray(within + off, np.float32)


def _standardise(pixels: Array, side: int) -> Array:
    """Reduce to squares of mean 0 and standard deviation 1, float32 (n, side * side); brightness tells nothing here."""
    import numpy as np
    from PIL import Image

    small = [Image.fromarray(image).resize((side, side), Image.Resampling.BOX) for image in pixels]
    grey = np.stack([np.asarray(image) for image in small]).reshape(len(pixels), -1).astype(np.float32) / 255
    spread = np.maximum(grey.std(axis=1, keepdims=True), LEAST_CONTRAST)
    return np.asarray((grey - grey.mean(axis=1, keepdims=True)) / spread)
