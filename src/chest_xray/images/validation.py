"""Whether a file is an image worth decoding, told by its header; and whether a decoded image can be a radiograph."""

from typing import Annotated, Any

from pydantic import Field

from chest_xray.core.files import open_file
from chest_xray.core.options import InputError, Options
from chest_xray.core.types import Array
from chest_xray.images.decoding import read_orientation
from chest_xray.images.kermany import CLASSES

JUNK_NAMES = ("thumbs.db", "desktop.ini", "ehthumbs.db")
TAIL = 1 << 16  # bytes; what scanners append after the end marker is shorter
END_MARKERS = {"JPEG": b"\xff\xd9", "PNG": b"IEND"}
# Pillow knows many more, some of which take far more memory than their pixels, or start other programs (EPS).
FORMATS = ("JPEG", "PNG")
OTHERS = {  # how files begin that people take for radiographs; for messages
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
Refusal = tuple[str, str]  # a reason for machines, and a sentence
CHROMA_SIDE = 64  # pixels; a tint shows at any size


def read_header(path: str, max_megapixels: float) -> dict[str, Any]:
    """Return size and colour mode of an image without decoding it, or say why it is none.

    Args:
        path: A local path or fsspec address.
        max_megapixels: Above this an image is refused: a few kilobytes can unfold to gigabytes.

    Returns:
        `width`, `height` (pixels, of the upright image) and `mode` (as Pillow names it: "L" is 8-bit grey); or `reason`
        (a word or two that many files share) and `detail`.
    """
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
    """Return size and colour mode of an open file, or say why it is no image; see `read_header`.

    Args:
        file: Opened for reading bytes.
        max_megapixels: The largest image that is accepted.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(file, formats=FORMATS) as image:
            return _describe(file, image, max_megapixels)
    except Image.DecompressionBombError as error:
        return _refusal("too large", str(error))
    except UnidentifiedImageError:
        return _not_an_image(file)
    except Exception as error:  # Pillow's readers raise anything from SyntaxError to struct.error on damaged headers.
        return _refusal("not an image", f"{type(error).__name__}: {error}")


def is_junk(path: str) -> bool:
    """Check whether a file is what operating systems leave behind in folders and archives.

    Args:
        path: With `/` between its parts.
    """
    *folders, name = path.split("/")
    return name.startswith(".") or name.lower() in JUNK_NAMES or "__MACOSX" in folders


def find_misplacement(path: str) -> dict[str, str] | None:
    """Return why a file is left out for its place or its name, if it is.

    Args:
        path: The path below a split: the last part is the name, the folder above it should be the class.

    Returns:
        `reason` ("junk", "unknown class folder") and `detail`, or None for a file in its place.
    """
    folders = path.split("/")[:-1]
    if is_junk(path):
        return _refusal("junk", "left behind by an operating system")
    if not folders or folders[-1].upper() not in CLASSES:
        return _refusal("unknown class folder", f"lies in {'/'.join(folders[-1:])}/; expected {' or '.join(CLASSES)}")
    return None


def _describe(file: Any, image: Any, max_megapixels: float) -> dict[str, Any]:
    width, height = image.size
    if width * height > max_megapixels * 1e6:
        return _refusal("too large", f"{width} x {height} pixels; at most {max_megapixels:g} megapixels are read")
    if image.info.get("progressive"):
        scans = count_scans(file)
        if scans > MAX_SCANS or scans * width * height > MAX_WORK * max_megapixels * 1e6:
            return _refusal(
                "too large",
                f"a progressive JPEG of {scans} scans of {width} x {height} pixels; at most {MAX_SCANS} scans and "
                f"{MAX_WORK * max_megapixels:g} megapixels in all scans together are read",
            )
    marker = END_MARKERS.get(image.format, b"")
    if marker not in _last_bytes(file):
        return _refusal("truncated", f"a {image.format} that ends without its end marker")
    if read_orientation(image.info.get("exif")) in QUARTER_TURNS:
        width, height = height, width
    return {"width": width, "height": height, "mode": image.mode}


def count_scans(file: Any) -> int:
    """Count the scans of a JPEG, those of a thumbnail inside among them."""
    file.seek(0)
    scans, before = 0, b""
    while chunk := file.read(1 << 20):
        scans += (before + chunk).count(START_OF_SCAN)
        before = bytes(chunk[-1:])
    return scans


def _last_bytes(file: Any) -> bytes:
    end = file.seek(0, 2)
    file.seek(max(end - 16, 0))
    near = file.read()
    if b"\xff\xd9" in near or b"IEND" in near:
        return bytes(near)
    file.seek(max(end - TAIL, 0))
    return bytes(file.read())


def _not_an_image(file: Any) -> dict[str, str]:
    file.seek(0)
    start = file.read(8)
    if not start:
        return _refusal("empty", "zero bytes")
    known = next((kind for beginning, kind in OTHERS.items() if bytes(start).startswith(beginning)), None)
    what = f" ({known})" if known else ""
    return _refusal("not an image", f"begins with {bytes(start)!r}{what}; expected JPEG, PNG or DICOM")


def _refusal(reason: str, detail: str) -> dict[str, str]:
    return {"reason": reason, "detail": detail}


class InputChecks(Options):
    """What an image must be like to get an answer."""

    max_megapixels: Annotated[float, Field(gt=0, le=1000)]
    min_side: Annotated[int, Field(ge=1)]
    max_aspect: Annotated[float, Field(ge=1)]
    max_chroma: Annotated[float, Field(ge=0, le=255)]
    min_contrast: Annotated[float, Field(ge=0, le=127)]
    side: Annotated[int, Field(ge=8, le=128)]
    components: Annotated[int, Field(ge=1, le=256)]
    refused_share: Annotated[float, Field(gt=0, lt=0.5)]


def check_header(size: tuple[int, int], limits: dict[str, float]) -> Refusal | None:
    """Refuse what is too small or of odd proportions.

    Args:
        size: Width and height in pixels.
        limits: `min_side` in pixels, `max_aspect` of the longer side over the shorter.
    """
    width, height = size
    if min(width, height) < limits["min_side"]:
        return "too_small", f"{width} x {height} pixels; expected at least {limits['min_side']} on either side"
    if max(width, height) > limits["max_aspect"] * min(width, height):
        return "extreme_aspect", f"{width} x {height} pixels; expected sides of at most 1 to {limits['max_aspect']:g}"
    return None


def check_colour(image: Any, limits: dict[str, float]) -> Refusal | None:
    """Refuse a colour picture; a grey one that is stored as RGB passes.

    Args:
        image: Of Pillow, opened and perhaps not decoded yet; a JPEG is decoded at an eighth.
        limits: `max_chroma`, of the mean over the image of largest less smallest of red, green and blue, 0 to 255.
    """
    import numpy as np

    if is_grey_mode(image.mode):
        return None
    image.draft("RGB", (CHROMA_SIDE, CHROMA_SIDE))
    colours = np.asarray(image.convert("RGB").resize((CHROMA_SIDE, CHROMA_SIDE)))
    chroma = float(np.ptp(colours, axis=2).mean())
    if chroma > limits["max_chroma"]:
        return (
            "colour",
            f"a mean chroma of {chroma:.0f} of 255; expected a grey picture, at most {limits['max_chroma']:g}",
        )
    return None


def is_grey_mode(mode: str) -> bool:
    """Check whether a mode of Pillow has no colours."""
    return mode in ("L", "LA", "La", "1", "F") or mode.startswith("I")


def check_contrast(pixels: Array, limits: dict[str, float]) -> Refusal | None:
    """Refuse a blank picture.

    Args:
        pixels: Prepared, uint8 of shape (height, width).
        limits: `min_contrast`, of the standard deviation of the grey values, 0 to 127.
    """
    contrast = float(pixels.std())
    if contrast < limits["min_contrast"]:
        return "blank", f"grey values deviate by {contrast:.1f} of 255; expected at least {limits['min_contrast']:g}"
    return None
