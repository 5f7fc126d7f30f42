"""Reading one radiograph from its file: its header, or its pixels as one grey channel."""

import re
from typing import Any

import fsspec

from chest_xray.options import InputError
from chest_xray.types import Array

CLASSES = ("NORMAL", "PNEUMONIA")  # The label is the position: 0 healthy, 1 diseased.


def read_header(path: str) -> dict[str, Any] | None:
    """Give width and height in pixels and the colour mode of an image, without decoding it.

    Args:
        path: A local path or fsspec address.

    Returns:
        `width`, `height` (pixels) and `mode` (as Pillow names it: "L" is 8-bit grey), or None where the file is not a
        readable image.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with fsspec.open(path, "rb") as file, Image.open(file) as image:
            return {"width": image.width, "height": image.height, "mode": image.mode}
    except (OSError, UnidentifiedImageError):
        return None


def read_pixels(path: str, width: int, height: int) -> Array:
    """Decode an image to one grey channel and squeeze or stretch it to the size asked for.

    A JPEG is decoded at the smallest scale (1, 1/2, 1/4, 1/8) that is still at least as large as the size asked for,
    which halves the time of a full decode.

    Args:
        path: A local path or fsspec address.
        width: Columns of the result, in pixels.
        height: Rows of the result, in pixels.

    Returns:
        Grey values, uint8 in [0, 255], of shape (height, width); 0 is black.

    Raises:
        InputError: The file holds no decodable image.
    """
    import numpy as np
    from PIL import Image

    try:
        with fsspec.open(path, "rb") as file, Image.open(file) as image:
            image.draft("L", (width, height))
            grey = image.convert("L").resize((width, height), Image.Resampling.BILINEAR)
    except (OSError, SyntaxError) as error:
        raise InputError(f"cannot decode {path}: {error}. Replace the file or remove it, and run again.") from error
    return np.asarray(grey)


def parse_name(path: str) -> dict[str, str]:
    """Tell patient and aetiology from a file name of the Kermany set.

    Bacterial and viral patients are numbered apart, and so are the two series of healthy ones; the group keeps them apart.

    Args:
        path: The path of an image; its last part is the name, the folder above it the class.

    Returns:
        `group`: such as "person12_virus" or "NORMAL2-IM-0012", or the name itself where it follows no known pattern, so
        that every such image is a patient of its own. `aetiology`: "bacterial", "viral", "none" for NORMAL, "unknown".
    """
    folder, name = path.split("/")[-2:]
    if diseased := re.match(r"(person\d+)_(bacteria|virus)_", name):
        return {"group": diseased[0].rstrip("_"), "aetiology": {"bacteria": "bacterial", "virus": "viral"}[diseased[2]]}
    healthy = re.match(r"(?:NORMAL2-)?IM-\d+", name)
    return {
        "group": healthy[0] if healthy else f"{folder}/{name}",
        "aetiology": "none" if folder == CLASSES[0] else "unknown",
    }
