"""Check whether a file is an image worth decoding, by its header, and whether a decoded image can be a radiograph."""

from typing import Annotated, Any

from PIL import Image, UnidentifiedImageError
from pydantic import Field

from chest_xray.core.files import open_file
from chest_xray.core.options import InputError, Options
from chest_xray.core.types import Array
from chest_xray.images.decoding import read_orientation
from chest_xray.images.kermany import CLASSES

JUNK_NAMES = ("thumbs.db", "desktop.ini", "ehthumbs.db")
TAIL = 1 << 16  # bytes; what scanners append after the end marker is shorter
END_MARKERS = {"JPEG": b"\xff\xd9", "PNG": b"IEND"}
# Pillow reads many more, some of which take far more memory than their pixels, or start other programs (EPS).
FORMATS = ("JPEG", "PNG")
SIGNATURES = {  # of files that people take for radiographs; for messages
    **{b"II*\0": "a TIFF picture", b"MM\0*": "a TIFF picture", b"GIF8": "a GIF picture", b"BM": "a BMP picture"},
    **{b"RIFF": "a WebP picture, or sound or video", b"\0\0\1\0": "an icon (ICO)", b"8BPS": "a Photoshop file"},
    **{b"\0\0\0\x0cjP": "a JPEG 2000 picture", b"%!PS": "PostScript (EPS)", b"%PDF": "a PDF document"},
    **{b"PK\3\4": "a zip archive or an office document", b"\x1f\x8b": "a gzip archive", b"<": "HTML or XML"},
}
START_OF_SCAN = b"\xff\xda"  # a JPEG marker; in compressed pixels 0xff is always followed by 0
# Each scan of a progressive JPEG refines all pixels. Encoders write about ten; a file of 320 KB can hold thousands, and
# then takes a minute.
MAX_SCANS = 100
MAX_WORK = 20  # pixels times scans, as a multiple of the largest picture
QUARTER_TURNS = (5, 6, 7, 8)  # Exif orientations that swap width and height.
CHROMA_SIDE = 64  # pixels; a tint shows at any size
Refusal = tuple[str, str]  # a reason for machines, and a sentence


def is_junk(path: str) -> bool:
    """Check whether a file, by its path with `/`, is one that operating systems leave in folders and archives."""
    *folders, name = path.split("/")
    return name.startswith(".") or name.lower() in JUNK_NAMES or "__MACOSX" in folders


def find_misplacement(path: str) -> dict[str, str] | None:
    """Return `reason` ("junk", "unknown class folder") and `detail` of a file in the wrong place; None for others."""
    folders = path.split("/")[:-1]
    if is_junk(path):
        return _refusal("junk", "left behind by an operating system")
    if not folders or folders[-1].upper() not in CLASSES:
        return _refusal("unknown class folder", f"is in {'/'.join(folders[-1:])}/; expected {' or '.join(CLASSES)}")
    return None


def read_header(path: str, max_megapixels: float) -> dict[str, Any]:
    """Read a local path or fsspec address as `describe_image` does."""
    try:
        with open_file(path) as file:
            return describe_image(file, max_megapixels)
    except FileNotFoundError:
        return _refusal("broken link", "the file it points to does not exist")
    except InputError as error:
        return _refusal("not a regular file", str(error))
    except PermissionError as error:
        return _refusal("no permission", f"{error.strerror or error}; change its mode or its owner")
    except Exception as error:  # Of whatever storage the path names.
        return _refusal("not an image", f"{type(error).__name__}: {error}")


def describe_image(file: Any, max_megapixels: float) -> dict[str, Any]:
    """Return size and colour mode of an open image file without decoding it, or why it is refused.

    Returns:
        `width`, `height` (pixels, of the upright image) and `mode` (Pillow's: "L" is 8-bit grey); or `reason` (one of
        a few) and `detail`.
    """
    try:
        with Image.open(file, formats=FORMATS) as image:
            width, height = image.size
            if width * height > max_megapixels * 1e6:
                detail = f"{width} x {height} pixels; at most {max_megapixels:g} megapixels are read"
                return _refusal("too large", detail)
            scans = count_scans(file) if image.info.get("progressive") else 1
            if scans > MAX_SCANS or scans * width * height > MAX_WORK * max_megapixels * 1e6:
                return _refusal(
                    "too large",
                    f"a progressive JPEG of {scans} scans of {width} x {height} pixels; at most {MAX_SCANS} scans and "
                    f"{MAX_WORK * max_megapixels:g} megapixels in all scans together are read",
                )
            if not _has_end_marker(file, END_MARKERS.get(image.format or "", b"")):
                return _refusal("truncated", f"a {image.format} that ends without its end marker")
            if read_orientation(image.info.get("exif")) in QUARTER_TURNS:
                width, height = height, width
            return {"width": width, "height": height, "mode": image.mode}
    except Image.DecompressionBombError as error:
        return _refusal("too large", str(error))
    except UnidentifiedImageError:
        return _describe_other(file)
    except Exception as error:  # Pillow's readers raise anything from SyntaxError to struct.error on damaged headers.
        return _refusal("not an image", f"{type(error).__name__}: {error}")


def count_scans(file: Any) -> int:
    """Count the scans of a JPEG, including those of an embedded thumbnail."""
    file.seek(0)
    num_scans, last = 0, b""
    while chunk := file.read(1 << 20):
        num_scans += (last + chunk).count(START_OF_SCAN)
        last = bytes(chunk[-1:])
    return num_scans


def _has_end_marker(file: Any, marker: bytes) -> bool:
    end = file.seek(0, 2)
    for length in (16, TAIL):  # Few files need the second reading.
        file.seek(max(end - length, 0))
        if marker in bytes(file.read()):
            return True
    return False


def _describe_other(file: Any) -> dict[str, str]:
    file.seek(0)
    start = bytes(file.read(8))
    if not start:
        return _refusal("empty", "zero bytes")
    kind = next((f" ({kind})" for signature, kind in SIGNATURES.items() if start.startswith(signature)), "")
    return _refusal("not an image", f"begins with {start!r}{kind}; expected JPEG, PNG or DICOM")


def _refusal(reason: str, detail: str) -> dict[str, str]:
    return {"reason": reason, "detail": detail}


class InputChecks(Options):
    """Limits within which an image is classified, and the size of the OOD detector."""

    max_megapixels: Annotated[float, Field(gt=0, le=1000)]
    min_side: Annotated[int, Field(ge=1)]
    max_aspect: Annotated[float, Field(ge=1)]
    max_chroma: Annotated[float, Field(ge=0, le=255)]
    min_contrast: Annotated[float, Field(ge=0, le=127)]
    side: Annotated[int, Field(ge=8, le=128)]
    components: Annotated[int, Field(ge=1, le=256)]
    refused_share: Annotated[float, Field(gt=0, lt=0.5)]


def check_header(size: tuple[int, int], limits: dict[str, float]) -> Refusal | None:
    """Refuse a size (width, height, in pixels) below `min_side`, or with a ratio of its sides above `max_aspect`."""
    width, height = size
    if min(width, height) < limits["min_side"]:
        return "too_small", f"{width} x {height} pixels; expected at least {limits['min_side']} on either side"
    if max(width, height) > limits["max_aspect"] * min(width, height):
        return "extreme_aspect", f"{width} x {height} pixels; expected sides of at most 1 to {limits['max_aspect']:g}"
    return None


def check_colour(image: Image.Image, limits: dict[str, float]) -> Refusal | None:
    """Refuse a picture whose chroma (max - min of RGB, mean over the image, 0 to 255) is above `max_chroma`.

    A JPEG that is not decoded yet is decoded at an eighth.
    """
    import numpy as np

    if is_grey_mode(image.mode):
        return None
    image.draft("RGB", (CHROMA_SIDE, CHROMA_SIDE))
    colours = np.asarray(image.convert("RGB").resize((CHROMA_SIDE, CHROMA_SIDE)))
    chroma, limit = float(np.ptp(colours, axis=2).mean()), limits["max_chroma"]
    if chroma <= limit:
        return None
    return "colour", f"a mean chroma of {chroma:.0f} of 255; expected a grey picture, at most {limit:g}"


def is_grey_mode(mode: str) -> bool:
    """Check whether a mode of Pillow has no colours."""
    return mode in ("L", "LA", "La", "1", "F") or mode.startswith("I")


def check_contrast(pixels: Array, limits: dict[str, float]) -> Refusal | None:
    """Refuse a blank picture (uint8), whose standard deviation is below `min_contrast`."""
    contrast = float(pixels.std())
    if contrast < limits["min_contrast"]:
        return "blank", f"grey values deviate by {contrast:.1f} of 255; expected at least {limits['min_contrast']:g}"
    return None
