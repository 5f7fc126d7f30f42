"""Decode image files to one grey channel of a given size, at no larger scale than needed."""

import io
from math import ceil
from typing import Literal

from PIL import Image, ImageOps

from chest_xray.core.files import open_file
from chest_xray.core.options import InputError
from chest_xray.core.types import Array

Geometry = Literal["stretch", "crop", "pad"]
DECODERS = ("simplejpeg", "pillow")  # Their versions decide the last bit of a pixel.
EXIF_REACH = 1 << 16  # bytes; a JPEG carries its Exif block in its first segments, each of at most 64 KB.


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
    """Decode an image file to one grey channel of the given size.

    A JPEG is decoded at the smallest scale (1, 7/8 ... 1/8) that is not below the size. The Exif orientation is
    applied, transparent pixels become black, and a deeper grey scale keeps its eight uppermost bits in use (12-bit
    pixels in a 16-bit file become neither black nor clipped).

    Args:
        data: The whole file.
        size: Width and height of the result, in pixels.
        geometry: "stretch" the whole image to the size; "crop" the largest centred part of the size's proportions; or
            "pad" the whole image with black in its own proportions.

    Returns:
        Grey values, uint8 of shape (height, width); 0 is black.

    Raises:
        Exception: The file is damaged; the type depends on the decoder.
    """
    import numpy as np

    image = _decode_jpeg(data, size, geometry) or _decode_any(data, size, geometry)
    return np.asarray(fit_grey(image, size, geometry))


def _decode_jpeg(data: bytes, size: tuple[int, int], geometry: Geometry) -> Image.Image | None:
    """Decode with libjpeg-turbo; None for other formats, CMYK and images that have to be rotated."""
    import simplejpeg

    if not data.startswith(b"\xff\xd8\xff"):
        return None
    # The presence of Exif must not choose the decoder: pixels would depend on the source of a file, which may give away
    # its class.
    exif = data.find(b"Exif\0\0", 0, EXIF_REACH)
    if exif >= 2 and read_orientation(data[exif : exif + int.from_bytes(data[exif - 2 : exif])]) != 1:
        return None
    height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
    if colours in ("CMYK", "YCCK"):
        return None
    min_width, min_height = _min_size((width, height), size, geometry)
    grey = simplejpeg.decode_jpeg(data, "GRAY", min_width=min_width, min_height=min_height)
    return Image.fromarray(grey[..., 0])


def _decode_any(data: bytes, size: tuple[int, int], geometry: Geometry) -> Image.Image:
    import numpy as np

    with Image.open(io.BytesIO(data)) as file:
        side = max(_min_size(file.size, size, geometry))
        file.draft("L", (side, side))
        image = ImageOps.exif_transpose(file)
    if image.mode == "F":
        raise InputError("floating-point pixels have no fixed black and white; expected 8- or 16-bit integers.")
    if image.mode.startswith("I"):
        values = np.asarray(image).clip(min=0)
        bits = max(8, int(values.max()).bit_length())
        return Image.fromarray((values >> (bits - 8)).astype(np.uint8))
    if image.mode in ("P", "PA", "LA", "RGBA", "La", "RGBa"):
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image)
    return image.convert("L")


def read_orientation(exif_block: bytes | None) -> int:
    """Return the Exif orientation (Exif 2.32, tag 0x0112): 1 is upright, 5 to 8 swap width and height.

    Args:
        exif_block: Pillow's `image.info["exif"]`; `image.getexif` would decode a whole PNG to look for it.
    """
    exif = Image.Exif()
    exif.load(exif_block or b"")
    return int(exif.get(0x0112, 1))


def _min_size(source: tuple[int, int], size: tuple[int, int], geometry: Geometry) -> tuple[int, int]:
    """Return the width and height in pixels below which decoding would lose detail of the result."""
    if geometry == "stretch":
        return size
    ratios = [target / side for target, side in zip(size, source, strict=True)]
    ratio = max(ratios) if geometry == "crop" else min(ratios)
    return ceil(source[0] * ratio), ceil(source[1] * ratio)


def fit_grey(image: Image.Image, size: tuple[int, int], geometry: Geometry) -> Image.Image:
    """Resize a grey image to `size` (width, height); for `geometry` see `decode_grey`."""
    if geometry == "crop":
        return ImageOps.fit(image, size, Image.Resampling.BILINEAR)
    if geometry == "pad":
        return ImageOps.pad(image, size, Image.Resampling.BILINEAR, color=0)
    return image.resize(size, Image.Resampling.BILINEAR)
