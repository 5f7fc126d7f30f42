"""Check whether a file is an image worth decoding, by its header, and whether a decoded image can be a radiograph."""

import re
from typing import Annotated, Any, NamedTuple

from pydantic import Field

from chest_xray.core.files import open_file
from chest_xray.core.libraries import np
from chest_xray.core.types import Array, Image, InputError, Options
from chest_xray.images.decoding import CHROMA_SIZE, NOT_AN_IMAGE, read_image_header
from chest_xray.images.header import PREFIX_END, ImageError, is_dicom

JUNK_NAMES = ("thumbs.db", "desktop.ini", "ehthumbs.db")
SIGNATURES = {  # of files that users mistake for radiographs; for messages
    **dict.fromkeys((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), "a TIFF image"),
    b"GIF8": "a GIF image",
    b"BM": "a BMP image",
    b"RIFF": "a WebP image, or sound or video",
    b"\0\0\1\0": "an icon (ICO)",
    b"8BPS": "a Photoshop file",
    **{bytes([0, 0, 0, size]) + b"ftyp": "a HEIC or AVIF image, or video" for size in range(0x14, 0x40, 4)},
    **dict.fromkeys((b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP"), "a JPEG 2000 image"),
    b"%!PS": "PostScript (EPS)",
    b"%PDF": "a PDF document",
    b"PK\3\4": "a zip archive or an office document",
    b"\x1f\x8b": "a gzip archive",
    b"<": "HTML or XML",
}
# Each scan of a progressive JPEG refines all pixels. Encoders write about ten; a file of 320 KB can hold thousands, and
# then takes a minute.
MAX_SCANS = 100
MAX_WORK = 20  # pixels times scans, as a multiple of the largest image
BLOCK = 1 << 20  # bytes
# The start of a DICOM data set without the prefix: an element of group 2 or 8, then its type or its length.
BARE_DICOM = re.compile(rb"[\x02\x08]\0.\0([A-Z]{2}|..\0\0)|\0[\x02\x08]\0.([A-Z]{2}|\0\0..)", re.DOTALL)


class Refusal(NamedTuple):
    """Why a file is refused: the reason in a few words, for programs, and a sentence."""

    reason: str
    detail: str


class ImageFacts(NamedTuple):
    """Width and height of the upright image in pixels, and Pillow's name of its mode ("L" is 8-bit grey)."""

    width: int
    height: int
    mode: str


def is_junk(path: str) -> bool:
    """Check whether a file, by its path with `/`, is one that operating systems leave in folders and archives."""
    *folders, name = path.split("/")
    return name.startswith(".") or name.lower() in JUNK_NAMES or "__MACOSX" in folders


def read_header(path: str, max_megapixels: float) -> ImageFacts | Refusal:
    """Read a local path or fsspec address as `describe_image` does."""
    try:
        with open_file(path) as file:
            return describe_image(file, max_megapixels)
    except FileNotFoundError:
        return Refusal("broken link", "the file it points to does not exist")
    except InputError as error:
        return Refusal("not a regular file", str(error))
    except PermissionError as error:
        return Refusal("no permission", f"{error.strerror or error}; change its mode or its owner")
    except Exception as error:  # Each kind of storage raises its own.
        return Refusal("not an image", f"{type(error).__name__}: {error}")


def describe_image(file: Any, max_megapixels: float) -> ImageFacts | Refusal:
    """Return size and colour mode of an open image file without decoding it, or refuse it."""
    try:
        header = read_image_header(file)
    except ImageError as error:
        return _refuse_other(file) if error.reason == NOT_AN_IMAGE else Refusal(error.reason, str(error))
    width, height = header.upright
    if width * height > max_megapixels * 1e6:
        return Refusal("too large", f"{width} x {height} pixels; at most {max_megapixels:g} megapixels are read")
    if header.scans > MAX_SCANS or header.scans * width * height > MAX_WORK * max_megapixels * 1e6:
        return Refusal(
            "too large",
            f"a progressive JPEG of {header.scans} scans of {width} x {height} pixels; at most {MAX_SCANS} scans and "
            f"{MAX_WORK * max_megapixels:g} megapixels in all scans together are read",
        )
    return ImageFacts(width, height, header.mode)


def _refuse_other(file: Any) -> Refusal:
    file.seek(0)
    head = bytes(file.read(PREFIX_END))
    start = head[:8]
    if not start:
        return Refusal("empty", "zero bytes")
    if is_dicom(head):
        return Refusal("unsupported dicom", "a DICOM file; folders for training hold JPEG and PNG. Convert it to PNG")
    if BARE_DICOM.match(start) or start.startswith(b"DICM"):
        return Refusal(
            "unsupported dicom",
            "DICOM without its prefix; expected 128 bytes and DICM (PS3.10, 7.1). Export the file again",
        )
    file.seek(0)
    if not any(start) and not any(any(block) for block in iter(lambda: file.read(BLOCK), b"")):
        return Refusal("not an image", "exists, but holds nothing but zeros; copy or download it again")
    kind = next((f" ({kind})" for signature, kind in SIGNATURES.items() if start.startswith(signature)), "")
    return Refusal("not an image", f"begins with {start!r}{kind}; expected JPEG, PNG or DICOM")


class InputChecks(Options):
    """Limits within which an image is classified."""

    max_megapixels: Annotated[float, Field(gt=0, le=1000)]
    min_side: Annotated[int, Field(ge=1)]
    max_aspect: Annotated[float, Field(ge=1)]
    max_chroma: Annotated[float, Field(ge=0, le=255)]
    min_contrast: Annotated[float, Field(ge=0, le=127)]
    border_tolerance: Annotated[float, Field(ge=0, le=127)]
    min_border: Annotated[float, Field(gt=0, lt=0.5)]
    max_age: Annotated[float, Field(ge=0, le=150)]
    answer_adults: bool
    max_ood_score: Annotated[float, Field(gt=0, le=1)]
    turn_upright: bool


def check_header(size: tuple[int, int], limits: InputChecks) -> Refusal | None:
    """Refuse a size (width, height, in pixels) below `min_side`, or with a ratio of its sides above `max_aspect`."""
    width, height = size
    if min(width, height) < limits.min_side:
        return Refusal("too_small", f"{width} x {height} pixels; expected at least {limits.min_side} on either side")
    if max(width, height) > limits.max_aspect * min(width, height):
        return Refusal(
            "extreme_aspect", f"{width} x {height} pixels; expected sides of at most 1 to {limits.max_aspect:g}"
        )
    return None


def check_colour(image: Image, limits: InputChecks) -> Refusal | None:
    """Refuse an image whose chroma (max - min of RGB, mean over the image, 0 to 255) is above `max_chroma`."""
    if is_grey_mode(image.mode):
        return None
    colours = np.asarray(image.convert("RGB").resize(CHROMA_SIZE))
    chroma, limit = float(np.ptp(colours, axis=2).mean()), limits.max_chroma
    if chroma <= limit:
        return None
    return Refusal("colour", f"a mean chroma of {chroma:.0f} of 255; expected a grey image, at most {limit:g}")


def is_grey_mode(mode: str) -> bool:
    """Check whether a mode of Pillow has no colours."""
    return mode in ("L", "LA", "La", "1", "F") or mode.startswith("I")


def check_contrast(pixels: Array, limits: InputChecks) -> Refusal | None:
    """Refuse a blank image (uint8), whose standard deviation is below `min_contrast`."""
    if (contrast := float(pixels.std())) >= limits.min_contrast:
        return None
    return Refusal("blank", f"grey values deviate by {contrast:.1f} of 255; expected at least {limits.min_contrast:g}")
