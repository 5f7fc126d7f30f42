"""Decode DICOM files to the grey image that their own window shows."""

import io
import struct
import zlib
from typing import Any

from PIL import Image

from chest_xray.core.types import Array

GREY = ("MONOCHROME1", "MONOCHROME2")
COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT")
DEFLATED = "1.2.840.10008.1.2.1.99"
INFLATED_BYTES = 8  # for each pixel allowed: 16-bit colour and a generous header
PREFIX_END = 132  # bytes
TRANSFER_SYNTAX = 0x00020010
MAX_RATIO = 2000  # pixels for each byte of a compressed picture; radiographs take 0.5 to 20, an empty picture 1,000
JPEG_2000 = b"\xff\x4f\xff\x51"
# SOF0 to SOF15 of JPEG (ITU-T T.81, table B.1) without DHT, JPG and DAC; SOF55 of JPEG-LS.
FRAME_MARKERS = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
PROBES = (-1e9, 1e9)  # Beyond any pixel value: a window maps them to its ends.


class UnsupportedDicomError(ValueError):
    """A valid file, whose pixels are not those of a single radiograph."""


def is_dicom(data: bytes) -> bool:
    """Check for the prefix of a DICOM file (PS3.10, section 7.1)."""
    return data[128:PREFIX_END] == b"DICM"


def read_dicom(data: bytes, max_megapixels: float) -> Image.Image:
    """Decode the only frame of a DICOM file.

    pydicom applies the modality transformation and the file's lookup table or window (PS3.3, C.11.1 and C.11.2), whose
    range becomes 0 to 255. Without either, 8-bit values stay unchanged, and the range of deeper ones is stretched.
    MONOCHROME1 is inverted, so that 0 is black.

    Returns:
        An image of mode "L", or "RGB" for a file with colours.

    Raises:
        UnsupportedDicomError: There are no pixels, too many, several frames, or pixels of an unsupported kind.
        Exception: The file is damaged; the type depends on pydicom and its decoders.
    """
    from pydicom import dcmread

    _refuse_bomb(data, max_megapixels)
    dataset = dcmread(io.BytesIO(data))
    _refuse_unsupported(dataset, max_megapixels)
    pixels = dataset.pixel_array
    if dataset.PhotometricInterpretation in COLOUR:
        return Image.fromarray((pixels >> max(dataset.BitsStored - 8, 0)).astype("uint8"))
    grey = _window(pixels, dataset)
    return Image.fromarray(255 - grey if dataset.PhotometricInterpretation == "MONOCHROME1" else grey)


def _refuse_bomb(data: bytes, max_megapixels: float) -> None:
    """Refuse a deflated file that inflates too far: pydicom would inflate it whole."""
    from pydicom.filereader import data_element_generator

    file = io.BytesIO(data)
    file.seek(132)
    syntax = ""
    # Group 2, the meta information, is never deflated.
    for element in data_element_generator(file, False, True, stop_when=lambda tag, *_: tag >> 16 != 2):
        if element.tag == TRANSFER_SYNTAX:
            syntax = bytes(element.value or b"").decode("ascii", "replace").strip("\0 ")
    if syntax != DEFLATED:
        return
    limit = int(max_megapixels * 1e6 * INFLATED_BYTES)
    inflating, packed, size = zlib.decompressobj(-zlib.MAX_WBITS), data[file.tell() :], 0
    while packed and not inflating.eof:
        size += len(inflating.decompress(packed, 1 << 20))
        packed = inflating.unconsumed_tail
        if size > limit:
            raise UnsupportedDicomError(f"inflates to more than {limit / 1e6:.0f} MB")


def _refuse_unsupported(dataset: Any, max_megapixels: float) -> None:
    from pydicom.encaps import generate_frames

    if "PixelData" not in dataset:
        kind = dataset.get("Modality") or "unnamed"
        raise UnsupportedDicomError(f"an object of modality {kind} without integer pixels; expected a radiograph")
    if int(dataset.get("NumberOfFrames") or 1) > 1:
        raise UnsupportedDicomError(f"{dataset.NumberOfFrames} frames; expected one")
    if dataset.PhotometricInterpretation not in GREY + COLOUR:
        raise UnsupportedDicomError(
            f"photometric interpretation {dataset.PhotometricInterpretation}; expected {', '.join(GREY + COLOUR)}"
        )
    width, height = int(dataset.Columns), int(dataset.Rows)
    if width * height > max_megapixels * 1e6:
        raise UnsupportedDicomError(f"{width} x {height} pixels; at most {max_megapixels:g} megapixels are read")
    if not dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        return
    stream = next(generate_frames(dataset.PixelData, number_of_frames=1))
    size = read_stream_size(stream)
    if size not in (None, (width, height)):
        raise UnsupportedDicomError(
            f"a compressed picture of {size[0]} x {size[1]} pixels in a file that declares {width} x {height}"
        )
    if width * height > MAX_RATIO * len(stream):
        raise UnsupportedDicomError(
            f"{width} x {height} pixels in {len(stream):,} bytes; at most {MAX_RATIO} pixels a byte are read"
        )


def read_stream_size(stream: bytes) -> tuple[int, int] | None:
    """Read columns and rows from the header of a JPEG, JPEG-LS or JPEG 2000 stream; None for others, such as RLE."""
    # JPEG 2000, perhaps inside a JP2 file: SOC and SIZ, with the extent and the offset of the image.
    start = 0 if stream[:2] == JPEG_2000[:2] else stream.find(JPEG_2000) if stream[4:8] == b"jP  " else -1
    if start >= 0 and len(stream) >= start + 24:
        right, bottom, left, top = struct.unpack(">4I", stream[start + 8 : start + 24])
        return right - left, bottom - top
    at = 2
    while stream[:2] == b"\xff\xd8" and at + 9 <= len(stream):
        marker, length = stream[at + 1], int.from_bytes(stream[at + 2 : at + 4], "big")
        if marker in FRAME_MARKERS:
            rows, columns = struct.unpack(">2H", stream[at + 5 : at + 9])
            return columns, rows
        at += 1 if marker == 0xFF else 2 + length  # Markers may be preceded by any number of fill bytes.
    return None


def _window(pixels: Array, dataset: Any) -> Array:
    """Apply the transformations of the file and scale their range to 0 to 255."""
    import numpy as np
    from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut

    values = apply_modality_lut(pixels, dataset)
    if "VOILUTSequence" in dataset:
        values = apply_voi_lut(values.astype(int), dataset, prefer_lut=True)
        low, high = 0, 2 ** int(dataset.VOILUTSequence[0].LUTDescriptor[2]) - 1
    elif dataset.get("WindowWidth") is not None and dataset.get("WindowCenter") is not None:
        values = apply_voi_lut(values, dataset)
        with np.errstate(over="ignore"):
            low, high = apply_voi_lut(np.array(PROBES), dataset)
    elif dataset.BitsStored == 8 and values.min() >= 0 and values.max() <= 255:
        low, high = 0, 255
    else:
        low, high = values.min(), values.max()
    return np.asarray(np.rint((values - low) / max(high - low, 1e-9) * 255).clip(0, 255), np.uint8)
