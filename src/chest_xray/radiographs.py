"""Reading one radiograph from its file: its name, or its pixels as one grey channel."""

import os
import re
import stat
from typing import Any

import fsspec

from chest_xray.decoding import Geometry, decode_grey
from chest_xray.options import InputError
from chest_xray.types import Array

CLASSES = ("NORMAL", "PNEUMONIA")  # The label is the position: 0 healthy, 1 diseased.


def open_file(path: str) -> Any:
    """Open a file for reading bytes.

    Args:
        path: A local path or fsspec address; fsspec's own way to a local file takes three times as long.

    Raises:
        InputError: It is a pipe, a device or a socket, or a link to one: reading it might never end.
    """
    if "://" in path:
        return fsspec.open(path, "rb")
    if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116
        raise InputError("not a regular file but a folder, a pipe or a device; expected a file or a link to one")
    return open(path, "rb")  # noqa: PTH123


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


def parse_name(path: str) -> dict[str, str]:
    """Tell patient and aetiology from a file name of the Kermany set.

    Bacterial and viral patients are numbered apart, and so are the two series of healthy ones; the group keeps them
    apart.

    Args:
        path: The path of an image; its last part is the name, the folder above it the class.

    Returns:
        `group`: such as "person12_virus" or "NORMAL2-IM-0012", or the name itself where it follows no known pattern, so
        that every such image is a patient of its own. `aetiology`: "bacterial", "viral", "none" for NORMAL, "unknown".
    """
    folder, name = path.split("/")[-2:]
    if diseased := re.match(r"(person\d+)_(bacteria|virus)_", name):
        return {
            "group": diseased[0].rstrip("_"),
            "aetiology": {"bacteria": "bacterial", "virus": "viral"}[diseased[2]],
        }
    healthy = re.match(r"(?:NORMAL2-)?IM-\d+", name)
    return {
        "group": healthy[0] if healthy else f"{folder}/{name}",
        "aetiology": "none" if folder.upper() == CLASSES[0] else "unknown",
    }
