"""The header of an image file, and the errors of files without a readable image."""

import io
import struct
from functools import lru_cache
from typing import NamedTuple

from chest_xray.core.libraries import np, pillow
from chest_xray.core.types import Array, Image

ORIENTATION = 0x0112  # Exif 2.32, section 4.6.4
QUARTER_TURNS = (5, 6, 7, 8)  # Exif orientations that swap width and height.
MAX_CHANGE = 32  # of 255: a gamma of 1.8 for 2.2, or of 1.0, changes up to 19, or 72
MAX_DISTORTION = 1.02  # pixels are square up to this ratio of their sides, such as 72 x 73 dots per inch
PREFIX_END = 132  # bytes; of DICOM
INTEGERS = {1: "B", 3: "H", 4: "I"}  # types of a TIFF field

REMEDIES = {  # by the reason of an error
    "truncated": "copy or export the file again",
    "undecodable": "export the image again, or save it as PNG",
    "unsupported image": "save a single 8-bit image as JPEG or PNG",
    "unsupported dicom": "export the radiograph again as CR or DX without compression, or as PNG",
}


class ImageError(ValueError):
    """A file that cannot be read as one image: a `reason` in a few words, and a message with a remedy."""

    def __init__(self, reason: str, detail: str):
        super().__init__(f"{detail}; {REMEDIES[reason]}" if reason in REMEDIES else detail)
        self.reason = reason


def is_dicom(data: bytes) -> bool:
    """Check for the prefix of a DICOM file (PS3.10, section 7.1)."""
    return data[128:PREFIX_END] == b"DICM"


class Header(NamedTuple):
    """Width and height as stored, Pillow's mode, Exif orientation, scans of a JPEG, pixels per unit across and down."""

    width: int
    height: int
    mode: str
    orientation: int = 1
    scans: int = 1
    densities: tuple[int, ...] = (1, 1)

    @property
    def pixel_aspect(self) -> float:
        """Width / height of a pixel; 1 where it is not stated."""
        across, down = self.densities
        return down / across if across and down else 1

    @property
    def upright(self) -> tuple[int, int]:
        """Width and height after the image is turned upright, and its pixels are made square."""
        size = square_size((self.width, self.height), self.pixel_aspect)
        return size[::-1] if self.orientation in QUARTER_TURNS else size


def square_size(size: tuple[int, int], pixel_aspect: float) -> tuple[int, int]:
    """Return width and height of an image after its pixels, of this width / height, are made square by enlarging it."""
    width, height = size
    if max(pixel_aspect, 1 / pixel_aspect) <= MAX_DISTORTION:
        return size
    return (round(width * pixel_aspect), height) if pixel_aspect > 1 else (width, round(height / pixel_aspect))


def square_pixels(image: Image, pixel_aspect: float) -> Image:
    """Enlarge an image to `square_size`."""
    size = square_size(image.size, pixel_aspect)
    return image if size == image.size else image.resize(size, pillow.Resampling.BILINEAR)


def read_orientation(exif: bytes) -> int:
    """Return the Exif orientation, 1 (upright) to 8; 1 where the block is damaged or has none.

    Args:
        exif: A TIFF header and its directory, with or without `Exif` and two zeros before it.
    """
    value = read_field(exif.removeprefix(b"Exif\0\0"), ORIENTATION)
    return value if value and value <= 8 else 1


def read_field(block: bytes, tag: int) -> int | None:
    """Return an integer from the first directory of a TIFF block: None if it is absent, 0 if anything is damaged."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(block[:4])
    if not order:
        return 0
    try:
        (start,) = struct.unpack_from(f"{order}I", block, 4)
        (num_entries,) = struct.unpack_from(f"{order}H", block, start)
        for entry in range(start + 2, start + 2 + 12 * num_entries, 12):
            entry_tag, kind, count = struct.unpack_from(f"{order}HHI", block, entry)
            if entry_tag == tag:
                is_integer = kind in INTEGERS and count == 1
                return int(struct.unpack_from(order + INTEGERS[kind], block, entry + 8)[0]) if is_integer else 0
    except struct.error:  # A directory beyond the end of the block.
        return 0
    return None


@lru_cache(maxsize=16)  # Files of one device have the same.
def refuse_profile(profile: bytes) -> None:
    """Refuse an ICC profile that shows grey values much brighter or darker; one that cannot be read is ignored."""
    from PIL import ImageCms

    if not profile:
        return
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        mode = "L" if profile[16:20] == b"GRAY" else "RGB"  # ICC.1, 7.2
        srgb, flags = ImageCms.createProfile("sRGB"), ImageCms.Flags.NOOPTIMIZE  # 256 values, no table for all colours
        transform = ImageCms.buildTransform(source, srgb, mode, "RGB", flags=flags)
        displayed = ImageCms.applyTransform(
            pillow.fromarray(np.arange(256, dtype=np.uint8)[None]).convert(mode), transform
        )
    except (OSError, ImageCms.PyCMSError):
        return
    refuse_tones(np.asarray(displayed)[0].mean(axis=1))


def refuse_tones(displayed: Array) -> None:
    """Refuse an image whose grey values 0 to 255 are displayed as others, float of shape (256,), too far from them."""
    change = float(np.abs(displayed - np.arange(256)).max())
    if not change <= MAX_CHANGE:
        raise ImageError(
            "unsupported image",
            f"a colour profile or gamma that changes grey values by up to {change:.0f} of 255; expected at most "
            f"{MAX_CHANGE}. Convert it to sRGB",
        )
