"""The frame of a picture: uniform strips along its sides, such as a border, padding or the page it was pasted on."""

from math import ceil, floor
from typing import NamedTuple

from chest_xray.core.types import Array, Image
from chest_xray.images.decoding import Geometry, decode_upright
from chest_xray.images.validation import InputChecks

SIDE = 256  # pixels of the longer side at which strips are searched; grain and JPEG artefacts average out
MAX_FRAMES = 3  # one around another
MIN_LINES = 3
# fraction of the width, and grey of 255: 10.6% of radiographs in train have uniform strips of 2% or more, nearly all of
# them black and at the left or right; 0.6% have one wider than this.
MAX_COLLIMATION, MAX_DARK = 0.08, 16
# of 255, from a line to the next: 0.2% of train and none of 300 originals have such a step at a strip of that kind that
# would else stay, and 6 in 10 of the black strips of 7.5% that were put beside them.
MIN_STEP = 16
Box = tuple[float, float, float, float]  # left, top, right and bottom, as fractions of width and height
WHOLE = (0.0, 0.0, 1.0, 1.0)


class Content(NamedTuple):
    """A grey picture without its border, and where it was in the whole."""

    image: Image
    box: Box

    @property
    def is_trimmed(self) -> bool:
        """Whether there was a border."""
        return self.box != WHOLE

    @property
    def share(self) -> tuple[float, float]:
        """Fractions of the width and of the height that are left."""
        return self.box[2] - self.box[0], self.box[3] - self.box[1]


def find_content(image: Image, tolerance: float, min_border: float) -> Box | None:
    """Find what an added border leaves of a picture.

    A line belongs to a border if its grey values deviate by at most `tolerance` (standard deviation, of 255). Dark
    strips at the left and right alone stay up to the width that radiographs have them, unless the picture begins
    abruptly beside one: the network has learnt with them, and they were there when it was evaluated.

    Strips narrower than `min_border`, a fraction of a side, are left on every side, as radiographs have such.

    Returns:
        The box of the content; None if there is no border, or nothing else.
    """
    import numpy as np
    from PIL.Image import Resampling

    factor = min(1, SIDE / max(image.size))
    small = image.resize((ceil(image.width * factor), ceil(image.height * factor)), Resampling.BOX)
    pixels = np.asarray(small, np.float32)
    height, width = pixels.shape
    left, top, right, bottom = 0, 0, width, height
    for _ in range(MAX_FRAMES):
        inside = pixels[top:bottom, left:right]
        if min(inside.shape) < MIN_LINES:
            return None
        # Without the ends of each line, which another frame may share.
        columns, rows = (
            np.flatnonzero(each > tolerance) for each in (inside[1:-1].std(axis=0), inside[:, 1:-1].std(axis=1))
        )
        if not len(columns) or not len(rows):
            return None
        above, below = int(rows[0]), len(inside) - 1 - int(rows[-1])
        means = inside[1:-1].mean(axis=0)
        strips = _Strip(int(columns[0]), means), _Strip(len(means) - 1 - int(columns[-1]), means[::-1])
        is_frame = max(above, below) >= min_border * height or any(
            each.lines >= min_border * width and each.is_dark(width) and each.ends_abruptly() for each in strips
        )
        before, after = (0 if each.is_dark(width) and not is_frame else each.lines for each in strips)
        left, right = left + before, right - after
        top, bottom = top + above, bottom - below
    content = (left / width, top / height, right / width, bottom / height)
    widest = max(content[0], content[1], 1 - content[2], 1 - content[3])
    return content if widest >= min_border else None


class _Strip(NamedTuple):
    """Uniform lines along the left or right side, and the mean of every line from that side inwards, of 255."""

    lines: int
    means: Array

    def is_dark(self, width: int) -> bool:
        """Check whether it is as dark and narrow as collimation."""
        return 0 < self.lines <= MAX_COLLIMATION * width and bool(self.means[: self.lines].mean() <= MAX_DARK)

    def ends_abruptly(self) -> bool:
        """Check whether the picture begins within a line, where the shadow of a collimator fades."""
        around = self.means[max(self.lines - 2, 0) : self.lines + 3]
        return bool((around[1:] - around[:-1]).max() >= MIN_STEP)


def trim(image: Image, limits: InputChecks) -> Content:
    """Cut the border off a grey picture; see `find_content`."""
    found = find_content(image, limits.border_tolerance, limits.min_border)
    if found is None:
        return Content(image, WHOLE)
    return Content(image.crop(_to_pixels(found, image.size)), found)


def decode_content(data: bytes, size: tuple[int, int], geometry: Geometry, limits: InputChecks) -> Content:
    """Decode a JPEG or PNG file to grey without its border, at no larger scale than a picture of `size` needs."""
    whole = decode_upright(data, size, geometry)
    content = trim(whole, limits)
    if not content.is_trimmed:
        return content
    # What is left, and where it is exactly, needs a larger scale; how abruptly a strip ends, too.
    scale = [max(SIDE, ceil(each / share)) for each, share in zip(size, content.share, strict=True)]
    closer = trim(decode_upright(data, (scale[0], scale[1]), geometry), limits)
    return closer if closer.is_trimmed else Content(whole, WHOLE)


def _to_pixels(box: Box, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Round to whole pixels inwards, and keep at least one."""
    (left, top, right, bottom), (width, height) = box, size
    x, y = min(ceil(left * width), width - 1), min(ceil(top * height), height - 1)
    return x, y, max(floor(right * width), x + 1), max(floor(bottom * height), y + 1)
