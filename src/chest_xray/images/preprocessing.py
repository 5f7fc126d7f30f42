"""Prepare unchecked images exactly as the images for training, or return why they are refused."""

import hashlib
import io
from importlib.metadata import version
from typing import Annotated, NamedTuple

from pydantic import Field

from chest_xray.core.files import open_file
from chest_xray.core.options import Options
from chest_xray.core.types import Array, DataFrame
from chest_xray.images.decoding import DECODERS, Geometry, decode_colours, fit_grey, read_image_header
from chest_xray.images.dicom import is_dicom, read_dicom
from chest_xray.images.dicom_claims import check_claims
from chest_xray.images.framing import Content, decode_content, trim
from chest_xray.images.header import ImageError
from chest_xray.images.validation import (
    InputChecks,
    Refusal,
    check_colour,
    check_contrast,
    check_header,
    describe_image,
    is_grey_mode,
)

TRIMMED = "trimmed"  # a warning: a border around the picture was cut off


class Preparation(Options):
    """The size of a prepared image in pixels, and how images are fitted to it."""

    width: Annotated[int, Field(ge=16, le=1024)]
    height: Annotated[int, Field(ge=16, le=1024)]
    geometry: Geometry = "stretch"


class PreparedImage(NamedTuple):
    """Prepared pixels, uint8 of shape (height, width), and the size of the upright original in pixels.

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
    except Exception as error:  # Of whatever storage the path names.
        return Refusal("unreadable", f"{type(error).__name__}: {error}")
    try:
        return (_prepare_dicom if is_dicom(source) else _prepare_image)(source, preparation, limits)
    except ImageError as error:
        return _to_code(Refusal(error.reason, str(error)))
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


def _to_code(refusal: Refusal) -> Refusal:
    return refusal._replace(reason=refusal.reason.replace(" ", "_"))


def _prepare_image(data: bytes, preparation: Preparation, limits: InputChecks) -> PreparedImage | Refusal:
    facts = describe_image(io.BytesIO(data), limits.max_megapixels)
    if isinstance(facts, Refusal):
        return _to_code(facts)
    refusal = check_header((facts.width, facts.height), limits)
    if not refusal and not is_grey_mode(facts.mode):
        refusal = check_colour(decode_colours(data), limits)
    if refusal:
        return refusal
    content = decode_content(data, (preparation.width, preparation.height), preparation.geometry, limits)
    return _fit(content, (facts.width, facts.height), preparation, limits)


def _prepare_dicom(data: bytes, preparation: Preparation, limits: InputChecks) -> PreparedImage | Refusal:
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
    import numpy as np

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
    import numpy as np

    if preparation.geometry == "stretch":
        return (images["width"] / images["height"]).to_numpy(float)
    return np.full(len(images), preparation.width / preparation.height)


def measure_appearance(pixels: Array) -> dict[str, Array]:
    """Measure what another device or another export changes in prepared images, whatever they show.

    Args:
        pixels: uint8 of shape (n, height, width).

    Returns:
        float64 of shape (n,) each: `brightness` and `grey_deviation`, mean and standard deviation of grey values (0 to
        255); and `sharpness`, the deviation of the Laplacian over that of grey values (after Pech-Pacheco et al. 2000),
        0 for a blank image, about 4.5 for noise.
    """
    import numpy as np

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
    """Digest what decides the values of an array to 32 hexadecimal digits: files, options and decoder versions.

    `files` has one row for each row of the array, with `path`, `bytes`, `modified` and all else that decides it.
    """
    import pandas as pd

    digest = hashlib.sha256(pd.util.hash_pandas_object(files, index=False).to_numpy().tobytes())
    for each in options:
        digest.update(each.model_dump_json().encode())
    digest.update(" ".join(version(name) for name in DECODERS).encode())
    return digest.hexdigest()[:32]
