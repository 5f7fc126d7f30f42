"""Prepare an image that nobody has checked exactly as the images for training are, or say why it cannot be."""

import io
from typing import Any

from chest_xray.core.files import open_file
from chest_xray.core.types import Array
from chest_xray.images.decoding import decode_grey, fit_grey
from chest_xray.images.dicom import UnsupportedDicomError, read_dicom, tell_dicom
from chest_xray.images.validation import (
    FORMATS,
    Refusal,
    check_colour,
    check_contrast,
    check_header,
    count_scans,
    describe_image,
    tell_grey,
)


def prepare_file(source: bytes | str, preparation: dict[str, Any], limits: dict[str, float]) -> Array | Refusal:
    """Read one image, whatever is in the file.

    Args:
        source: The bytes of a JPEG, PNG or DICOM file, or its local path or fsspec address.
        preparation: `width`, `height` and `geometry`, as for training.
        limits: Of `acceptance.Acceptance`.

    Returns:
        uint8 of shape (height, width), or the refusal; never an exception for what is in the file.
    """
    try:
        data = source if isinstance(source, bytes) else _read_file(source)
    except Exception as error:  # Of whatever storage the path names.
        return "unreadable", f"{type(error).__name__}: {error}"
    prepare = _prepare_dicom if tell_dicom(data) else _prepare_image
    try:
        return prepare(data, preparation, limits)
    except UnsupportedDicomError as error:
        return "unsupported_dicom", str(error)
    except Exception as error:  # On damaged data the decoders raise anything from ValueError to MemoryError.
        return "undecodable", f"{type(error).__name__}: {error}"


def estimate_work(data: bytes) -> float:
    """Estimate from its header what decoding a file costs.

    Args:
        data: The whole file.

    Returns:
        Pixels that have to be computed: those of the picture, for a progressive JPEG times the scans that each refine
        all of them, for DICOM the bytes of the file. 0 where it is no picture, which costs nothing.
    """
    from PIL import Image

    if tell_dicom(data):
        return len(data)
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            scans = count_scans(io.BytesIO(data)) if image.info.get("progressive") else 1
            return float(image.width * image.height * max(scans, 1))
    except Exception:  # Whatever is wrong with it, decoding will say.
        return 0


def _read_file(path: str) -> bytes:
    with open_file(path) as file:
        return bytes(file.read())


def _prepare_image(data: bytes, preparation: dict[str, Any], limits: dict[str, float]) -> Array | Refusal:
    from PIL import Image

    header = describe_image(io.BytesIO(data), limits["max_megapixels"])
    if "reason" in header:
        return header["reason"].replace(" ", "_"), header["detail"]
    refusal = check_header((header["width"], header["height"]), limits)
    if not refusal and not tell_grey(header["mode"]):
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            refusal = check_colour(image, limits)
    if refusal:
        return refusal
    pixels = decode_grey(data, (preparation["width"], preparation["height"]), preparation["geometry"])
    return check_contrast(pixels, limits) or pixels


def _prepare_dicom(data: bytes, preparation: dict[str, Any], limits: dict[str, float]) -> Array | Refusal:
    import numpy as np

    image = read_dicom(data, limits["max_megapixels"])
    if refusal := check_header(image.size, limits) or check_colour(image, limits):
        return refusal
    size = (preparation["width"], preparation["height"])
    pixels = np.asarray(fit_grey(image.convert("L"), size, preparation["geometry"]))
    return check_contrast(pixels, limits) or pixels
