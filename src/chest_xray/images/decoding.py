"""From the bytes of an image file to one grey channel of a given size, decoded no larger than needed."""

import io
from typing import Any, Literal

from chest_xray.core.files import open_file
from chest_xray.core.options import InputError
from chest_xray.core.types import Array

Geometry = Literal["stretch", "crop", "pad"]
DECODERS = ("simplejpeg", "pillow")  # Their versions decide the last bit of a pixel.
EXIF_REACH = 1 << 16  # bytes; a JPEG carries its Exif block in its first segments, each of at most 64 KB.


def decode_grey(data: bytes, size: tuple[int, int], geometry: Geometry = "stretch") -> Array:
    """Decode an image to one grey channel and bring it to the size asked for.

    A JPEG is decoded at the smallest scale (1, 7/8 ... 1/8) that is still at least as large as the size asked for. An
    image that its Exif block says is rotated is turned upright, transparent pixels become black, and a deeper grey
    scale keeps its eight uppermost bits in use (12-bit pixels in a 16-bit file become neither black nor clipped).

    Args:
        data: The whole file.
        size: Width and height of the result, in pixels.
        geometry: "stretch" the whole image to the size; "crop" the largest centred part of the size's proportions; or
            "pad" the whole image with black in its own proportions.

    Returns:
        Grey values, uint8 in [0, 255], of shape (height, width); 0 is black.

    Raises:
        Exception: The file is damaged; of which kind is for the decoder to say. `radiographs.read_pixels` makes it one
            InputError.
    """
    import numpy as np

    return np.asarray(fit_grey(_fast_jpeg(data, size, geometry) or _any_image(data, size, geometry), size, geometry))


def _fast_jpeg(data: bytes, size: tuple[int, int], geometry: Geometry) -> Any | None:
    """Decode with libjpeg-turbo; None where the file is no JPEG, is in printing inks or lies on its side."""
    import simplejpeg
    from PIL import Image

    if not data.startswith(b"\xff\xd8\xff") or _lies_on_its_side(data):
        return None
    height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
    if colours in ("CMYK", "YCCK"):
        return None
    least_width, least_height = _least_size((width, height), size, geometry)
    grey = simplejpeg.decode_jpeg(data, "GRAY", min_width=least_width, min_height=least_height)
    return Image.fromarray(grey[..., 0])


def _lies_on_its_side(data: bytes) -> bool:
    """Whether a JPEG has to be turned.

    A mention of Exif must not decide alone: pixels would differ by where files come from, and that can tell the class.
    """
    start = data.find(b"Exif\0\0", 0, EXIF_REACH)
    return start >= 2 and read_orientation(data[start : start + int.from_bytes(data[start - 2 : start])]) != 1


def read_orientation(exif_block: bytes | None) -> int:
    """Return how an image has to be turned.

    Args:
        exif_block: What Pillow's `image.info["exif"]` holds; `image.getexif` would decode a whole PNG to look for it.

    Returns:
        The Exif orientation (Exif 2.32, tag 0x0112): 1 is upright, 5 to 8 swap width and height.
    """
    from PIL import Image

    if not exif_block:
        return 1
    exif = Image.Exif()
    exif.load(exif_block)
    return int(exif.get(0x0112, 1))


def _any_image(data: bytes, size: tuple[int, int], geometry: Geometry) -> Any:
    from PIL import Image, ImageOps

    with Image.open(io.BytesIO(data)) as image:
        side = max(_least_size(image.size, size, geometry))
        image.draft("L", (side, side))
        return _to_grey(ImageOps.exif_transpose(image))


def _least_size(source: tuple[int, int], size: tuple[int, int], geometry: Geometry) -> tuple[int, int]:
    """Width and height in pixels below which decoding would lose detail that the result can show."""
    from math import ceil

    if geometry == "stretch":
        return size
    ratios = [wanted / given for wanted, given in zip(size, source, strict=True)]
    ratio = max(ratios) if geometry == "crop" else min(ratios)
    return ceil(source[0] * ratio), ceil(source[1] * ratio)


def _to_grey(image: Any) -> Any:
    from PIL import Image

    if image.mode == "F":
        raise InputError("floating-point pixels have no fixed black and white; expected 8- or 16-bit integers.")
    if image.mode.startswith("I"):
        return _eight_bits(image)
    if image.mode in ("P", "PA", "LA", "RGBA", "La", "RGBa"):
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image)
    return image.convert("L")


def _eight_bits(image: Any) -> Any:
    import numpy as np
    from PIL import Image

    values = np.asarray(image).clip(min=0)
    bits = max(8, int(values.max()).bit_length())
    return Image.fromarray((values >> (bits - 8)).astype(np.uint8))


def fit_grey(image: Any, size: tuple[int, int], geometry: Geometry) -> Any:
    """Resize an image.

    Args:
        image: Of Pillow, grey.
        size: Width and height in pixels.
        geometry: See `decode_grey`.

    Returns:
        An image of Pillow of that size.
    """
    from PIL import Image, ImageOps

    if geometry == "crop":
        return ImageOps.fit(image, size, Image.Resampling.BILINEAR)
    if geometry == "pad":
        return ImageOps.pad(image, size, Image.Resampling.BILINEAR, color=0)
    return image.resize(size, Image.Resampling.BILINEAR)


def read_pixels(path: str, width: int, height: int, geometry: Geometry = "stretch") -> Array:
    """Decode an image to one grey channel of the size asked for.

    Args:
        path: A local path or fsspec address.
        width: Columns of the result, in pixels.
        height: Rows of the result, in pixels.
        geometry: How the image gets the size; see `decoding.decode_grey`.

    Returns:
        Grey values, uint8 in [0, 255], of shape (height, width); 0 is black.

    Raises:
        InputError: The file holds no decodable image.
    """
    try:
        with open_file(path) as file:
            return decode_grey(file.read(), (width, height), geometry)
    except Exception as error:  # On damaged data the decoders raise anything from ValueError to struct.error.
        raise InputError(f"cannot decode {path}: {error}. Replace the file or remove it, and run again.") from error
