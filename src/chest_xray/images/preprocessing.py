"""Prepare unchecked images exactly as the images for training, or return why they are refused.

A border is cut off first: uniform strips along the sides, such as a frame, padding or the page around a pasted picture.
"""

import hashlib
import io
from importlib.metadata import version
from math import ceil, floor
from typing import Annotated, NamedTuple

from pydantic import Field

from chest_xray.core.files import open_file
from chest_xray.core.libraries import np, pd, pillow
from chest_xray.core.types import Array, DataFrame, Image, Options
from chest_xray.images.decoding import DECODERS, Geometry, decode_colours, decode_upright, fit_grey, read_image_header
from chest_xray.images.header import ImageError, is_dicom
from chest_xray.images.validation import (
    InputChecks,
    Refusal,
    check_colour,
    check_contrast,
    check_header,
    describe_image,
    is_grey_mode,
)

SEARCH_SIDE = 256  # pixels of the longer side in the search for strips; grain and JPEG artefacts average out
MAX_FRAMES = 3  # one around another
MIN_LINES = 3
# fraction of the width, and grey of 255: 10.6% of radiographs in train have uniform strips of 2% or more, nearly all of
# them black and at the left or right; 0.6% have one wider than this.
MAX_COLLIMATION, MAX_DARK = 0.08, 16
# of 255, from a line to the next: 0.2% of train and none of 300 originals have such a step at a strip that would
# otherwise be kept, and 6 in 10 of the originals to which a black strip of 7.5% was added.
MIN_STEP = 16
Box = tuple[float, float, float, float]  # left, top, right and bottom, as fractions of width and height
WHOLE = (0.0, 0.0, 1.0, 1.0)
TRIMMED = "trimmed"  # a warning: a border around the picture was cut off


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
    """Find the part of a picture inside an added border.

    A line belongs to a border if its grey values deviate by at most `tolerance` (standard deviation, of 255). Dark
    strips at the left and right alone are kept up to the width that radiographs have, unless the picture begins
    abruptly beside one: the network was trained and evaluated with them.

    Strips narrower than `min_border`, a fraction of a side, are kept on every side, as radiographs have such strips.

    Returns:
        The box of the content; None if there is no border, or nothing else.
    """
    factor = min(1, SEARCH_SIDE / max(image.size))
    small = image.resize((ceil(image.width * factor), ceil(image.height * factor)), pillow.Resampling.BOX)
    pixels = np.asarray(small, np.float32)
    height, width = pixels.shape
    left, top, right, bottom = 0, 0, width, height
    for _ in range(MAX_FRAMES):
        inside = pixels[top:bottom, left:right]
        if min(inside.shape) < MIN_LINES:
            return None
        # Without the ends of each line, which another frame may share.
        columns = np.flatnonzero(inside[1:-1].std(axis=0) > tolerance)
        rows = np.flatnonzero(inside[:, 1:-1].std(axis=1) > tolerance)
        if not len(columns) or not len(rows):
            return None
        above, below = int(rows[0]), len(inside) - 1 - int(rows[-1])
        means = inside[1:-1].mean(axis=0)
        strips = _Strip(int(columns[0]), means), _Strip(len(means) - 1 - int(columns[-1]), means[::-1])
        is_frame = max(above, below) >= min_border * height or any(
            strip.lines >= min_border * width and strip.is_dark(width) and strip.ends_abruptly() for strip in strips
        )
        before, after = (0 if strip.is_dark(width) and not is_frame else strip.lines for strip in strips)
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
        """Check whether the picture begins within a line; the shadow of a collimator would fade."""
        around = self.means[max(self.lines - 2, 0) : self.lines + 3]
        return bool((around[1:] - around[:-1]).max() >= MIN_STEP)


def trim(image: Image, limits: InputChecks) -> Content:
    """Cut the border off a grey picture; see `find_content`."""
    box = find_content(image, limits.border_tolerance, limits.min_border)
    if box is None:
        return Content(image, WHOLE)
    (left, top, right, bottom), (width, height) = box, image.size
    x, y = ceil(left * width), ceil(top * height)  # inwards; at least a pixel is left
    return Content(image.crop((x, y, max(floor(right * width), x + 1), max(floor(bottom * height), y + 1))), box)


def decode_content(data: bytes, size: tuple[int, int], geometry: Geometry, limits: InputChecks) -> Content:
    """Decode a JPEG or PNG file to grey without its border, at no larger scale than a picture of `size` needs."""
    whole = decode_upright(data, size, geometry)
    content = trim(whole, limits)
    if not content.is_trimmed:
        return content
    # The content, its exact position, and how abruptly a strip ends need a larger scale.
    width, height = (max(SEARCH_SIDE, ceil(side / share)) for side, share in zip(size, content.share, strict=True))
    enlarged = trim(decode_upright(data, (width, height), geometry), limits)
    return enlarged if enlarged.is_trimmed else Content(whole, WHOLE)


class Preparation(Options):
    """The size of a prepared image in pixels, and how images are fitted to it."""

    width: Annotated[int, Field(ge=16, le=1024)]
    height: Annotated[int, Field(ge=16, le=1024)]
    geometry: Geometry = "stretch"


class PreparedImage(NamedTuple):
    """Prepared pixels, uint8 of shape (height, width), and the size of the upright original in square pixels.

    `warnings` names what an answer should not conceal: `trimmed`, `adult`.
    """

    pixels: Array
    width: int
    height: int
    warnings: tuple[str, ...] = ()


def preprocess_file(source: bytes | str, preparation: Preparation, limits: InputChecks) -> PreparedImage | Refusal:
    """Return the prepared pixels of one image, or why it is refused; never raises for the content of a file.

    `source` is the bytes of a JPEG, PNG or DICOM file, or its local path or fsspec address.
    """
    try:
        if isinstance(source, str):
            with open_file(source) as file:
                source = bytes(file.read())
    except Exception as error:  # Each kind of storage raises its own.
        return Refusal("unreadable", f"{type(error).__name__}: {error}")
    try:
        return (_prepare_dicom if is_dicom(source) else _prepare_image)(source, preparation, limits)
    except ImageError as error:
        return Refusal(error.reason.replace(" ", "_"), str(error))
    except Exception as error:  # On damaged data the decoders raise anything from ValueError to MemoryError.
        return Refusal("undecodable", f"{type(error).__name__}: {error}")


def estimate_work(data: bytes) -> float:
    """Estimate the number of pixels that decoding a file computes, from its header.

    Those of the image, times the scans of a progressive JPEG; the bytes of a DICOM file; 0 for other files.
    """
    if is_dicom(data):
        return len(data)
    try:
        header = read_image_header(io.BytesIO(data))
        return float(header.width * header.height * max(header.scans, 1))
    except ImageError:  # Decoding will report it.
        return 0


def _prepare_image(data: bytes, preparation: Preparation, limits: InputChecks) -> PreparedImage | Refusal:
    facts = describe_image(io.BytesIO(data), limits.max_megapixels)
    if isinstance(facts, Refusal):
        return facts._replace(reason=facts.reason.replace(" ", "_"))
    refusal = check_header((facts.width, facts.height), limits)
    if not refusal and not is_grey_mode(facts.mode):
        refusal = check_colour(decode_colours(data), limits)
    if refusal:
        return refusal
    content = decode_content(data, (preparation.width, preparation.height), preparation.geometry, limits)
    return _fit(content, (facts.width, facts.height), preparation, limits)


def _prepare_dicom(data: bytes, preparation: Preparation, limits: InputChecks) -> PreparedImage | Refusal:
    from chest_xray.images.dicom import read_dicom
    from chest_xray.images.dicom_claims import check_claims

    image = read_dicom(data, limits.max_megapixels)
    refusal, warnings = check_claims(data, limits)
    if refusal := refusal or check_header(image.size, limits) or check_colour(image, limits):
        return refusal
    return _fit(trim(image.convert("L"), limits), image.size, preparation, limits, warnings)


def _fit(
    content: Content,
    size: tuple[int, int],
    preparation: Preparation,
    limits: InputChecks,
    warnings: tuple[str, ...] = (),
) -> PreparedImage | Refusal:
    """Fit what is inside the border to the size of the network's input; `size` is that of the whole picture."""
    if content.is_trimmed:
        warnings = (*warnings, TRIMMED)
        if refusal := check_header((round(size[0] * content.share[0]), round(size[1] * content.share[1])), limits):
            return refusal
    target = (preparation.width, preparation.height)
    pixels = np.asarray(fit_grey(content.image, target, preparation.geometry))
    return check_contrast(pixels, limits) or PreparedImage(pixels, *size, warnings)


def compute_aspects(images: DataFrame, preparation: Preparation) -> Array:
    """Compute the true width / height of each prepared image, float64 of shape (images,).

    A stretched image has that of its original (`width` and `height` of `images`), others that of their pixels.
    """
    if preparation.geometry == "stretch":
        return (images["width"] / images["height"]).to_numpy(float)
    return np.full(len(images), preparation.width / preparation.height)


def measure_appearance(pixels: Array) -> dict[str, Array]:
    """Measure properties of prepared images that depend on the device and the export more than on the patient.

    Args:
        pixels: uint8 of shape (n, height, width).

    Returns:
        float64 of shape (n,) each: `brightness` and `grey_deviation`, mean and standard deviation of grey values (0 to
        255); and `sharpness`, the deviation of the Laplacian over that of grey values (after Pech-Pacheco et al. 2000),
        0 for a blank image, about 4.5 for noise.
    """
    grey = pixels.astype(np.float32)
    height, width = (np.diff(grey, n=2, axis=axis) for axis in (1, 2))
    laplacian = height[:, :, 1:-1] + width[:, 1:-1]
    deviation = grey.std(axis=(1, 2))
    sharpness = np.divide(laplacian.std(axis=(1, 2)), deviation, out=np.zeros(len(grey)), where=deviation > 0)
    return {
        "brightness": grey.mean(axis=(1, 2)).astype(float),
        "grey_deviation": deviation.astype(float),
        "sharpness": sharpness,
    }


def fingerprint_files(files: DataFrame, *options: Options) -> str:
    """Return 32 hexadecimal digits for all that determines an array: files, options and decoder versions.

    `files` has one row for each row of the array, with `path`, `bytes`, `modified` and all else that determines it.
    """
    digest = hashlib.sha256(pd.util.hash_pandas_object(files, index=False).to_numpy().tobytes())
    for group in options:
        digest.update(group.model_dump_json().encode())
    digest.update(" ".join(version(name) for name in DECODERS).encode())
    return digest.hexdigest()[:32]
