"""Prepare an image that nobody has checked exactly as the images for training are, or say why it cannot be."""

import io
from typing import Annotated, Any

from pydantic import Field

from chest_xray.core.files import open_file
from chest_xray.core.options import Options
from chest_xray.core.types import Array, DataFrame
from chest_xray.images.decoding import DECODERS, Geometry, decode_grey, fit_grey
from chest_xray.images.dicom import UnsupportedDicomError, is_dicom, read_dicom
from chest_xray.images.validation import (
    FORMATS,
    Refusal,
    check_colour,
    check_contrast,
    check_header,
    count_scans,
    describe_image,
    is_grey_mode,
)


def prepare_file(source: bytes | str, preparation: dict[str, Any], limits: dict[str, float]) -> Array | Refusal:
    """Read one image, whatever is in the file.

    Args:
        source: The bytes of a JPEG, PNG or DICOM file, or its local path or fsspec address.
        preparation: `width`, `height` and `geometry`, as for training.
        limits: Of `images.validation.InputChecks`.

    Returns:
        uint8 of shape (height, width), or the refusal; never an exception for what is in the file.
    """
    try:
        data = source if isinstance(source, bytes) else _read_file(source)
    except Exception as error:  # Of whatever storage the path names.
        return "unreadable", f"{type(error).__name__}: {error}"
    prepare = _prepare_dicom if is_dicom(data) else _prepare_image
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

    if is_dicom(data):
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
    if not refusal and not is_grey_mode(header["mode"]):
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


class Preparation(Options):
    """The size of a prepared image in pixels, and how an image gets it."""

    width: Annotated[int, Field(ge=16, le=1024)]
    height: Annotated[int, Field(ge=16, le=1024)]
    geometry: Geometry = "stretch"


def compute_aspects(images: DataFrame, preparation: Preparation) -> Array:
    """Return width / height of what each prepared image shows: its own if it was stretched, else that of its pixels.

    Args:
        images: `width` and `height` of the originals, one row an image.
        preparation: How they were prepared.

    Returns:
        float64 of shape (images,).
    """
    import numpy as np

    if preparation.geometry == "stretch":
        return (images["width"] / images["height"]).to_numpy(float)
    return np.full(len(images), preparation.width / preparation.height)


def fingerprint_files(files: DataFrame, *options: Options) -> str:
    """Digest what decides pixels: the files as far as name, size and time tell, options, and the decoders' versions.

    Args:
        files: One row a row of the array, with `path`, `bytes`, `modified` and whatever else decides it.
        *options: All that the rows are computed by.

    Returns:
        32 hexadecimal digits.
    """
    import hashlib
    from importlib.metadata import version

    import pandas as pd

    digest = hashlib.sha256(pd.util.hash_pandas_object(files, index=False).to_numpy().tobytes())
    for each in options:
        digest.update(each.model_dump_json().encode())
    digest.update(" ".join(version(name) for name in DECODERS).encode())
    return digest.hexdigest()[:32]
