"""Decode DICOM files to the grey image that their own window shows."""

import io
import re
import struct
import zlib
from itertools import product
from typing import Any

from chest_xray.core.types import Array, Image
from chest_xray.images import jpeg
from chest_xray.images.dicom_display import UnsupportedDicomError, read_number, render_grey, unpack_stored
from chest_xray.images.header import ImageError
from chest_xray.images.png import keep_upper_bits

GREY = ("MONOCHROME1", "MONOCHROME2")
# Keywords and values that pixels for display do not have with these photometric interpretations (PS3.3, C.8.11.1).
NOT_FOR_DISPLAY = (
    ("PresentationIntentType", "FOR PROCESSING", *GREY),
    ("SOPClassUID", "1.2.840.10008.5.1.4.1.1.1.1.1", *GREY),  # Digital X-Ray Image Storage - For Processing
    ("PresentationLUTShape", "IDENTITY", "MONOCHROME1"),
    ("PresentationLUTShape", "INVERSE", "MONOCHROME2"),
)
COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT")
DEFLATED = "1.2.840.10008.1.2.1.99"
INFLATED_BYTES = 8  # for each pixel allowed: 16-bit colour and a generous header
PREFIX_END = 132  # bytes
TRANSFER_SYNTAX = 0x00020010
MAX_RATIO = 2000  # pixels for each byte of a compressed image; radiographs take 0.5 to 20, an empty image 1,000
JPEG_2000 = b"\xff\x4f\xff\x51"
HUFFMAN_TABLES, FRAME_OF_JPEG_LS = 0xC4, 0xF7
END_REACH = 16  # bytes; some writers add a few after the end marker
PIXEL_DATA = 0x7FE00010
UNDEFINED = 0xFFFFFFFF  # a length
DESCRIPTION = ("Rows", "Columns", "BitsAllocated")
RLE = "1.2.840.10008.1.2.5"
EIGHT_BITS = ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51")  # JPEG baseline and extended
JPEG_2000_SYNTAXES = ("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91")
LOSSLESS_JPEG = ("1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70")
JPEG_LS = ("1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81")
NATIVE = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", DEFLATED)
SYNTAXES = (*NATIVE, RLE, *EIGHT_BITS, *JPEG_2000_SYNTAXES, *LOSSLESS_JPEG, *JPEG_LS)
SOI = b"\xff\xd8"  # start of a JPEG
NEXT_IMAGE = re.compile(rb"\xff\xd9\0*(\xff\xd8\xff|\xff\x4f\xff\x51)")  # Compressed pixels have neither marker.
ADOBE_RGB, ADOBE_BYTES = b"\xff\xee\0\x0eAdobe\0\x64" + bytes(5), 12  # APP14: no transformation; those libjpeg reads
END_OF_JPEG = b"\xff\xd9"  # of JPEG 2000, too
FILLING = bytes(range(16, 80))
START_OF_TILE_PART = b"\xff\x90"  # SOT


def is_dicom(data: bytes) -> bool:
    """Check for the prefix of a DICOM file (PS3.10, section 7.1)."""
    return data[128:PREFIX_END] == b"DICM"


def read_dicom(data: bytes, max_megapixels: float) -> Image:
    """Decode the only frame of a DICOM file, as `dicom_display.render_grey` shows it.

    Returns:
        An image of mode "L", or "RGB" for a file with colours.

    Raises:
        UnsupportedDicomError: There are no pixels, too many, several frames, or pixels of an unsupported kind.
        ImageError: The file or its compressed image is cut off or damaged.
        Exception: The file is damaged; the type depends on pydicom and its decoders.
    """
    from PIL.Image import fromarray

    _refuse_bomb(data, max_megapixels)
    dataset = _parse(data)
    _refuse_unsupported(dataset, max_megapixels)
    pixels = _decode_pixels(dataset)
    syntax = dataset.file_meta.TransferSyntaxUID
    stored = unpack_stored(pixels, dataset, native=not syntax.is_encapsulated or syntax == RLE)
    if dataset.PhotometricInterpretation in COLOUR:
        return fromarray(keep_upper_bits(stored))
    return fromarray(render_grey(stored, dataset))


def _decode_pixels(dataset: Any) -> Array:
    """Decode all pixel cells, or none."""
    import numpy as np

    syntax = dataset.file_meta.TransferSyntaxUID
    dataset.pixel_array_options(correct_unused_bits=False)  # pydicom takes the lowest bits, whatever HighBit is.
    if not syntax.is_encapsulated:
        return dataset.pixel_array
    stream = _join_fragments(dataset.PixelData, syntax)
    _refuse_stream(stream, dataset)
    if syntax in EIGHT_BITS and (dataset.BitsStored > 8 or dataset.get("PixelRepresentation")):
        raise UnsupportedDicomError(
            f"pixels of {dataset.BitsStored} bits in the transfer syntax {syntax.name} ({syntax}); expected 8 without "
            "sign, or Explicit VR Little Endian, as `dcmdjpeg IN OUT` of DCMTK writes it"
        )
    if syntax in EIGHT_BITS:  # On some damaged ones GDCM ends the process.
        jpeg.read_header(io.BytesIO(stream))
        if dataset.PhotometricInterpretation == "RGB" and not any(
            segment.content[:5] in (b"JFIF\0", b"Adobe") and len(segment.content) >= ADOBE_BYTES
            for segment in jpeg.read_segments(io.BytesIO(stream))
        ):  # libjpeg would guess YCbCr.
            stream = SOI + ADOBE_RGB + stream[2:]
        return np.asarray(jpeg.decode(stream, "RGB" if dataset.PhotometricInterpretation in COLOUR else "L"))
    require_whole_stream(stream)
    if syntax not in JPEG_2000_SYNTAXES and syntax != RLE:
        _require_sound_header(stream)
    if syntax in JPEG_2000_SYNTAXES:  # On some damaged ones, too, GDCM ends the process.
        dataset.pixel_array_options(decoding_plugin="pillow", correct_unused_bits=False)
    if syntax in LOSSLESS_JPEG:  # GDCM would clear upper bits.
        dataset.pixel_array_options(bits_stored=dataset.BitsAllocated, correct_unused_bits=False)
    pixels = dataset.pixel_array
    if syntax in LOSSLESS_JPEG:
        _require_all_pixels(pixels, stream, dataset)
    return pixels


def _parse(data: bytes) -> Any:
    """Read a file up to its pixels; what follows them, such as padding, is ignored.

    Raises:
        ImageError: The file ends before its pixels do.
    """
    from pydicom.filereader import read_partial

    lengths: list[int] = []  # of the pixels, as stated

    def stop(tag: int, _: Any, length: int) -> bool:
        if lengths:
            return True
        if tag == PIXEL_DATA:
            lengths.append(length)
        return False

    dataset = read_partial(io.BytesIO(data), stop_when=stop)
    # An enhanced object states the transformations of its frame in functional groups (PS3.3, C.7.6.16).
    for shared_or_own, macro in product(("Shared", "PerFrame"), ("PixelValueTransformation", "FrameVOILUT")):
        for group in dataset.get(f"{shared_or_own}FunctionalGroupsSequence") or ():
            for item in group.get(f"{macro}Sequence") or ():
                dataset.update(item)
    pixels = dataset.get_item(PIXEL_DATA)
    if lengths:
        is_truncated = pixels is None or (lengths[0] != UNDEFINED and len(pixels.value or b"") < lengths[0])
    else:
        other_pixels = ("FloatPixelData", "DoubleFloatPixelData", "PixelDataProviderURL")
        has_other = any(name in dataset for name in other_pixels)
        is_truncated = not has_other and any(name in dataset for name in DESCRIPTION)
    if is_truncated:
        raise ImageError("truncated", "a DICOM file that ends before its pixels do")
    return dataset


def _refuse_bomb(data: bytes, max_megapixels: float) -> None:
    """Refuse a deflated file that inflates too far, or is cut off: pydicom would inflate it whole."""
    from pydicom.filereader import data_element_generator

    file = io.BytesIO(data)
    file.seek(PREFIX_END)
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
            raise UnsupportedDicomError(f"inflates to more than {limit / 1e6:.0f} MB, too much for a radiograph")
    if not inflating.eof:
        raise ImageError("truncated", "a deflated DICOM file that ends before its data do")


def _refuse_unsupported(dataset: Any, max_megapixels: float) -> None:
    if not dataset.get("PixelData"):
        kind = dataset.get("Modality") or "unnamed"
        raise UnsupportedDicomError(f"an object of modality {kind} without integer pixels; expected a radiograph")
    if (frames := read_number(dataset, "NumberOfFrames", 1)) > 1:
        raise UnsupportedDicomError(f"{frames:g} frames; expected one")
    photometric = dataset.get("PhotometricInterpretation") or "none"
    if photometric not in GREY + COLOUR:
        raise UnsupportedDicomError(f"photometric interpretation {photometric}; expected {', '.join(GREY + COLOUR)}")
    width, height, samples = (int(read_number(dataset, name)) for name in ("Columns", "Rows", "SamplesPerPixel"))
    expected_samples = 3 if photometric in COLOUR else 1
    if samples != expected_samples or (samples == 3 and read_number(dataset, "PixelRepresentation", 0)):
        raise UnsupportedDicomError(
            f"{samples} samples per pixel with the photometric interpretation {photometric}; expected 3 of colour "
            "without sign, or 1 of grey"
        )
    for keyword, value, *interpretations in NOT_FOR_DISPLAY:
        if photometric in interpretations and str(dataset.get(keyword)).strip().upper() == value:
            raise UnsupportedDicomError(f"a {keyword} of {value}, which {photometric} pixels for display do not have")
    if dataset.get("PresentationLUTSequence"):
        raise UnsupportedDicomError("a PresentationLUTSequence, which pixels for display do not have; expected none")
    if not width or not height:
        raise UnsupportedDicomError(f"{width} x {height} pixels; expected an image")
    if width * height > max_megapixels * 1e6:
        raise UnsupportedDicomError(f"{width} x {height} pixels; at most {max_megapixels:g} megapixels are read")
    if "TransferSyntaxUID" not in dataset.file_meta:
        raise UnsupportedDicomError("no TransferSyntaxUID; expected one, as pixels cannot be decoded without it")
    if (syntax := dataset.file_meta.TransferSyntaxUID) not in SYNTAXES:
        raise UnsupportedDicomError(
            f"the transfer syntax {syntax.name} ({syntax}); expected Explicit VR Little Endian or another supported one"
        )
    if not syntax.is_encapsulated:
        expected = (width * height * samples * int(read_number(dataset, "BitsAllocated")) + 7) // 8
        rest = dataset.PixelData[expected:]  # More than a row, or anything but padding, shows another size.
        if len(rest) > 1 and (len(rest) * height > expected or rest.count(rest[:1]) < len(rest)):
            raise UnsupportedDicomError(
                f"{len(dataset.PixelData):,} bytes of pixels; one image of {width} x {height} has {expected:,}"
            )


def _join_fragments(encapsulated: bytes, syntax: str) -> bytes:
    """Join the fragments of the only compressed image, wherever the offset table says that it begins."""
    from pydicom.encaps import generate_fragments, parse_basic_offsets

    file = io.BytesIO(encapsulated)
    parse_basic_offsets(file)
    fragments = list(generate_fragments(file))
    stream = b"".join(fragments)
    if NEXT_IMAGE.search(stream) or (syntax == RLE and len(fragments) > 1):
        raise UnsupportedDicomError(f"several compressed images in {len(fragments)} fragments; expected one")
    return stream


def _refuse_stream(stream: bytes, dataset: Any) -> None:
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


def require_whole_stream(stream: bytes) -> None:
    """Refuse a truncated compressed image, even if an end marker was put back; decoders would invent the rest.

    Raises:
        ImageError: Part of the image is missing or damaged.
    """
    stream = stream.rstrip(b"\0")  # Padding to an even length; some writers add more.
    if stream[:2] == SOI:
        if END_OF_JPEG not in stream[-END_REACH:]:
            raise ImageError("truncated", "a JPEG in a DICOM file that ends without its end marker")
    elif stream.startswith(JPEG_2000):
        _require_tile_parts(stream)


def _require_sound_header(stream: bytes) -> None:
    """Refuse headers of lossless JPEG and JPEG-LS with which GDCM ends the process: gaps, and missing tables."""
    end, kinds = 2, set()
    for segment in jpeg.read_segments(io.BytesIO(stream)):
        if segment.start != end:
            raise ImageError("undecodable", f"a JPEG in a DICOM file with {segment.start - end} bytes between segments")
        end += 4 + len(segment.content)
        kinds.add(segment.marker)
    if not kinds & {HUFFMAN_TABLES, FRAME_OF_JPEG_LS}:
        raise ImageError("undecodable", "a JPEG in a DICOM file without its tables")


def _require_all_pixels(pixels: Array, stream: bytes, dataset: Any) -> None:
    """Refuse a lossless JPEG with fewer pixels than it states, which its decoder replaces without a warning.

    Bytes put before its end marker become the missing pixels, so the image would change.
    """
    from pydicom.encaps import encapsulate

    end = stream.rindex(END_OF_JPEG)
    dataset.PixelData = encapsulate([stream[:end] + FILLING + stream[end:] + bytes(len(stream) % 2)])
    if (dataset.pixel_array != pixels).any():
        raise ImageError("truncated", "a lossless JPEG in a DICOM file that ends before its last pixel")


def _require_tile_parts(stream: bytes) -> None:
    """Walk through the tile-parts of JPEG 2000 (ITU-T T.800, A.4.2), each of which states its length."""
    position = stream.find(START_OF_TILE_PART + b"\0\x0a")
    while stream[position : position + 2] == START_OF_TILE_PART and position >= 0:
        length = int.from_bytes(stream[position + 6 : position + 10], "big")
        position = position + length if length else len(stream) - 2  # 0: up to the end of the image.
    if position < 0 or stream[position : position + 2] != END_OF_JPEG:
        raise ImageError("truncated", "a JPEG 2000 image in a DICOM file that ends before its last tile does")


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
