"""Check the compressed image of a DICOM file before a decoder sees it: some invent pixels, or end the process."""

import io
import operator
import re
import struct
from typing import Any

from pydicom.encaps import encapsulate, generate_fragments, parse_basic_offsets

from chest_xray.core.types import Array
from chest_xray.images import jpeg
from chest_xray.images.dicom_display import UnsupportedDicomError
from chest_xray.images.header import ImageError

RLE = "1.2.840.10008.1.2.5"
RLE_HEADER, RLE_NOTHING, PADDING = 64, 128, b"\0\x80"  # bytes; a code without effect; what may follow a segment
MAX_RATIO = 2000  # pixels for each byte of a compressed image; radiographs take 0.5 to 20, an empty image 1,000
SOI = b"\xff\xd8"  # start of a JPEG
END_OF_JPEG = b"\xff\xd9"  # of JPEG 2000, too
END_REACH = 16  # bytes; some writers add a few after the end marker
NEXT_IMAGE = re.compile(rb"\xff\xd9\0*(\xff\xd8\xff|\xff\x4f\xff\x51)")  # Compressed pixels have neither marker.
HUFFMAN_TABLES, FRAME_OF_JPEG_LS = 0xC4, 0xF7
FILLING = bytes(range(16, 80))
JPEG_2000 = b"\xff\x4f\xff\x51"
START_OF_TILE_PART = b"\xff\x90"  # SOT


def join_fragments(encapsulated: bytes, syntax: str) -> bytes:
    """Join the fragments of the only compressed image, wherever the offset table says that it begins."""
    file = io.BytesIO(encapsulated)
    parse_basic_offsets(file)
    fragments = list(generate_fragments(file))
    stream = b"".join(fragments)
    if NEXT_IMAGE.search(stream) or (syntax == RLE and len(fragments) > 1):
        raise UnsupportedDicomError(f"several compressed images in {len(fragments)} fragments; expected one")
    return stream


def refuse_stream(stream: bytes, dataset: Any) -> None:
    """Refuse a compressed image that contradicts the elements of the file, or has too few bytes for its pixels."""
    width, height, allocated = int(dataset.Columns), int(dataset.Rows), int(dataset.BitsAllocated)
    if header := read_stream_header(stream):
        columns, rows, samples, bits = header
        if (columns, rows, samples) != (width, height, dataset.SamplesPerPixel):
            raise UnsupportedDicomError(
                f"a compressed image of {columns} x {rows} pixels of {samples} samples in a file that "
                f"declares {width} x {height} of {dataset.SamplesPerPixel}; expected the same of both"
            )
        # JPEG 2000 has a sign; elsewhere it is the uppermost bit stored.
        min_bits = int(dataset.BitsStored) if dataset.get("PixelRepresentation") and stream[:2] == SOI else 2
        if not min_bits <= bits <= allocated:
            raise UnsupportedDicomError(
                f"a compressed image of {bits} bits in a file of {allocated}; expected {min_bits} to {allocated}"
            )
    if width * height > MAX_RATIO * len(stream):
        raise UnsupportedDicomError(
            f"{width} x {height} pixels in {len(stream):,} bytes; at most {MAX_RATIO} pixels a byte are read"
        )


def read_stream_header(stream: bytes) -> tuple[int, int, int, int] | None:
    """Read columns, rows, samples and bits of a JPEG, JPEG-LS or JPEG 2000 stream; None for others, such as RLE."""
    # JPEG 2000, perhaps inside a JP2 file: SOC and SIZ, with the extent and the offset of the image.
    is_bare = stream[:2] == JPEG_2000[:2]
    start = 0 if is_bare else stream.find(JPEG_2000)
    if (is_bare or stream[4:8] == b"jP  ") and 0 <= start <= len(stream) - 43:
        right, bottom, left, top, samples, sign_and_bits = struct.unpack_from(">4I16xHB", stream, start + 8)
        return right - left, bottom - top, samples, (sign_and_bits & 0x7F) + 1
    for segment in jpeg.read_segments(io.BytesIO(stream)) if stream[:2] == SOI else ():
        if segment.marker in jpeg.FRAMES | {FRAME_OF_JPEG_LS} and len(segment.content) >= 6:
            precision, rows, columns, samples = struct.unpack_from(">BHHB", segment.content)
            return columns, rows, samples, precision
    return None


def require_whole_stream(stream: bytes) -> None:
    """Refuse a truncated compressed image, even if an end marker was put back; decoders would invent the rest.

    Raises:
        ImageError: Part of the image is missing or damaged.
    """
    stream = stream.rstrip(b"\0")  # Padding to an even length; some writers add more.
    if stream[:2] == SOI:
        if END_OF_JPEG not in stream[-END_REACH:]:
            raise ImageError("truncated", "a JPEG in a DICOM file that ends without its end marker")
    elif stream.startswith(JPEG_2000):  # Each tile-part states its length (ITU-T T.800, A.4.2).
        position = stream.find(START_OF_TILE_PART + b"\0\x0a")
        while stream[position : position + 2] == START_OF_TILE_PART:
            length = int.from_bytes(stream[position + 6 : position + 10], "big")
            position = position + length if length else len(stream) - 2  # 0: up to the end of the image.
        if position < 0 or stream[position : position + 2] != END_OF_JPEG:
            raise ImageError("truncated", "a JPEG 2000 image in a DICOM file that ends before its last tile does")


def require_sound_header(stream: bytes) -> None:
    """Refuse headers of lossless JPEG and JPEG-LS with which GDCM ends the process."""
    end, kinds, transformation = 2, set(), 0
    for segment in jpeg.read_segments(io.BytesIO(stream)):
        if segment.start != end:
            raise ImageError("undecodable", f"a JPEG in a DICOM file with {segment.start - end} bytes between segments")
        end += 4 + len(segment.content)
        kinds.add(segment.marker)
        if segment.marker == jpeg.APP14 and segment.content.startswith(b"Adobe"):
            transformation = segment.content[11] if len(segment.content) > 11 else 0
    if transformation > 1 and FRAME_OF_JPEG_LS not in kinds:
        detail = f"a JPEG in a DICOM file with Adobe's colour transformation {transformation}; expected 0 or 1"
        raise ImageError("undecodable", detail)
    if not kinds & {HUFFMAN_TABLES, FRAME_OF_JPEG_LS}:
        raise ImageError("undecodable", "a JPEG in a DICOM file without its tables")


def require_sound_segments(stream: bytes, dataset: Any) -> None:
    """Refuse RLE whose segments, at the offsets that its header states, do not hold the pixels (PS3.5, G)."""
    if len(stream) < RLE_HEADER:
        raise ImageError("truncated", f"RLE in a DICOM file with {len(stream)} bytes; expected at least {RLE_HEADER}")
    number, *offsets = struct.unpack_from("<16I", stream)
    expected, num_pixels = dataset.SamplesPerPixel * dataset.BitsAllocated // 8, dataset.Rows * dataset.Columns
    ends = [*offsets[1:number], len(stream)]
    if number != expected or offsets[0] != RLE_HEADER or any(map(operator.ge, offsets, ends)):
        raise ImageError(
            "undecodable",
            f"RLE in a DICOM file with {number} segments at {offsets[:number]} of {len(stream):,} bytes; expected "
            f"{expected}, the first at {RLE_HEADER}, one after another",
        )
    for start, end in zip(offsets, ends, strict=False):
        position, size = start, 0
        while position < end and size < num_pixels:
            code = stream[position]
            position += code + 2 if code < RLE_NOTHING else 1 + (code > RLE_NOTHING)
            size += code + 1 if code < RLE_NOTHING else (257 - code) % 129
        if size != num_pixels or position > end or stream[position:end].strip(PADDING):
            reason = "truncated" if end == len(stream) and size < num_pixels else "undecodable"
            raise ImageError(
                reason, f"RLE in a DICOM file whose segment at {start:,} does not give {num_pixels:,} bytes as expected"
            )


def require_all_pixels(pixels: Array, stream: bytes, dataset: Any) -> None:
    """Refuse a lossless JPEG with fewer pixels than it states, which its decoder replaces without a warning.

    Bytes put before its end marker become the missing pixels, so the image would change.
    """
    end = stream.rindex(END_OF_JPEG)
    dataset.PixelData = encapsulate([stream[:end] + FILLING + stream[end:] + bytes(len(stream) % 2)])
    if (dataset.pixel_array != pixels).any():
        raise ImageError("truncated", "a lossless JPEG in a DICOM file that ends before its last pixel")
