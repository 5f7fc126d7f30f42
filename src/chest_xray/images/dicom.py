"""Decode DICOM files to the grey image that their own window shows."""

import io
import zlib
from itertools import product
from typing import Any

import numpy as np
from PIL.Image import fromarray
from pydicom.filereader import data_element_generator, read_partial
from pydicom.uid import UID

from chest_xray.core.types import Array, Image
from chest_xray.images import jpeg
from chest_xray.images.dicom_display import (
    UnsupportedDicomError,
    lay_out,
    read_codes,
    read_number,
    read_pixel_aspect,
    render_grey,
    unpack_stored,
)
from chest_xray.images.dicom_streams import (
    RLE,
    SOI,
    join_fragments,
    refuse_stream,
    require_all_pixels,
    require_sound_header,
    require_sound_segments,
    require_whole_stream,
)
from chest_xray.images.header import PREFIX_END, ImageError, refuse_profile, square_size
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
TRANSFER_SYNTAX = 0x00020010
PIXEL_DATA = 0x7FE00010
UNDEFINED = 0xFFFFFFFF  # a length
MACROS = ("PixelValueTransformation", "FrameVOILUT", "FrameDisplayShutter", "PixelMeasures")
DESCRIPTION = ("Rows", "Columns", "BitsAllocated")
EIGHT_BITS = ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51")  # JPEG baseline and extended
JPEG_2000_SYNTAXES = ("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91")
LOSSLESS_JPEG = ("1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70")
JPEG_LS = ("1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81")
NATIVE = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", DEFLATED)
SYNTAXES = (*NATIVE, RLE, *EIGHT_BITS, *JPEG_2000_SYNTAXES, *LOSSLESS_JPEG, *JPEG_LS)
ADOBE_RGB = b"\xff\xee\0\x0eAdobe\0\x64" + bytes(5)  # APP14: no transformation


def read_dicom(data: bytes, max_megapixels: float) -> Image:
    """Decode the only frame of a DICOM file, as `dicom_display.render_grey` shows it.

    Returns:
        An image of mode "L", or "RGB" for a file with colours.

    Raises:
        UnsupportedDicomError: There are no pixels, too many, several frames, or pixels of an unsupported kind.
        ImageError: The file or its compressed image is cut off or damaged.
        Exception: The file is damaged; the type depends on pydicom and its decoders.
    """
    _refuse_bomb(data, max_megapixels)
    dataset = _parse(data)
    _refuse_unsupported(dataset, max_megapixels)
    pixels = _decode_pixels(dataset)
    syntax = dataset.file_meta.TransferSyntaxUID
    stored = unpack_stored(pixels, dataset, native=not syntax.is_encapsulated or syntax == RLE)
    if dataset.PhotometricInterpretation in COLOUR:
        refuse_profile(dataset.get("ICCProfile") or b"")
        return lay_out(fromarray(keep_upper_bits(stored)), dataset)
    return lay_out(fromarray(render_grey(stored, dataset)), dataset)


def _decode_pixels(dataset: Any) -> Array:
    """Decode all pixel cells, or none."""
    syntax = dataset.file_meta.TransferSyntaxUID
    options: dict[str, Any] = {"correct_unused_bits": False}  # pydicom takes the lowest bits, whatever HighBit is.
    stream = b""
    if syntax.is_encapsulated:
        stream = join_fragments(dataset.PixelData, syntax)
        refuse_stream(stream, dataset)
        if syntax in EIGHT_BITS:
            return _decode_eight_bits(stream, dataset)
        require_whole_stream(stream)
    if syntax == RLE:
        require_sound_segments(stream, dataset)
    elif syntax in JPEG_2000_SYNTAXES:  # On some damaged ones GDCM ends the process.
        options["decoding_plugin"] = "pillow"
    elif syntax.is_encapsulated:
        require_sound_header(stream)
    if syntax in LOSSLESS_JPEG:
        dataset.PlanarConfiguration = 0  # GDCM decodes pixel by pixel, the only order of JPEG (PS3.5, 8.2.1).
        options["bits_stored"] = dataset.BitsAllocated  # or GDCM would clear the upper bits
    dataset.pixel_array_options(**options)
    pixels = dataset.pixel_array
    if syntax in LOSSLESS_JPEG:
        require_all_pixels(pixels, stream, dataset)
    return pixels


def _decode_eight_bits(stream: bytes, dataset: Any) -> Array:
    """Decode a JPEG of 8 bits by libjpeg-turbo, as GDCM ends the process on some damaged ones."""
    syntax, photometric = dataset.file_meta.TransferSyntaxUID, dataset.PhotometricInterpretation
    if dataset.BitsStored > 8 or dataset.get("PixelRepresentation"):
        raise UnsupportedDicomError(
            f"pixels of {dataset.BitsStored} bits in the transfer syntax {syntax.name} ({syntax}); expected 8 without "
            "sign, or Explicit VR Little Endian, as `dcmdjpeg IN OUT` of DCMTK writes it"
        )
    jpeg.read_header(io.BytesIO(stream))
    if photometric == "RGB":  # libjpeg would guess YCbCr; a marker that the image has itself overrides this one.
        stream = SOI + ADOBE_RGB + stream[2:]
    return np.asarray(jpeg.decode(stream, "RGB" if photometric in COLOUR else "L"))


def _parse(data: bytes) -> Any:
    """Read a file up to its pixels; what follows them, such as padding, is ignored.

    Raises:
        ImageError: The file ends before its pixels do.
    """
    lengths: list[int] = []  # of the pixels, as stated

    def stop(tag: int, _: Any, length: int) -> bool:
        if lengths:
            return True
        if tag == PIXEL_DATA:
            lengths.append(length)
        return False

    dataset = read_partial(io.BytesIO(data), stop_when=stop)
    # An enhanced object states the transformations of its frame in functional groups (PS3.3, C.7.6.16).
    for shared_or_own, macro in product(("Shared", "PerFrame"), MACROS):
        for group in dataset.get(f"{shared_or_own}FunctionalGroupsSequence") or ():
            for item in group.get(f"{macro}Sequence") or ():
                dataset.update(item)
    pixels = dataset.get_item(PIXEL_DATA)
    if lengths:
        is_truncated = pixels is None or (lengths[0] != UNDEFINED and len(pixels.value or b"") < lengths[0])
    else:
        other_pixels = ("FloatPixelData", "DoubleFloatPixelData", "PixelDataProviderURL")
        has_other = any(name in dataset for name in other_pixels)
        kind = UID(dataset.file_meta.get("MediaStorageSOPClassUID") or "").name or "Image Storage"
        is_truncated = not has_other and ("Image Storage" in kind or any(name in dataset for name in DESCRIPTION))
    if is_truncated:
        or_none = "" if lengths else ", or has none"
        raise ImageError("truncated", f"a DICOM image that ends before its pixels do{or_none}")
    return dataset


def _refuse_bomb(data: bytes, max_megapixels: float) -> None:
    """Refuse a deflated file that inflates too far, or is cut off: pydicom would inflate it whole."""
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
    """Refuse what is not one image for display, of a size and a transfer syntax that can be read."""
    if not dataset.get("PixelData"):
        kind = dataset.get("Modality") or "unnamed"
        raise UnsupportedDicomError(f"an object of modality {kind} without integer pixels; expected a radiograph")
    if (frames := read_number(dataset, "NumberOfFrames", 1)) > 1:
        raise UnsupportedDicomError(f"{frames:g} frames; expected one")
    photometric = dataset.get("PhotometricInterpretation") or "none"
    if photometric not in GREY + COLOUR:
        raise UnsupportedDicomError(f"photometric interpretation {photometric}; expected {', '.join(GREY + COLOUR)}")
    for keyword, value, *interpretations in NOT_FOR_DISPLAY:
        if photometric in interpretations and value in read_codes(dataset, keyword):
            raise UnsupportedDicomError(f"a {keyword} of {value}, which {photometric} pixels for display do not have")
    if dataset.get("PresentationLUTSequence"):
        raise UnsupportedDicomError("a PresentationLUTSequence, which pixels for display do not have; expected none")
    if "TransferSyntaxUID" not in dataset.file_meta:
        raise UnsupportedDicomError("no TransferSyntaxUID; expected one, as pixels cannot be decoded without it")
    if (syntax := dataset.file_meta.TransferSyntaxUID) not in SYNTAXES:
        raise UnsupportedDicomError(
            f"the transfer syntax {syntax.name} ({syntax}); expected Explicit VR Little Endian or another supported one"
        )
    _refuse_size(dataset, max_megapixels)


def _refuse_size(dataset: Any, max_megapixels: float) -> None:
    """Refuse samples, rows and columns that contradict the colours or the bytes, or are too many."""
    photometric = dataset.PhotometricInterpretation
    width, height, samples = (int(read_number(dataset, name)) for name in ("Columns", "Rows", "SamplesPerPixel"))
    is_colour = photometric in COLOUR
    if samples != 1 + 2 * is_colour or (is_colour and read_number(dataset, "PixelRepresentation", 0)):
        raise UnsupportedDicomError(
            f"{samples} samples per pixel with the photometric interpretation {photometric}; expected 3 of colour "
            "without sign, or 1 of grey"
        )
    if not width or not height:
        raise UnsupportedDicomError(f"{width} x {height} pixels; expected an image")
    across, down = square_size((width, height), read_pixel_aspect(dataset))
    if across * down > max_megapixels * 1e6:
        raise UnsupportedDicomError(f"{across} x {down} pixels; at most {max_megapixels:g} megapixels are read")
    if not dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        expected = (width * height * samples * int(read_number(dataset, "BitsAllocated")) + 7) // 8
        rest = dataset.PixelData[expected:]  # More than a row, or anything but padding, shows another size.
        if len(rest) > 1 and (len(rest) * height > expected or rest.count(rest[:1]) < len(rest)):
            raise UnsupportedDicomError(
                f"{len(dataset.PixelData):,} bytes of pixels; one image of {width} x {height} has {expected:,}"
            )
