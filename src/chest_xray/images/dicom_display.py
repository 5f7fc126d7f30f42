"""Show a decoded DICOM image as its header says (PS3.3, C.7.6.3, C.7.6.11 and C.11).

Stored values become the grey that the file's own transformations show, inside its shutter, with square pixels, not
mirrored.
"""

import math
from collections.abc import Sequence
from contextlib import suppress
from textwrap import shorten
from typing import Any, NamedTuple

import numpy as np
from PIL import ImageDraw
from PIL.Image import Transpose, fromarray, new

from chest_xray.core.types import Array, Image
from chest_xray.images.header import ImageError, square_pixels

FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")
OVERLAYS = range(0x6000, 0x6100, 2)  # groups (PS3.3, C.9.2)
OVERLAY_BIT = 0x0102  # element
MAX_OFFSET = 0xFFFF
MAX_TEXT = 200  # characters that a message repeats
# Fractions of the range of the stored bits. An image fills the range if its values come within the first of one end
# and within the second of the other.
NEAR_END, MAX_MARGIN = 1 / 64, 1 / 4
EDGES = ("LeftVertical", "RightVertical", "UpperHorizontal", "LowerHorizontal")
SPACINGS = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing", "PixelAspectRatio")
MAX_SPACING = 1e6  # mm; beyond it and its inverse, nothing is known of the shape
P_VALUES_PER_GREY = 257  # Shutters are stated in P-Values, 0 (black) to 65,535 (white): PS3.3, C.7.6.11.


class UnsupportedDicomError(ImageError):
    """A valid file whose pixels are not those of a single radiograph, or whose elements contradict each other."""

    def __init__(self, detail: str):
        super().__init__("unsupported dicom", detail)


class Table(NamedTuple):
    """A lookup table: the value of its first entry as stated, the bits it claims, and its entries."""

    first: int
    bits: int
    entries: Array


class Window(NamedTuple):
    """A window of interest (C.11.2): its centre and width in values of the image, and one of `FUNCTIONS`."""

    centre: float
    width: float
    function: str


def read_numbers(dataset: Any, keyword: str) -> list[float]:
    """Return the values of an element: NaN for an empty one among others, an empty list if all are empty.

    Raises:
        UnsupportedDicomError: A value is not a number.
    """
    try:
        value = dataset.get(keyword)
        if value is None or (isinstance(value, (str, bytes)) and not value.strip()):
            return []
        values = [value] if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__") else list(value)
        numbers = [math.nan if item is None or item == "" else float(item) for item in values]
    except (ValueError, TypeError, OverflowError, ArithmeticError) as error:
        problem = shorten(str(error), MAX_TEXT)
        raise UnsupportedDicomError(f"a {keyword} that is not a number: {problem}; expected a number") from error
    return [] if all(item is None or item == "" for item in values) else numbers


def read_number(dataset: Any, keyword: str, default: float | None = None) -> float:
    """Return the first value of an element, or the default where it is absent or empty.

    Raises:
        UnsupportedDicomError: It is not finite, or absent without a default.
    """
    numbers = read_numbers(dataset, keyword)
    if not numbers and default is not None:
        return default
    if not numbers or not math.isfinite(numbers[0]):
        problem = f"a {keyword} of {numbers[0]}" if numbers else f"no {keyword}"
        raise UnsupportedDicomError(f"{problem}; expected a number")
    return numbers[0]


def read_codes(dataset: Any, keyword: str) -> list[str]:
    """Return the values of an element of type CS in capitals, without the spaces that do not count."""
    value = dataset.get(keyword)
    values = value if isinstance(value, Sequence) and not isinstance(value, str) else [value or ""]
    return [str(item).strip().upper() for item in values]


def unpack_stored(pixels: Array, dataset: Any, *, native: bool) -> Array:
    """Extract the stored bits from pixel cells, by BitsStored and HighBit.

    Args:
        pixels: Integers as pydicom decodes them, of shape (height, width) or (height, width, 3), with
            `correct_unused_bits` switched off.
        dataset: The file.
        native: Whether the cells are as in the file (uncompressed or RLE); other decoders ignore HighBit.

    Raises:
        UnsupportedDicomError: The elements contradict each other or the pixels.
    """
    allocated, stored = int(read_number(dataset, "BitsAllocated")), int(read_number(dataset, "BitsStored"))
    high, signed = int(read_number(dataset, "HighBit", stored - 1)), pixels.dtype.kind == "i"
    shift = high + 1 - stored
    if not 1 <= stored <= allocated or shift < 0 or high >= allocated or (shift and not native):
        raise UnsupportedDicomError(
            f"BitsAllocated {allocated}, BitsStored {stored} and HighBit {high}, which disagree; "
            "expected the stored bits within the allocated ones"
        )
    if stored == allocated:
        return pixels
    window = _find_window(dataset) if shift and "RescaleSlope" not in dataset else None
    if window and (window.width > 1.5 * 2**stored or window.centre > 2**stored):  # It may be meant for the cells.
        description = f"a window of centre {window.centre:g} and width {window.width:g}"
        raise UnsupportedDicomError(
            f"{description} for pixels of BitsStored {stored} below HighBit {high}; expected one within their range"
        )
    cells: Array = pixels.astype(np.int64 if allocated > 16 else np.int32)
    values: Array = cells >> shift & (1 << stored) - 1
    has_extra_bits = cells & (1 << allocated) - 1 != values << shift
    if signed:
        values -= (values >> stored - 1) << stored
        has_extra_bits &= cells != values << shift  # Upper bits may repeat the sign, or not.
    padding = None if shift else find_padding(pixels, dataset)
    if padding is not None:  # It may lie beyond the bits stored, where `render_grey` has to find it.
        has_extra_bits &= ~padding
        values = np.where(padding, cells, values)
    # Overlays had their place in such bits before 2004.
    has_overlay = any(tag.group in OVERLAYS and tag.elem == OVERLAY_BIT for tag in dataset.keys())  # noqa: SIM118
    if has_extra_bits.any() and not has_overlay:
        raise UnsupportedDicomError(
            f"pixels use bits that BitsStored {stored} and HighBit {high} leave out; expected only those"
        )
    return values


def find_padding(values: Array, dataset: Any) -> Array | None:
    """Return where pixels are padding (PixelPaddingValue, PixelPaddingRangeLimit), bool of their shape, or None."""
    padding = read_numbers(dataset, "PixelPaddingValue")
    if not padding or not math.isfinite(padding[0]):
        return None
    limit = (read_numbers(dataset, "PixelPaddingRangeLimit") or padding)[0]
    bits = int(read_number(dataset, "BitsAllocated"))
    signed = int(read_number(dataset, "PixelRepresentation", 0)) == 1
    # Some writers state the type of a negative value as unsigned, and the other way round.
    ends = (padding[0], limit if math.isfinite(limit) else padding[0])
    wrapped = [int(end) & (1 << bits) - 1 for end in ends]
    low, high = sorted(end - (1 << bits) if signed and end >> bits - 1 else end for end in wrapped)
    return (values >= low) & (values <= high)


def render_grey(stored: Array, dataset: Any) -> Array:
    """Apply the transformations of a file to stored values of shape (height, width); return uint8, 0 is black.

    The range of the window is scaled to 0 to 255.

    Without lookup table and window, 8-bit values stay unchanged, and so do deeper ones that fill the range of the bits
    stored; the range of others is stretched. Padding is excluded from that range, and black. MONOCHROME1 is inverted.

    Raises:
        UnsupportedDicomError: A transformation is damaged, or nothing but padding is there.
    """
    padding = find_padding(stored, dataset)
    if padding is not None and padding.all():
        raise UnsupportedDicomError("every pixel is padding; expected an image")
    with np.errstate(all="ignore"):
        values, ends = _apply_modality(stored, dataset)
        if not np.isfinite(values).all():
            raise UnsupportedDicomError("RescaleSlope and RescaleIntercept give infinite values; expected finite ones")
        grey = _apply_voi(values, ends, dataset, None if padding is None else ~padding)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        grey = 255 - grey
    if padding is not None:
        grey = np.where(padding, np.uint8(0), grey)
    return np.asarray(grey, np.uint8)


def _apply_modality(stored: Array, dataset: Any) -> tuple[Array, tuple[float, float]]:
    """Apply the modality lookup table, or slope and intercept (C.11.1); return the least and largest value possible."""
    if table := _find_table(dataset, "ModalityLUTSequence"):
        return _look_up(stored, table), (0.0, 2.0 ** int(table.entries.max()).bit_length() - 1)
    slope, intercept = read_number(dataset, "RescaleSlope", 1), read_number(dataset, "RescaleIntercept", 0)
    if slope == 0:
        raise UnsupportedDicomError("a RescaleSlope of 0, which makes all pixels equal; expected another")
    num = 2.0 ** int(read_number(dataset, "BitsStored"))
    least = -num / 2 if stored.dtype.kind == "i" and read_number(dataset, "PixelRepresentation", 0) == 1 else 0.0
    ends = sorted((least * slope + intercept, (least + num - 1) * slope + intercept))
    return stored if (slope, intercept) == (1, 0) else stored * slope + intercept, (ends[0], ends[1])


def _apply_voi(values: Array, ends: tuple[float, float], dataset: Any, visible: Array | None) -> Array:
    """Apply the lookup table, or else the window, or else neither (C.11.2); return uint8."""
    if table := _find_table(dataset, "VOILUTSequence"):
        largest = int(table.entries.max())
        # Some tables state 16 bits and need fewer; one that needs what it states has its range.
        top = 2**table.bits - 1 if largest.bit_length() == table.bits else max(largest, 1)
        scaled = _look_up(values, table) / top
    elif window := _find_window(dataset):
        scaled = _apply_window(values, window)
    else:
        visible_values = values if visible is None else values[visible]
        low, high = float(visible_values.min()), float(visible_values.max())
        below, above = ((value - ends[0]) / (ends[1] - ends[0]) for value in (low, high))
        margins = sorted((below, 1 - above))
        if margins[0] >= 0 and (dataset.BitsStored == 8 or (margins[0] < NEAR_END and margins[1] < MAX_MARGIN)):
            low, high = ends
        scaled = (values - low) / max(high - low, 1e-9)
    return np.rint(scaled * 255).clip(0, 255).astype(np.uint8)


def _find_window(dataset: Any) -> Window | None:
    """Return the first window that has a meaning."""
    centres, widths = read_numbers(dataset, "WindowCenter"), read_numbers(dataset, "WindowWidth")
    function = next(iter(read_codes(dataset, "VOILUTFunction")), "") or FUNCTIONS[0]
    for centre, width in zip(centres, widths, strict=False):
        if math.isfinite(centre) and math.isfinite(width) and width > 0 and (width >= 1 or function != "LINEAR"):
            if function not in FUNCTIONS:
                raise UnsupportedDicomError(f"a window with the function {function}; expected {', '.join(FUNCTIONS)}")
            return Window(centre, width, function)
    return None


def _apply_window(values: Array, window: Window) -> Array:
    """Map values to 0 to 1, by C.11.2.1.2.1 and C.11.2.1.3."""
    centre, width, function = window
    if function == "SIGMOID":
        return 1 / (1 + np.exp(-4 * (values - centre) / width))
    if function == "LINEAR":
        centre, width = centre - 0.5, width - 1
    if width == 0:
        return (values > centre).astype(float)
    return ((values - centre) / width + 0.5).clip(0, 1)


def _find_table(dataset: Any, keyword: str) -> Table | None:
    """Return the first lookup table of a sequence; None where it has none, or empty ones alone."""
    sequence = dataset.get(keyword)
    for item in sequence if hasattr(sequence, "__iter__") and not isinstance(sequence, (str, bytes)) else ():
        order = "<u2" if item.original_encoding[1] in (None, True) else ">u2"
        descriptor, data = (_read_words(item.get(name), order) for name in ("LUTDescriptor", "LUTData"))
        if not len(descriptor) and not len(data):
            continue
        if len(descriptor) != 3:
            raise UnsupportedDicomError(f"a lookup table with {len(descriptor)} values of LUTDescriptor; expected 3")
        num_entries, first, bits = map(int, descriptor)
        num_entries = num_entries or 1 << 16
        if len(data) < num_entries and bits <= 8:  # Two entries in each word, the lower first.
            data = data.astype("<u2").view(np.uint8)
        if len(data) < num_entries:
            raise UnsupportedDicomError(f"a lookup table of {num_entries} entries that holds {len(data)}; expected all")
        return Table(first, bits, data[:num_entries])
    return None


def _read_words(value: Any, order: str) -> Array:
    """Return the 16-bit words of an element as unsigned integers, whatever its type."""
    if value is None or (isinstance(value, str) and not value):
        return np.empty(0, np.uint16)
    if isinstance(value, (bytes, bytearray)):
        return np.frombuffer(value[: len(value) // 2 * 2], order).astype(np.uint16)
    return (np.atleast_1d(np.array(value, np.int64)) & MAX_OFFSET).astype(np.uint16)


def _look_up(values: Array, table: Table) -> Array:
    # The type of the first value is often stated wrong: it is negative where the pixels are, or all lie below it.
    first = table.first
    if first > MAX_OFFSET // 2 and (values.min() < 0 or values.max() < first):
        first -= MAX_OFFSET + 1
    index = np.rint(values) if values.dtype.kind == "f" else values.astype(np.int64)
    return table.entries[(index - first).clip(0, len(table.entries) - 1).astype(np.int64)]


def lay_out(image: Image, dataset: Any) -> Image:
    """Return an image, of mode "L" or "RGB" and as large as stored, as a viewer lays it out.

    Raises:
        UnsupportedDicomError: The shutter is incomplete, or hides all.
    """
    image = square_pixels(_close_shutter(image, dataset), read_pixel_aspect(dataset))
    directions = [direction[:1] for direction in read_codes(dataset, "PatientOrientation")]
    return image.transpose(Transpose.FLIP_LEFT_RIGHT) if directions == ["R", "F"] else image


def read_pixel_aspect(dataset: Any) -> float:
    """Return width / height of a pixel, 1 where it is unknown (C.7.6.3.1.7: the ratio counts where no spacing is)."""
    for keyword in SPACINGS:
        with suppress(UnsupportedDicomError):
            match read_numbers(dataset, keyword):
                case [height, width] if all(1 / MAX_SPACING < side < MAX_SPACING for side in (height, width)):
                    return width / height
    return 1.0


def _close_shutter(image: Image, dataset: Any) -> Image:
    shapes = read_codes(dataset, "ShutterShape")
    try:
        hidden = [_find_hidden(shape, dataset, image.size) for shape in shapes if shape]
    except UnsupportedDicomError:
        raise
    except (ValueError, TypeError, AttributeError, LookupError) as error:
        raise UnsupportedDicomError(f"a {'/'.join(shapes)} shutter that cannot be applied: {error}") from error
    if not hidden or not (outside := np.logical_or.reduce(hidden)).any():
        return image
    if outside.all():
        raise UnsupportedDicomError("a shutter that hides every pixel; expected one that shows the image")
    shade = round(read_number(dataset, "ShutterPresentationValue", 0) / P_VALUES_PER_GREY)
    pixels = np.array(image)
    pixels[outside] = min(max(shade, 0), 255)
    return fromarray(pixels)


def _find_hidden(shape: str, dataset: Any, size: tuple[int, int]) -> Array:
    """Return where a shutter hides pixels (PS3.3, C.7.6.11 and C.7.6.15), bool of shape (height, width)."""
    columns, rows = np.arange(1, size[0] + 1), np.arange(1, size[1] + 1)[:, None]
    if shape == "RECTANGULAR":
        left, right, upper, lower = (read_number(dataset, f"Shutter{edge}Edge") for edge in EDGES)
        return np.asarray((columns < left) | (columns > right) | (rows < upper) | (rows > lower))
    if shape == "CIRCULAR":
        row, column = read_numbers(dataset, "CenterOfCircularShutter")
        distances = np.hypot((rows - row) / read_pixel_aspect(dataset), columns - column)  # in widths of a pixel
        return np.asarray(distances > read_number(dataset, "RadiusOfCircularShutter"))
    if shape == "POLYGONAL":
        vertices = np.reshape(read_numbers(dataset, "VerticesOfThePolygonalShutter"), (-1, 2))
        visible = new("1", size)
        ImageDraw.Draw(visible).polygon([(column - 1, row - 1) for row, column in vertices.tolist()], fill=True)
        return ~np.asarray(visible)
    if shape == "BITMAP":
        bitmap = dataset.overlay_array(int(read_number(dataset, "ShutterOverlayGroup")))
        return np.broadcast_to(bitmap > 0, size[::-1])
    raise UnsupportedDicomError(f"a shutter of the shape {shape}; expected RECTANGULAR, CIRCULAR, POLYGONAL or BITMAP")
