"""Decode image files to one grey channel of a given size, at no larger scale than needed."""

import io
from math import ceil
from typing import Any, Literal

from chest_xray.core.files import open_file
from chest_xray.core.libraries import np, pillow
from chest_xray.core.types import Array, Image, InputError
from chest_xray.images import jpeg, png
from chest_xray.images.header import QUARTER_TURNS, Header, ImageError, square_pixels

Geometry = Literal["stretch", "crop", "pad"]
DECODERS = ("simplejpeg", "pillow")  # Their versions decide the last bit of a pixel.
NOT_AN_IMAGE = "not an image"  # the reason where neither signature is found
CHROMA_SIZE = (64, 64)  # pixels; a tint shows at any size
# Pillow's transpositions that turn a stored image upright, for the Exif orientations 2 to 8.
TURNS = ["FLIP_LEFT_RIGHT", "ROTATE_180", "FLIP_TOP_BOTTOM", "TRANSPOSE", "ROTATE_270", "TRANSVERSE", "ROTATE_90"]


def read_pixels(path: str, width: int, height: int, geometry: Geometry = "stretch") -> Array:
    """Read a local path or fsspec address as `decode_grey` does.

    Raises:
        InputError: The file holds no decodable image.
    """
    try:
        with open_file(path) as file:
            return decode_grey(file.read(), (width, height), geometry)
    except Exception as error:  # On damaged data the decoders raise anything from ValueError to struct.error.
        raise InputError(f"cannot decode {path}: {error}. Replace the file or remove it, and run again.") from error


def decode_grey(data: bytes, size: tuple[int, int], geometry: Geometry = "stretch") -> Array:
    """Decode a JPEG or PNG file to one grey channel of the given size.

    A JPEG is decoded at the smallest scale (1, 7/8 ... 1/8) that is not below the size. The Exif orientation is
    applied, pixels are made square, transparent ones become black, and a deeper grey scale keeps its eight uppermost
    bits in use (12-bit pixels in a 16-bit file become neither black nor clipped).

    Args:
        data: The whole file.
        size: Width and height of the result, in pixels.
        geometry: "stretch" the whole image to the size; "crop" the largest centred part of the size's proportions; or
            "pad" the whole image with black in its own proportions.

    Returns:
        Grey values, uint8 of shape (height, width); 0 is black.

    Raises:
        ImageError: The file is damaged or incomplete, or not a single JPEG or PNG image.
    """
    return np.asarray(fit_grey(decode_upright(data, size, geometry), size, geometry))


def decode_upright(data: bytes, size: tuple[int, int], geometry: Geometry = "stretch") -> Image:
    """Decode a file to grey as `decode_grey` does, at the scale that it chooses, without fitting it to the size."""
    header = read_image_header(io.BytesIO(data))
    if data.startswith(jpeg.SIGNATURE):
        minimum = size  # below which decoding would lose detail of the result
        if geometry != "stretch":
            width, height = header.upright
            ratio = (max if geometry == "crop" else min)(size[0] / width, size[1] / height)
            minimum = ceil(width * ratio), ceil(height * ratio)
        image = jpeg.decode(data, "L", minimum[::-1] if header.orientation in QUARTER_TURNS else minimum)
    else:
        image = png.decode(data)
        if image.mode == "RGBA":
            image = pillow.alpha_composite(pillow.new("RGBA", image.size, "black"), image)
        deep = image.mode == "I;16"
        image = pillow.fromarray(png.keep_upper_bits(np.asarray(image))) if deep else image.convert("L")
    if geometry != "stretch":  # Stretching gives the shape by itself.
        image = square_pixels(image, header.pixel_aspect)
    return image.transpose(pillow.Transpose[TURNS[header.orientation - 2]]) if header.orientation != 1 else image


def read_image_header(file: Any) -> Header:
    """Read the header of an open JPEG or PNG.

    Raises:
        ImageError: The file is cut off, damaged, or of another kind.
    """
    file.seek(0)
    start = bytes(file.read(len(png.SIGNATURE)))
    if start.startswith(jpeg.SIGNATURE):
        return jpeg.read_header(file)
    if start == png.SIGNATURE:
        return png.read_header(file)
    raise ImageError(NOT_AN_IMAGE, f"begins with {start!r}; expected JPEG, PNG or DICOM")


def decode_colours(data: bytes) -> Image:
    """Decode a JPEG or PNG to red, green and blue; a JPEG at a small scale, where a tint shows as well."""
    if data.startswith(jpeg.SIGNATURE):
        return jpeg.decode(data, "RGB", CHROMA_SIZE)
    return png.decode(data).convert("RGB")


def fit_grey(image: Image, size: tuple[int, int], geometry: Geometry) -> Image:
    """Resize a grey image to `size` (width, height); for `geometry` see `decode_grey`."""
    from PIL import ImageOps

    if geometry == "crop":
        return ImageOps.fit(image, size, pillow.Resampling.BILINEAR)
    if geometry == "pad":
        return ImageOps.pad(image, size, pillow.Resampling.BILINEAR, color="black")
    return image.resize(size, pillow.Resampling.BILINEAR)
