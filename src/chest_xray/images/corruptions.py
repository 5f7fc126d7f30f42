"""One radiograph taken again: as another room, another exposure or another technician might have taken it.

Validation images come from the same rooms as training images and so promise too much. Altered in ways that another
hospital would alter them, they tell a robust network from a fragile one. Every change is made to the source picture,
before any geometry of the network's: what is done to fit a picture to the network is judged along with it.
"""

import math

import numpy as np

from chest_xray.core.types import Array
from chest_xray.images.decoding import Geometry, fit_grey

WORKING_SIDE = (
    256  # pixels of the shorter side on which the changes are made; finer detail is not read by any network here
)


def reacquire(picture: Array, kind: str, strength: float, rng: np.random.Generator) -> Array:
    """Take a picture again with one thing changed.

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


KINDS = ("none", "contrast", "gamma", "noise", "blur", "crop", "tilt", "collimation")  # What comes before the file.


def _store_as_jpeg(picture: Array, quality: int) -> Array:
    import simplejpeg

    data = simplejpeg.encode_jpeg(_to_grey_values(picture)[..., None], quality, "GRAY")
    return simplejpeg.decode_jpeg(data, "GRAY")[..., 0].astype(np.float32) / 255


def _to_grey_values(picture: Array) -> Array:
    return (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)


def fit(picture: Array, size: tuple[int, int], geometry: Geometry) -> Array:
    """Bring grey values in [0, 1] of any shape to uint8 of `size` (width, height), as `decoding.decode_grey` does."""
    from PIL import Image

    return np.asarray(fit_grey(Image.fromarray(_to_grey_values(picture)), size, geometry))


def read_working_picture(path: str) -> Array:
    """Decode a radiograph to float32 in [0, 1], `WORKING_SIDE` pixels on the shorter side.

    Raises:
        ValueError: The file, which could be read when it was indexed, can not be read any more.
    """
    from chest_xray.images.decoding import read_pixels
    from chest_xray.images.validation import read_header

    header = read_header(path, math.inf)
    if "width" not in header:
        raise ValueError(f"{path} could be read when it was indexed, and now: {header}. Run data_processing again.")
    scale = WORKING_SIDE / min(header["width"], header["height"])
    pixels = read_pixels(path, round(header["width"] * scale), round(header["height"] * scale))
    return pixels.astype(np.float32) / 255
