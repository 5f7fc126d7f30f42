"""The frame of a picture: uniform strips along its sides, such as a border, padding or the page it was pasted on."""

from math import ceil, floor
from typing import NamedTuple

from PIL import Image

from chest_xray.images.decoding import Geometry, decode_upright

SIDE = 256  # pixels of the longer side at which strips are looked for; grain and JPEG artefacts average out
MAX_FRAMES = 3  # one around another
Box = tuple[float, float, float, float]  # left, top, right and bottom, as fractions of width and height
WHOLE = (0.0, 0.0, 1.0, 1.0)


class Content(NamedTuple):
    """A grey picture without its border, and where it was in the whole."""

    image: Image.Image
    box: Box

    @property
    def is_trimmed(self) -> bool:
        """Whether there was a border."""
        return self.box != WHOLE

    @property
    def share(self) -> tuple[float, float]:
        """Fractions of the width and of the height that are left."""
        return self.box[2] - self.box[0], self.box[3] - self.box[1]


def find_content(image: Image.Image, tolerance: float, min_border: float) -> Box | None:
    """Find what a border leaves of a picture.

    A line belongs to the border if its grey values deviate by at most `tolerance` (standard deviation, of 255).

    Args:
        image: A grey picture.
        tolerance: Standard deviation of grey values.
        min_border: Fraction of a side; narrower strips on every side are left, as radiographs have such.

    Returns:
        The box of the content; None if there is no border, or nothing else.
    """
    import numpy as np

    factor = min(1, SIDE / max(image.size))
    small = image.resize((ceil(image.width * factor), ceil(image.height * factor)), Image.Resampling.BOX)
    pixels = np.asarray(small, np.float32)
    height, width = pixels.shape
    left, top, right, bottom = 0, 0, width, height
    for _ in range(MAX_FRAMES):
        inside = pixels[top:bottom, left:right]
        if not inside.size:
            return None
        columns, rows = (np.flatnonzero(inside.std(axis=axis) > tolerance) for axis in (0, 1))
        if not len(columns) or not len(rows):
            return None
        left, right = left + int(columns[0]), left + int(columns[-1]) + 1
        top, bottom = top + int(rows[0]), top + int(rows[-1]) + 1
    content = (left / width, top / height, right / width, bottom / height)
    widest = max(content[0], content[1], 1 - content[2], 1 - content[3])
    return content if widest >= min_border else None


def trim(image: Image.Image, limits: dict[str, float]) -> Content:
    """Cut the border off a grey picture, if `limits` has `border_tolerance` and `min_border` of `find_content`."""
    if "min_border" not in limits:
        return Content(image, WHOLE)
    found = find_content(image, limits["border_tolerance"], limits["min_border"])
    if found is None:
        return Content(image, WHOLE)
    return Content(image.crop(_to_pixels(found, image.size)), found)


def decode_content(data: bytes, size: tuple[int, int], geometry: Geometry, limits: dict[str, float]) -> Content:
    """Decode a JPEG or PNG file to grey without its border, at no larger scale than a picture of `size` needs."""
    content = trim(decode_upright(data, size, geometry), limits)
    if not content.is_trimmed:
        return content
    # What is left, and where it is exactly, needs a larger scale.
    scale = [max(SIDE, ceil(each / share)) for each, share in zip(size, content.share, strict=True)]
    return trim(decode_upright(data, (scale[0], scale[1]), geometry), limits)


def _to_pixels(box: Box, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Round to whole pixels inwards, and keep at least one."""
    (left, top, right, bottom), (width, height) = box, size
    x, y = min(ceil(left * width), width - 1), min(ceil(top * height), height - 1)
    return x, y, max(floor(right * width), x + 1), max(floor(bottom * height), y + 1)
