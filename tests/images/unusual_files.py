"""Files of unusual kinds, built in memory from one phantom: each with its pixels, or the reason for its refusal."""

import io
import re
import struct
import tempfile
import zlib
from collections.abc import Callable, Iterator
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageCms
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate, encapsulate_extended, generate_frames
from pydicom.uid import (
    BasicTextSRStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    RLELossless,
)

from chest_xray.core.types import Array
from chest_xray.images.dicom_display import EDGES
from tests.builders import encode
from tests.dicom_files import compress, make_dataset, write

HEIGHT, WIDTH = 72, 96


def _draw_base() -> Array:
    """Two dark lungs in a bright chest, with a different shade in each corner: no turn of it looks like another."""
    y, x = np.mgrid[-1 : 1 : HEIGHT * 1j, -1 : 1 : WIDTH * 1j]
    grey = 150 + 60 * np.exp(-((x - 0.05) ** 2) * 30) + 30 * y - 20 * x
    for side in (-0.5, 0.5):
        grey -= 150 / (1 + np.exp((np.hypot((x - side) / 0.35, y / 0.7) - 1) * 8))
    grey = (grey - grey.min()) / np.ptp(grey) * 255
    return np.asarray(grey.round(), np.uint8)


BASE = _draw_base()
PADDED = BASE.copy()
PADDED[:, :20] = PADDED[60:] = 0
INSIDE = np.zeros(BASE.shape, bool)
INSIDE[:60, 20:] = True


class Case(NamedTuple):
    """A file; what it shows, or words of the reason why it is refused."""

    name: str
    build: Callable[[], bytes]
    expected: Array | str


def case(name: str, expected: Array | str, build: Callable[..., bytes], *arguments: Any, **options: Any) -> Case:
    """A case whose file is built from these arguments when it is tested."""
    return Case(name, partial(build, *arguments, **options), expected)


def _deep(bits: int) -> Array:
    """The phantom at a number of bits, uint16."""
    return np.asarray(np.round(BASE / 255 * (2**bits - 1)), np.uint16)


# DICOM


def _dicom(pixels: Array | None = None, *, bits: int | None = 12, window: Any = (2048, 4096), **values: Any) -> Dataset:
    if window:
        values = {"WindowCenter": window[0], "WindowWidth": window[1], **values}
    return make_dataset(_deep(12) if pixels is None else pixels, bits=bits, **values)


def _dicom_file(pixels: Array | None = None, **values: Any) -> bytes:
    return write(_dicom(pixels, **values))


def _patched(old: str, new: str, **values: Any) -> bytes:
    """A file with a text that pydicom would not write in place of one as long."""
    data = _dicom_file(**values)
    assert data.count(old.encode()) == 1
    return data.replace(old.encode(), new.encode().ljust(len(old)))


def _table(entries: Array, first: int, bits: int, vr: str = "US") -> Dataset:
    table = Dataset()
    table.add_new("LUTDescriptor", vr, [len(entries) % 65536, first, bits])
    table.add_new("LUTData", "OW", entries.tobytes() + bytes(entries.nbytes % 2))
    return table


def _voi_tables() -> Iterator[Case]:
    line = np.linspace(0, 1, 4096)
    of_16, of_others = [(16, held) for held in range(12, 17)], [(14, 12), (10, 12), (8, 12), (15, 10)]
    for stated, held in ((12, 12), *of_16, *of_others):
        table = _table(np.round(line * (2**held - 1)).astype("<u2"), 0, stated)
        yield case(f"LUT of {stated} bits holds {held}", BASE, _dicom_file, window=None, VOILUTSequence=[table])
    packed = _table(np.round(np.linspace(0, 255, 4096)).astype(np.uint8), 0, 8)
    yield case("LUT of 8 bits, packed", BASE, _dicom_file, window=None, VOILUTSequence=[packed])
    signed = _deep(12).astype(np.int16) - 2048
    for first, vr in ((-2048, "SS"), (63488, "US")):
        table = _table(np.round(line * 4095).astype("<u2"), first, 12, vr)
        yield case(f"LUT from {first}", BASE, _dicom_file, signed, bits=16, window=None, VOILUTSequence=[table])
        yield case(f"modality LUT from {first}", BASE, _dicom_file, signed, bits=16, ModalityLUTSequence=[table])
    eight: dict[str, Any] = {"ModalityLUTSequence": [_table(np.round(np.linspace(0, 16383, 256)).astype("<u2"), 0, 16)]}
    yield case("modality LUT of 16 bits holds 14", BASE, lambda: write(make_dataset(BASE, **eight)))
    inverse = _table(np.round((1 - line) * 4095).astype("<u2"), -4095 & 0xFFFF, 12)
    values = {"window": None, "RescaleSlope": -1, "RescaleIntercept": 0, "VOILUTSequence": [inverse]}
    yield case("negative slope before a LUT", BASE, _dicom_file, **values)
    for keyword in ("VOILUTSequence", "ModalityLUTSequence"):
        yield case(f"{keyword} empty", BASE, _dicom_file, **{keyword: []})
        yield case(f"{keyword} with an empty item", BASE, _dicom_file, **{keyword: [Dataset()]})
    short = _table(np.zeros(10, "<u2"), 0, 12)
    short.LUTDescriptor = [4096, 0, 12]
    refusal = "lookup table of 4096 entries that holds 10"
    yield case("LUT cut off", refusal, _dicom_file, VOILUTSequence=[short])


MONOCHROME1 = {"PhotometricInterpretation": "MONOCHROME1"}
WINDOWS: dict[str, dict[str, Any]] = {
    "width 0": {"WindowWidth": 0},
    "width negative": {"WindowWidth": -4096},
    "width below 1": {"WindowWidth": 0.5},
    "width empty": {"WindowWidth": None},
    "centre empty": {"WindowCenter": None},
    "both empty": {"WindowCenter": None, "WindowWidth": None},
    "all widths 0": {"WindowCenter": [2048, 100], "WindowWidth": [0, 0]},
    "several": {"WindowCenter": [2048, 100], "WindowWidth": [4096, 10]},
    "first without meaning": {"WindowCenter": [100, 2048], "WindowWidth": [0, 4096]},
    "more centres than widths": {"WindowCenter": [2048, 100], "WindowWidth": 4096},
    "function empty": {"VOILUTFunction": ""},
    "function None": {"VOILUTFunction": None},
    "exact": {"VOILUTFunction": "LINEAR_EXACT"},
    "inverted by the slope": {"RescaleSlope": -1, "RescaleIntercept": 4095, **MONOCHROME1},
    "of halved values": {"RescaleSlope": 0.5, "RescaleIntercept": -7, "WindowCenter": 1017, "WindowWidth": 2048},
    "slope empty": {"RescaleSlope": None, "RescaleIntercept": 0},
    "intercept empty": {"RescaleSlope": 1, "RescaleIntercept": None},
    "slope and intercept empty": {"RescaleSlope": None, "RescaleIntercept": None},
    "frames empty": {"NumberOfFrames": None},
    "no frames": {"NumberOfFrames": 0},
}


def _windows() -> Iterator[Case]:
    for name, values in WINDOWS.items():
        yield case(f"window: {name}", BASE, _dicom_file, **values)
    for slope, intercept, expected in ((-1, 4095, 255 - BASE), (-1, 0, 255 - BASE), (2, -500, BASE)):
        values = {"RescaleSlope": slope, "RescaleIntercept": intercept}
        low = min(intercept, slope * 4095 + intercept)
        window = (low + abs(slope) * 2048, abs(slope) * 4095 + 1)
        yield case(f"window after slope {slope}, {intercept}", expected, _dicom_file, window=window, **values)
        yield case(f"no window after slope {slope}, {intercept}", expected, _dicom_file, window=None, **values)
    for text in ("NaN", "inf", "-0", ""):
        yield case(f"window width {text!r}", BASE, _patched, "77.7777 ", text, window=(2048, "77.7777"))
    refusal = "WindowWidth that is not a number"
    yield case("window width 'wide'", refusal, _patched, "77.7777 ", "wide", window=(2048, "77.7777"))
    for text in ("0", "NaN", "inf", "-inf", "0.0"):
        values = {"RescaleSlope": "77.7777", "RescaleIntercept": 0}
        yield case(f"slope {text}", "RescaleSlope of", _patched, "77.7777 ", text, **values)
    yield case("slope not a number", "not a number", _patched, "77.7777 ", "1,5", RescaleSlope="77.7777")
    yield case("function unknown", "window with the function CUBIC", _dicom_file, VOILUTFunction="CUBIC")
    exact = "LINEAR_EXACT"
    yield case("function in small letters", BASE, _patched, exact, exact.lower(), VOILUTFunction=exact)


def _bits() -> Iterator[Case]:
    for stored, high in ((12, 11), (12, 15), (12, 13), (14, 15), (10, 15), (8, 15), (8, 11)):
        for kind in ("unsigned", "signed"):
            pixels = _deep(stored).astype(np.int32) - (2 ** (stored - 1) if kind == "signed" else 0)
            cells = (pixels << high + 1 - stored).astype(np.int16 if kind == "signed" else np.uint16)
            for how in ("native", "RLE")[: 1 + (stored > 8)]:  # pydicom packs no 8 bits in 16.
                build = _run_lengths if how == "RLE" else _dicom_file
                name = f"{stored} bits below {high}, {kind}, {how}"
                yield case(name, BASE, build, cells, bits=stored, window=None, HighBit=high)
    wide = (_deep(14) << 2).astype(np.uint16)
    values: dict[str, Any] = {"bits": 14, "HighBit": 15, "window": (32768, 65536)}
    yield case("window for the cells", "a window", _dicom_file, wide, **values)
    partly = np.round(_deep(12) * 0.9).astype(np.int16)  # Near one end of the range, and not at the other.
    unsigned = {"PixelRepresentation": 0}
    for name, cells, values in (
        ("unsigned", partly, unsigned),
        ("signed", partly - 2048, {}),
        ("MONOCHROME1", 4095 - partly, MONOCHROME1 | unsigned),
        ("signed MONOCHROME1", 2047 - partly, MONOCHROME1),
        ("rescaled", partly, {"RescaleSlope": 2, "RescaleIntercept": -1024, **unsigned}),
    ):
        yield case(f"no window, most of the range, {name}", BASE * 0.9, _dicom_file, cells, window=None, **values)
    low = (_deep(12).astype(np.int16) - 2048) & 0x0FFF
    yield case("sign not repeated", BASE, _dicom_file, low.astype(np.int16), window=None)
    yield case("HighBit 15, values below", "leave out; expected only those", _dicom_file, HighBit=15)
    yield case("values above the bits stored", "leave out; expected only those", _dicom_file, _deep(14))
    for values in ({"HighBit": 16}, {"HighBit": 10}, {"BitsStored": 17}, {"BitsStored": 0}):
        refusal = "which disagree|[Bb]its [Ss]tored"
        yield case(f"bits that disagree: {values}", refusal, _dicom_file, **values)
    overlay = _deep(12) | np.uint16(0x8000) * (np.arange(WIDTH) > 40).astype(np.uint16)
    yield case("overlay in an upper bit", BASE, _with_overlay, overlay)


def _run_lengths(pixels: Array | None = None, **values: Any) -> bytes:
    return write(compress(_dicom(pixels, **values), RLELossless))


def _with_overlay(cells: Array) -> bytes:
    dataset = _dicom(cells)
    dataset.add_new((0x6000, 0x0100), "US", 16)
    dataset.add_new((0x6000, 0x0102), "US", 15)
    return write(dataset)


def _padded(cells: Array, first: int, last: int | None = None, vr: str = "US", **values: Any) -> bytes:
    """A file that declares a value, or the values from the first to the last, to be padding."""
    dataset = _dicom(cells, **values)
    dataset.add_new("PixelPaddingValue", vr, first)
    if last is not None:
        dataset.add_new("PixelPaddingRangeLimit", vr, last)
    return write(dataset)


def _padding() -> Iterator[Case]:
    stretched = np.where(INSIDE, (BASE - float(BASE[INSIDE].min())) / np.ptp(BASE[INSIDE].astype(float)) * 255, 0)
    bright = 1000 + BASE.astype(int) * 8
    for dtype, value, vr, stated in (
        *((np.uint16, 0, "US", 0), (np.uint16, 65535, "US", 65535), (np.uint16, 63536, "SS", -2000)),
        *((np.int16, -2000, "SS", -2000), (np.int16, -2000, "US", 63536), (np.int16, -32768, "SS", -32768)),
    ):
        for photometric, shown in (("MONOCHROME2", bright), ("MONOCHROME1", 4040 - bright)):
            cells = np.where(INSIDE, shown, value).astype(dtype)
            for window in (None, (2020, 2041)):
                name = f"padding {stated} ({vr}) in {dtype.__name__}, {photometric}, window {window}"
                values = {"vr": vr, "bits": 16, "window": window, "PhotometricInterpretation": photometric}
                yield case(name, stretched if window is None else PADDED, _padded, cells, stated, **values)
    noise = np.random.default_rng(0).integers(0, 501, BASE.shape)
    for first, last in ((0, 500), (500, 0)):
        cells = np.where(INSIDE, bright, noise).astype(np.uint16)
        yield case(f"padding from {first} to {last}", stretched, _padded, cells, first, last, bits=16, window=None)
    for dtype, value, vr, stated in ((np.uint16, 63536, "US", 63536), (np.int16, -32768, "SS", -32768)):
        cells = np.where(INSIDE, _deep(12) >> (dtype is np.int16), value).astype(dtype)
        window = (2048, 4096) if dtype is np.uint16 else (1024, 2048)
        yield case(f"padding {stated} beyond the bits stored", PADDED, _padded, cells, stated, vr=vr, window=window)
    zeros = np.zeros_like(_deep(12))
    yield case("nothing but padding", "every pixel is padding", _padded, zeros, 0, window=None)
    yield case("padding empty", BASE, _dicom_file, PixelPaddingValue=None)


def transcode(data: bytes, name: str) -> bytes:
    """Compress a DICOM file by GDCM to one of its transfer syntaxes."""
    import gdcm  # type: ignore[import-untyped]

    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "a", Path(folder) / "b"
        source.write_bytes(data)
        reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
        reader.SetFileName(str(source))
        assert reader.Read()
        change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, name)))
        change.SetInput(reader.GetImage())
        assert change.Change()
        writer.SetFileName(str(target))
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        assert writer.Write()
        return target.read_bytes()


def _cut_stream(build: Callable[[], bytes], share: float, end: bytes) -> bytes:
    dataset = dcmread(io.BytesIO(build()))
    stream = next(generate_frames(dataset.PixelData, number_of_frames=1))
    cut = stream[: int(len(stream) * share)] + end
    dataset.PixelData = encapsulate([cut + bytes(len(cut) % 2)])
    return write(dataset)


def _jpeg_in_dicom(build: Callable[[], bytes] | None = None, **values: Any) -> bytes:
    dataset = make_dataset(BASE, **values)
    dataset.PixelData = encapsulate([build() if build else encode(BASE, "JPEG", quality=95)])
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    return write(dataset)


def _in_syntax(syntax: Any) -> bytes:
    dataset = _dicom()
    dataset.file_meta.TransferSyntaxUID = syntax
    if syntax == ExplicitVRBigEndian:
        dataset.PixelData = _deep(12).astype(">u2").tobytes()
    return write(dataset)


def _structures() -> Iterator[Case]:
    streams: dict[str, Callable[[], bytes]] = {"JPEG": _jpeg_in_dicom, "RLE": _run_lengths}
    for name in ("JPEGLosslessProcess14", "JPEGLosslessProcess14_1", "JPEGLSLossless", "JPEG2000Lossless"):
        streams[name] = partial(_transcoded, name)
    for name, build in streams.items():
        yield case(f"{name} whole", BASE, build)
        for share, end in product((0.1, 0.5, 0.9, 0.97), (b"", b"\xff\xd9")):
            refusal = "truncated|undecodable"
            yield case(f"{name} stream cut at {share}, end {end.hex()}", refusal, _cut_stream, build, share, end)
        for share in (0.6, 0.95):
            yield case(f"{name} file cut at {share}", "truncated", _cut, build, share)
    # GDCM would end the process on these.
    for name, old, new in (
        ("JPEGLosslessProcess14", b"\xff\xc3\0\x0b\x10", b"\xff\xc3\0\x0b\x3d"),
        ("JPEGLosslessProcess14", b"\xff\xc4\0", b"\xae\x53\0"),
        ("JPEGLosslessProcess14_1", b"\xff\xc4\0", b"\xae\x53\0"),
        ("JPEGLSLossless", b"\xff\xf7\0\x0b\x10", b"\xff\xf7\0\x0b\x4f"),
    ):
        refusal = "bytes between segments|image of .* bits in a file of 16"
        yield case(f"{name} with {new.hex()} for {old.hex()}", refusal, _replace, streams[name], old, new)
    # libjpeg-turbo would write beyond its memory.
    yield case("lossless JPEG said to be baseline", "lossless .*header SOF3", _jpeg_in_dicom, _lossless_jpeg)
    for syntax in (ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian):
        yield case(f"{syntax.name}", BASE, _in_syntax, syntax)
        for share in (0.5, 0.98):
            yield case(f"{syntax.name} cut at {share}", "truncated", _cut, partial(_in_syntax, syntax), share)
    for extra in (b"\0", bytes(7), bytes(8), bytes(1000), b"\xff" * 50, b"trailing text"):
        yield case(f"DICOM and {len(extra)} bytes {extra[:2]!r}", BASE, _followed, _dicom_file, extra)
    for share in (0.1, 0.3, 0.6, 0.9, 0.999):
        yield case(f"DICOM cut at {share}", "truncated", _cut, _dicom_file, share)
    before = _dicom_file().index(b"\x28\0\x02\0US")
    for size in (200, before - 9, before, before + 30):
        yield case(f"DICOM cut after {size} bytes", "truncated", lambda size=size: _dicom_file()[:size])
    yield case("a report in DICOM", "without integer pixels", _report)
    refusal = "DICOM without its prefix"
    for syntax, name in (
        (ImplicitVRLittleEndian, ImplicitVRLittleEndian.name),
        (ExplicitVRLittleEndian, ExplicitVRLittleEndian.name),
        (ExplicitVRBigEndian, "big-endian"),
    ):
        yield case(f"data set alone, {name}", refusal, _without_prefix, syntax)
    yield case("prefix without preamble", refusal, lambda: _dicom_file()[128:])
    yield case("meta information alone", refusal, lambda: _dicom_file()[132:])
    for uid in ("1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.110", "1.2.840.113619.5.2"):  # HTJ2K, JPEG XL, private
        yield case(f"transfer syntax {uid}", "transfer syntax", _renamed, uid)
    twice = np.concatenate([_deep(12), _deep(12)])
    yield case("two pictures in one frame", "one image of 96 x 72 has", _dicom_file, twice, Rows=HEIGHT)
    yield case("two frames", "2 frames; expected one", _dicom_file, twice, Rows=HEIGHT, NumberOfFrames=2)
    yield case("three samples of grey", "3 samples per pixel", _dicom_file, SamplesPerPixel=3)
    for bits in (8, 12, 14, 16):
        pixels = np.repeat(_deep(bits)[..., None], 3, axis=2)
        yield case(f"RGB of 16 bits holds {bits}", BASE, _dicom_file, pixels, bits=16, window=None, **RGB)
    for name, profile, expected in _profiles():
        colours = make_dataset(
            np.repeat(BASE[..., None], 3, axis=2), **RGB, ICCProfile=profile + bytes(len(profile) % 2)
        )
        yield case(f"DICOM with a profile of {name}", expected, partial(write, colours))


# A picture of a quarter of the range by its window, and what elements of DICOM files may not, or may, state beside it.
FAINT = 255 * ((_deep(12) - 2047.5) / 8191 + 0.5)
STATED: tuple[tuple[str, Array | str, dict[str, Any]], ...] = (
    ("MONOCHROME1 and INVERSE", 255 - BASE, {"PresentationLUTShape": "INVERSE", **MONOCHROME1}),
    ("MONOCHROME2 and IDENTITY", BASE, {"PresentationLUTShape": "IDENTITY"}),
    ("MONOCHROME1 and IDENTITY", "for display", {"PresentationLUTShape": "IDENTITY", **MONOCHROME1}),
    ("MONOCHROME2 and INVERSE", "for display", {"PresentationLUTShape": "INVERSE"}),
    ("pixels for presentation", BASE, {"PresentationIntentType": "FOR PRESENTATION"}),
    ("pixels for processing", "for display", {"PresentationIntentType": "FOR PROCESSING"}),
    ("an object for processing", "for display", {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.1.1"}),
    ("a presentation LUT", "for display", {"PresentationLUTSequence": [_table(np.arange(4095, -1, -1), 0, 12)]}),
    ("fewer rows than pixels have", "one image of 96 x 60 has", {"Rows": 60}),
    ("fewer columns than pixels have", "one image of 90 x 72 has", {"Columns": 90}),
    ("more rows than pixels have", "less than expected", {"Rows": 80}),
    ("no pixels", "without integer pixels", {"PixelData": b""}),
    ("padding after the pixels", BASE, {"PixelData": _deep(12).tobytes() + bytes(100)}),
    ("more than a row after the pixels", "one image of", {"PixelData": _deep(12).tobytes() + bytes(200)}),
    ("something after the pixels", "one image of", {"PixelData": _deep(12).tobytes() + bytes(range(20))}),
)


def _contradictions() -> Iterator[Case]:
    for name, expected, values in STATED:
        yield case(f"DICOM with {name}", expected, _dicom_file, **values)
    for groups, (macro, expected, values) in product(
        ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
        (
            ("FrameVOILUTSequence", FAINT, {"WindowCenter": 2048, "WindowWidth": 8192}),
            ("PixelValueTransformationSequence", 255 - BASE, {"RescaleSlope": -1, "RescaleIntercept": 4095}),
        ),
    ):
        macros = {macro: [_item(**values)]}
        yield case(f"{macro} in {groups}", expected, _dicom_file, window=None, **{groups: [_item(**macros)]})
    for offsets in ({}, {"has_bot": False}, {"extended": True}):
        for parts in (1, 3):
            build = partial(_in_fragments, parts=parts, **offsets)
            yield case(f"JPEG in {parts} fragments, {offsets}", BASE, build, 1)
        yield case(f"two JPEG in one frame, {offsets}", "several compressed images", _in_fragments, 2, **offsets)
    pair = partial(_followed, partial(encode, BASE, "JPEG", quality=95), encode(255 - BASE, "JPEG"))
    yield case("two JPEG in one fragment", "several compressed images", _jpeg_in_dicom, pair)
    yield case("two RLE in one frame", "several compressed images", _two_run_lengths)
    for name in ("JPEG", "JPEGLosslessProcess14_1", "JPEGLSLossless", "JPEG2000Lossless"):
        for samples, photometric in ((3, "RGB"), (1, "MONOCHROME2")):
            values = {"SamplesPerPixel": samples, "PhotometricInterpretation": photometric, "PlanarConfiguration": 0}
            build = partial(_restated, name, 4 - samples, **values)
            refusal = f"of {4 - samples} samples in a file"  # GDCM would end the process on some.
            yield case(f"{name} of {4 - samples} samples for {photometric}", refusal, build)
    for name in ("JPEGLosslessProcess14", "JPEGLosslessProcess14_1"):
        values = {"BitsStored": 12, "HighBit": 11}
        yield case(f"{name} of 14 bits for 12", "leave out", _restated, name, 1, _deep(14), **values)
    values = {"BitsAllocated": 16, "BitsStored": 12, "HighBit": 11, "PixelRepresentation": 1}
    yield case("8 bits for 12 and a sign", "image of 8 bits in a file", _restated, "JPEGLosslessProcess14", 1, **values)
    values = {"BitsAllocated": 16, "BitsStored": 8, "HighBit": 7}
    yield case("JPEG of 8 bits in 16", BASE, _restated, "JPEG", 1, **values)
    yield case("JPEG of 8 bits with a sign", "expected 8 without sign", _restated, "JPEG", 1, PixelRepresentation=1)
    values = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0}
    yield case("JPEG of RGB without a marker", BASE, _jpeg_in_dicom, _bare_rgb, **values)
    signed = np.repeat(_deep(12)[..., None], 3, axis=2).astype(np.int16) - 2048
    yield case("RGB with a sign", "3 of colour without sign", _dicom_file, signed, **values)


def _item(**values: Any) -> Dataset:
    item = Dataset()
    for name, value in values.items():
        setattr(item, name, value)
    return item


def _in_fragments(num_images: int, parts: int = 1, *, extended: bool = False, **options: Any) -> bytes:
    dataset = dcmread(io.BytesIO(_jpeg_in_dicom()))
    streams = [encode(grey, "JPEG", quality=95) for grey in (BASE, 255 - BASE)[:num_images]]
    dataset.PixelData = encapsulate(streams, fragments_per_frame=parts, **options)
    if extended:
        streams = [each + bytes(len(each) % 2) for each in streams]
        dataset.PixelData, offsets, lengths = encapsulate_extended(streams)
        dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths = offsets, lengths
    return write(dataset)


def _two_run_lengths() -> bytes:
    dataset = dcmread(io.BytesIO(_run_lengths()))
    dataset.PixelData = encapsulate(2 * list(generate_frames(dataset.PixelData, number_of_frames=1)))
    return write(dataset)


def _restated(name: str, samples: int, pixels: Array = BASE, **values: Any) -> bytes:
    """A compressed file whose header then states something else."""
    if samples == 3:
        colour: dict[str, Any] = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0}
        dataset = make_dataset(np.repeat(pixels[..., None], 3, axis=2), **colour)
    else:
        dataset = make_dataset(pixels)
    if name == "JPEG":
        data = _jpeg_in_dicom(partial(encode, BASE if samples == 1 else np.repeat(BASE[..., None], 3, axis=2), "JPEG"))
    else:
        data = transcode(write(dataset), name)
    dataset = dcmread(io.BytesIO(data))
    dataset.update(_item(**values))
    return write(dataset)


def _bare_rgb() -> bytes:
    """A JPEG of red, green and blue whose components are numbered as those of YCbCr are, without Adobe's marker."""
    data = encode(np.repeat(BASE[..., None], 3, axis=2), "JPEG", quality=95, subsampling=0, keep_rgb=True)
    start = data.index(b"\xff\xee")
    data = data[:start] + data[start + 16 :]
    for marker, first, step in ((b"\xff\xc0", 10, 3), (b"\xff\xda", 5, 2)):
        for component in range(3):
            at = data.index(marker) + first + step * component
            data = data[:at] + bytes([component + 1]) + data[at + 1 :]
    return data


@cache
def _transcoded(name: str) -> bytes:
    return transcode(_dicom_file(), name)


def _report() -> bytes:
    dataset = _dicom()
    dataset.SOPClassUID = BasicTextSRStorage
    for keyword in ("PixelData", "Rows", "Columns", "BitsAllocated"):
        delattr(dataset, keyword)
    return write(dataset)


def _renamed(syntax: str) -> bytes:
    dataset = dcmread(io.BytesIO(_transcoded("JPEG2000Lossless")))
    dataset.file_meta.TransferSyntaxUID = HTJ2KLossless  # pydicom does not write all others.
    uid = syntax.encode().ljust(len(HTJ2KLossless), b"\0")
    return _replace(partial(write, dataset), HTJ2KLossless.encode(), uid)


def _lossless_jpeg() -> bytes:
    """A JPEG of the kind SOF3, which is one in DICOM files alone."""
    dataset = dcmread(io.BytesIO(transcode(write(make_dataset(BASE)), "JPEGLosslessProcess14_1")))
    return next(generate_frames(dataset.PixelData, number_of_frames=1))


def _replace(build: Callable[[], bytes], old: bytes, new: bytes) -> bytes:
    data = build()
    assert old in data
    return data.replace(old, new)


def _without_prefix(syntax: Any) -> bytes:
    data = _in_syntax(syntax)
    return data[144 + int.from_bytes(data[140:144], "little") :]


def _cut(build: Callable[[], bytes], share: float) -> bytes:
    data = build()
    return data[: int(len(data) * share)]


def _followed(build: Callable[[], bytes], extra: bytes) -> bytes:
    return build() + extra


# What a header says of the part, the shape and the direction of the picture

Elements = dict[str, Any]


def _edges(*places: int | None) -> Elements:
    """The left, right, upper and lower edge of a rectangular shutter."""
    return {f"Shutter{edge}Edge": place for edge, place in zip(EDGES, places, strict=True)}


RECTANGLE = _edges(21, WIDTH, 1, 60)
CIRCLE: Elements = {"CenterOfCircularShutter": [36, 48], "RadiusOfCircularShutter": 30}
CORNER: Elements = {"VerticesOfThePolygonalShutter": [1, 1, 1, WIDTH, 36, WIDTH, 36, 48, HEIGHT, 48, HEIGHT, 1]}
RGB: Elements = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0}
ROWS, COLUMNS = np.mgrid[:HEIGHT, :WIDTH]
IN_CIRCLE = (ROWS - 35) ** 2 + (COLUMNS - 47) ** 2 <= 30**2
IN_ELLIPSE = (2 * (ROWS - 35)) ** 2 + (COLUMNS - 47) ** 2 <= 30**2
IN_CORNER = (ROWS < 36) | (COLUMNS < 48)


def _shutters() -> Iterator[Case]:
    values: Elements
    for shape, visible, values in (
        ("RECTANGULAR", INSIDE, RECTANGLE),
        ("CIRCULAR", IN_CIRCLE, CIRCLE),
        ("CIRCULAR", IN_ELLIPSE, CIRCLE | {"PixelSpacing": [0.4, 0.2]}),
        ("POLYGONAL", IN_CORNER, CORNER),
        ("POLYGONAL", INSIDE, {"VerticesOfThePolygonalShutter": [1, 21, 1, WIDTH, 60, WIDTH, 60, 21]}),
        (["RECTANGULAR", "CIRCULAR"], INSIDE & IN_CIRCLE, RECTANGLE | CIRCLE),
        (["POLYGONAL", "RECTANGULAR", "CIRCULAR"], INSIDE & IN_CIRCLE & IN_CORNER, RECTANGLE | CIRCLE | CORNER),
    ):
        for shade, value in ((0, None), (0, 0), (255, 65535)):
            stated = {"ShutterShape": shape, "ShutterPresentationValue": value, **values}
            yield case(f"shutter {stated}", np.where(visible, BASE, shade), _dicom_file, **stated)
    grey: Elements = {"ShutterShape": "RECTANGULAR", **RECTANGLE, "ShutterPresentationValue": 0x8080}
    hidden = np.where(INSIDE, BASE, 128)
    yield case("shutter of MONOCHROME1", np.where(INSIDE, 255 - BASE, 128), _dicom_file, **grey, **MONOCHROME1)
    yield case("shutter of RGB", hidden, lambda: write(make_dataset(np.repeat(BASE[..., None], 3, 2), **RGB, **grey)))
    macro = {"SharedFunctionalGroupsSequence": [_item(FrameDisplayShutterSequence=[_item(**grey)])]}
    yield case("shutter of a frame", hidden, _dicom_file, **macro)
    for rows, bitmap in ((HEIGHT, hidden), (HEIGHT - 1, "cannot be applied")):
        yield case(f"shutter BITMAP of {rows} rows", bitmap, _with_bitmap_shutter, rows)
    small: Elements = {"ShutterShape": "RECTANGULAR", **RECTANGLE}
    for text in (" RECTANGULAR", "rectangular "):
        yield case(f"shutter of the shape {text!r}", PADDED, _patched, "RECTANGULAR ", text, **small)
    whole, far = _edges(1, WIDTH, 1, HEIGHT), {"CenterOfCircularShutter": [900, 900], "RadiusOfCircularShutter": 30}
    for name, values in (
        ("of the whole", {"ShutterShape": "RECTANGULAR", **whole}),
        ("beyond the whole", {"ShutterShape": "RECTANGULAR", **_edges(-9, 999, 0, 999)}),
        ("of a wide circle", {"ShutterShape": "CIRCULAR", **CIRCLE, "RadiusOfCircularShutter": 99}),
        ("without a shape", {"ShutterShape": None, **RECTANGLE}),
        ("of a value alone", {"ShutterPresentationValue": 65535}),
        ("that is a collimator", {"CollimatorShape": "RECTANGULAR", "CollimatorLeftVerticalEdge": 21}),
    ):
        yield case(f"shutter {name}", BASE, _dicom_file, **values)
    for expected, values in (
        ("hides every pixel", {"ShutterShape": "RECTANGULAR", **_edges(0, 0, 0, 0)}),
        ("hides every pixel", {"ShutterShape": ["RECTANGULAR", "CIRCULAR"], **whole, **far}),
        ("no ShutterUpperHorizontalEdge", {"ShutterShape": "RECTANGULAR", **_edges(1, 90, None, 60)}),
        ("cannot be applied", {"ShutterShape": "CIRCULAR", "RadiusOfCircularShutter": 30}),
        ("cannot be applied", {"ShutterShape": "POLYGONAL", "VerticesOfThePolygonalShutter": [1, 1, 60]}),
        ("cannot be applied", {"ShutterShape": "POLYGONAL"}),
        ("shape STAR", {"ShutterShape": "STAR"}),
        ("no ShutterOverlayGroup", {"ShutterShape": "BITMAP"}),
    ):
        yield case(f"shutter with {values}", expected, _dicom_file, **values)


def _with_bitmap_shutter(rows: int) -> bytes:
    dataset = _dicom(ShutterShape="BITMAP", ShutterOverlayGroup=0x6002, ShutterPresentationValue=0x8080)
    elements = ((0x10, "US", rows), (0x11, "US", WIDTH), (0x40, "CS", "G"), (0x50, "SS", [1, 1]), (0x100, "US", 1))
    for element, vr, value in (*elements, (0x102, "US", 0)):
        dataset.add_new((0x6002, element), vr, value)
    dataset.add_new((0x6002, 0x3000), "OW", np.packbits(~INSIDE[:rows], bitorder="little").tobytes())
    return write(dataset)


def _directions() -> Iterator[Case]:
    flip: Elements = {"FieldOfViewHorizontalFlip": "YES"}  # of the device; PatientOrientation is that of the result
    for expected, values in (
        (BASE[:, ::-1], {"PatientOrientation": ["R", "F"]}),
        (BASE[:, ::-1], {"PatientOrientation": ["RF", "FL"]}),
        (BASE[:, ::-1], {"PatientOrientation": ["R", "F"], **flip}),
        (BASE, {"PatientOrientation": ["L", "F"], **flip}),
        (BASE, flip),
        (BASE, {"PatientOrientation": ["LH", "FR"]}),
        (BASE, {"PatientOrientation": "R"}),
        (BASE, {"PatientOrientation": "RF"}),
        (BASE, {"PatientOrientation": None}),
        *((BASE, {"ViewPosition": view, "PatientOrientation": ["L", "F"]}) for view in ("AP", "PA")),
    ):
        yield case(f"direction {values}", expected, _dicom_file, **values)
    left: Elements = {"PatientOrientation": ["R", "F"], "ShutterShape": "RECTANGULAR"}
    yield case("direction with a shutter", PADDED[:, ::-1], _dicom_file, **left, **RECTANGLE)
    yield case("direction with spaces", BASE[:, ::-1], _patched, "R\\FA", "R\\ F", PatientOrientation=["R", "FA"])
    yield case("turned by 180 degrees", "upside_down", _dicom_file, PatientOrientation=["R", "H"])


NARROW, LOW = (np.asarray(Image.fromarray(BASE).resize(size, Image.Resampling.BOX)) for size in ((48, 72), (96, 36)))
SPACINGS = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing", "PixelAspectRatio")


def _pixel_shapes() -> Iterator[Case]:
    """Files whose pixels are twice as wide or as high as the other way, and files with square ones all the same."""
    for (stored, (down, across)), keyword in product(((NARROW, (1, 2)), (LOW, (2, 1))), SPACINGS):
        yield case(f"{keyword} {down} and {across}", BASE, _square_file, stored, **{keyword: [down, across]})
    measures = _item(PixelMeasuresSequence=[_item(PixelSpacing=[1, 2])])
    yield case("spacing of a frame", BASE, _square_file, NARROW, SharedFunctionalGroupsSequence=[measures])
    for name, values in (
        ("square", {"PixelSpacing": [0.139, 0.139]}),
        ("nearly square", {"PixelSpacing": [0.139, 0.14]}),
        ("square, and a ratio", {"ImagerPixelSpacing": [0.2, 0.2], "PixelAspectRatio": [1, 2]}),
        ("none, and a square ratio", {"PixelSpacing": None, "PixelAspectRatio": [1, 1]}),
        ("0", {"PixelSpacing": [0, 0.1]}),
        ("one value", {"PixelSpacing": 0.3}),
    ):
        yield case(f"spacing {name}", BASE, _square_file, BASE, **values)
    for spacing in ("1e-300\\1e300", "nan\\1", "inf\\1", "-1\\1", "0\\0"):
        build = partial(_patched, "0.333333\\0.111111", spacing, PixelSpacing=["0.333333", "0.111111"])
        yield case(f"spacing {spacing}", BASE, build)
    comma = partial(_patched, "0.3333\\0.1111", "0,3333\\0,1111", PixelSpacing=["0.3333", "0.1111"])
    yield case("spacing with commas", BASE, comma)
    for unit, (x, y, stored) in product(
        (0, 1), ((1, 2, NARROW), (2, 1, LOW), (1, 1, BASE), (99, 100, BASE), (0, 2, BASE))
    ):
        density = struct.pack(">IIB", x * 100, y * 100, unit)
        yield case(f"PNG with pHYs {x} {y} of unit {unit}", BASE, _grey_png, stored, before=chunk(b"pHYs", density))
        jfif = struct.pack(">BHH", unit, x * 30, y * 30)
        yield case(f"JPEG of density {x} {y} of unit {unit}", BASE, _with_density, stored, jfif)
    wide = struct.pack(">IIB", 1, 2, 0)
    yield case("PNG with pHYs of a wrong checksum", BASE, _grey_png, before=chunk(b"pHYs", wide, damaged=True))
    yield case("PNG with pHYs after the rows", BASE, _grey_png, after=chunk(b"pHYs", wide))
    yield case("PNG with pHYs too short", BASE, _grey_png, before=chunk(b"pHYs", wide[:7]))
    turned = partial(_grey_png, np.rot90(NARROW), before=chunk(b"pHYs", struct.pack(">IIB", 2, 1, 0)))
    yield case("PNG with pHYs, turned", BASE, turned, after=chunk(b"eXIf", exif(6)))
    turn = _segment(0xE1, b"Exif\0\0" + exif(6))
    yield case("JPEG of density 2 1, turned", BASE, _with_density, np.rot90(NARROW), b"\0\0\2\0\1", turn)


def _square_file(stored: Array, **values: Any) -> bytes:
    return write(make_dataset(stored, **values))


def _with_density(stored: Array, density: bytes, segments: bytes = b"") -> bytes:
    """A JPEG whose first segment, of JFIF, states unit and densities."""
    data = encode(stored, "JPEG", quality=95)
    return data[:13] + density + data[18:20] + segments + data[20:]


def _run_length_headers() -> Iterator[Case]:
    """RLE of two segments, whose header then states others."""
    refused, places = "RLE in a DICOM file whose segment at", "RLE in a DICOM file with .* segments at"
    for place, values in ((0, (0, 1, 3, 16, 2**31)), (1, (0, 63, 66)), (2, (0, 64, 10**7))):
        for value in values:
            yield case(f"RLE with {value} at {place} of its header", places, _restated_segments, {place: value})
    for change in (-300, -10, -2, -1, 1, 2, 10, 300):
        yield case(f"RLE, second segment moved by {change}", refused, _restated_segments, {}, change)
    yield case("RLE, an unused offset stated", BASE, _restated_segments, {3: 99})
    for name, expected, between, after in (
        *(("zeros between segments", BASE, bytes(8), b""), ("zeros after segments", BASE, b"", bytes(8))),
        *(("codes without effect", BASE, b"\x80" * 4, b"\x80" * 4), ("bytes between", refused, b"\7" * 8, b"")),
        ("bytes after segments", refused, b"", b"\7" * 8),
    ):
        yield case(f"RLE, {name}", expected, _restated_segments, {}, len(between), between, after)
    yield case("RLE cut off", f"truncated: {refused}", _cut_stream, _run_lengths, 0.9, b"")
    for num, expected in ((-1, f"truncated: {refused}"), (0, "blank"), (1, f"undecodable: {refused}")):
        yield case(f"RLE of runs, {num} too many", expected, _equal_runs, HEIGHT * WIDTH // 128 + num)
    yield case("RLE without a header", "expected at least 64", _cut_stream, _run_lengths, 0.004, b"")
    for samples, dataset in ((1, make_dataset(BASE)), (3, make_dataset(np.repeat(BASE[..., None], 3, 2), **RGB))):
        build = partial(lambda dataset: write(compress(dataset, RLELossless)), dataset)
        yield case(f"RLE of {samples} segments", BASE, build)


def _equal_runs(number: int) -> bytes:
    """A blank image of a number of runs of 128 pixels."""
    dataset = compress(make_dataset(BASE), RLELossless)
    dataset.PixelData = encapsulate([struct.pack("<16I", 1, 64, *[0] * 14) + b"\x81\x07" * number])
    return write(dataset)


def _restated_segments(header: dict[int, int], change: int = 0, between: bytes = b"", after: bytes = b"") -> bytes:
    dataset = dcmread(io.BytesIO(_run_lengths()))
    stream = next(generate_frames(dataset.PixelData, number_of_frames=1))
    words = list(struct.unpack_from("<16I", stream))
    second = words[2]
    words[2] += change
    for place, value in header.items():
        words[place] = value
    stream = struct.pack("<16I", *words) + stream[64:second] + between + stream[second:] + after
    dataset.PixelData = encapsulate([stream + bytes(len(stream) % 2)])
    return write(dataset)


# PNG


def chunk(kind: bytes, data: bytes, *, damaged: bool = False) -> bytes:
    """Write a chunk of a PNG file, with its checksum or a wrong one."""
    checksum = zlib.crc32(kind + data) ^ (0x55 if damaged else 0)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)


def write_png(samples: Array, depth: int, colour: int, interlace: int = 0, **extra: Any) -> bytes:
    """Write samples of shape (height, width, channels) to a PNG file.

    `extra`: chunks `before` and `after` the rows, `rows` in place of `zlib.compress`, `bad_header`, `bad_rows`.
    """
    height, width, _ = samples.shape
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace)
    passes = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
    rows = b""
    for left, top, across, down in passes if interlace else ((0, 0, 1, 1),):
        part = samples[top::down, left::across]
        for row in part if part.shape[1] else ():
            if depth == 16:
                packed = row.astype(">u2").tobytes()
            else:
                bits = np.unpackbits(row.astype(np.uint8).reshape(-1, 1), axis=1)[:, -depth:]
                packed = np.packbits(bits).tobytes()
            rows += b"\0" + packed
    packed_rows = extra.get("rows", zlib.compress)(rows)
    data = b"".join([chunk(b"IHDR", header, damaged=extra.get("bad_header", False)), extra.get("before", b"")])
    half = len(packed_rows) // 2
    data += chunk(b"IDAT", packed_rows[:half])
    data += chunk(b"IDAT", packed_rows[half:], damaged=extra.get("bad_rows", False))
    return b"\x89PNG\r\n\x1a\n" + data + extra.get("after", b"") + chunk(b"IEND", b"")


def _grey_png(grey: Array = BASE, depth: int = 8, colour: int = 0, interlace: int = 0, **extra: Any) -> bytes:
    return write_png(grey[..., None], depth, colour, interlace, **extra)


def _channels(grey: Array, colour: int, opaque: Any) -> Array:
    layers = [grey] * (1 if colour in (0, 3, 4) else 3) + [np.broadcast_to(opaque, grey.shape)] * (colour in (4, 6))
    return np.stack(layers, axis=-1)


GREY_PALETTE = bytes(np.repeat(np.arange(256, dtype=np.uint8), 3))


def _png_kinds() -> Iterator[Case]:
    for interlace in (0, 1):
        for colour in (0, 2, 4, 6):
            for bits in (8, 12, 13, 14, 15, 16):
                name = f"PNG of 16 bits, colour type {colour}, holds {bits}, interlace {interlace}"
                yield case(name, BASE, write_png, _channels(_deep(bits), colour, 65535), 16, colour, interlace)
            name = f"PNG of 8 bits, colour type {colour}, interlace {interlace}"
            yield case(name, BASE, write_png, _channels(BASE, colour, 255), 8, colour, interlace)
        for depth in (1, 2, 4):
            top = 2**depth - 1
            coarse = np.round(BASE / 255 * top).astype(np.uint8)
            shown, name = coarse * (255 // top), f"of {depth} bits, interlace {interlace}"
            yield case(f"grey PNG {name}", shown, _grey_png, coarse, depth, 0, interlace)
            palette = chunk(b"PLTE", bytes(np.repeat(np.arange(top + 1) * (255 // top), 3).astype(np.uint8)))
            yield case(f"palette {name}", shown, _grey_png, coarse, depth, 3, interlace, before=palette)
    yield case("palette of 8 bits", BASE, _grey_png, colour=3, before=chunk(b"PLTE", GREY_PALETTE))
    short = chunk(b"PLTE", GREY_PALETTE[:300])
    yield case("palette too short", "beyond the 100 of its palette", _grey_png, colour=3, before=short)


def _png_transparency() -> Iterator[Case]:
    for depth, colour in product((8, 16), (4, 6)):
        grey, kind = _deep(depth), f"{depth} bits, colour type {colour}"
        clear = np.where(INSIDE, 2**depth - 1, 0)
        yield case(f"transparent border, {kind}", PADDED, write_png, _channels(grey, colour, clear), depth, colour)
        for alpha in (0, 1):
            samples = _channels(grey, colour, alpha)
            refusal = "a transparent image"
            yield case(f"transparent, {kind}, opacity {alpha}", refusal, write_png, samples, depth, colour)
    border = np.where(INSIDE, np.minimum(BASE, 254), 255)
    white = struct.pack(">H", 255)
    yield case("tRNS, grey of 8 bits", PADDED, _grey_png, border, before=chunk(b"tRNS", white))
    samples = _channels(border, 2, 0)
    yield case("tRNS, colours of 8 bits", PADDED, write_png, samples, 8, 2, before=chunk(b"tRNS", 3 * white))
    for bits in (12, 16):
        deep = np.where(INSIDE, _deep(bits), 2**bits - 2).astype(np.uint16)
        value = struct.pack(">H", 2**bits - 2)
        one, three = chunk(b"tRNS", value), chunk(b"tRNS", 3 * value)
        yield case(f"tRNS, grey of 16 bits that holds {bits}", PADDED, _grey_png, deep, 16, before=one)
        samples = _channels(deep, 2, 0)
        yield case(f"tRNS, colours of 16 bits that hold {bits}", PADDED, write_png, samples, 16, 2, before=three)
    for depth in (2, 4):
        top = 2**depth - 1
        coarse = np.where(INSIDE, np.round(BASE / 255 * top), top).astype(np.uint8)
        shown, value = np.where(coarse == top, 0, coarse * (255 // top)), struct.pack(">H", top)
        yield case(f"tRNS, grey of {depth} bits", shown, _grey_png, coarse, depth, before=chunk(b"tRNS", value))
    bit = (BASE > 127).astype(np.uint8)
    yield case("tRNS, grey of 1 bit", bit * 255, _grey_png, bit, 1, before=chunk(b"tRNS", bytes(2)))
    palette = chunk(b"PLTE", GREY_PALETTE)
    last, hidden = chunk(b"tRNS", b"\xff" * 255 + b"\0"), chunk(b"tRNS", bytes(256))
    yield case("tRNS, palette", PADDED, _grey_png, border, colour=3, before=palette + last)
    yield case("palette, all transparent", "a transparent image", _grey_png, colour=3, before=palette + hidden)
    refusal = "its transparent colour has 1 bytes"
    yield case("tRNS too short", refusal, _grey_png, before=chunk(b"tRNS", b"\0"))


def _png_damage() -> Iterator[Case]:
    kinds = ("tEXt", "zTXt", "iTXt", "iCCP", "gAMA", "cHRM", "sRGB", "pHYs", "tIME", "sBIT", "eXIf", "abCd")
    for kind, where in product(kinds, ("before", "after")):
        damaged = chunk(kind.encode(), b"anything\0\0else", damaged=True)
        yield case(f"wrong checksum of {kind} {where} the rows", BASE, _grey_png, **{where: damaged})
    for size in (0, 1, 1000, 2_000_000, 9_000_000):
        yield case(f"PNG with a profile of {size} bytes", BASE, _png_with_profile, size)
    yield case("wrong checksum of IHDR", "checksum of its chunk IHDR", _grey_png, bad_header=True)
    yield case("wrong checksum of IDAT", "checksum of its chunk IDAT", _grey_png, bad_rows=True)
    for kind in ("PLTE", "tRNS"):
        before = chunk(b"PLTE", GREY_PALETTE, damaged=kind == "PLTE")
        before += chunk(b"tRNS", b"\xff", damaged=kind == "tRNS")
        refusal = f"checksum of its chunk {kind}"
        yield case(f"wrong checksum of {kind}", refusal, _grey_png, colour=3, before=before)
    for interlace, share in product((0, 1), (0.2, 0.5, 0.8, 0.99)):
        where = f"cut at {share}, interlace {interlace}"
        plain, refusal = partial(_grey_png, interlace=interlace), "bytes of rows"
        yield case(f"PNG {where}", "truncated", _cut, plain, share)
        yield case(f"rows {where}", refusal, plain, rows=partial(_cut_rows, share=share))
        yield case(f"compressed rows {where}", refusal, plain, rows=partial(_cut_compressed, share=share * 0.9))
    yield case("PNG without its end", "truncated", lambda: _grey_png()[:-12])
    for extra in (b"\0", bytes(100_000), b"\x89PNG\r\n\x1a\n"):
        yield case(f"PNG and {len(extra)} bytes {extra[:2]!r}", BASE, _followed, _grey_png, extra)
    wrong_sum: dict[str, Any] = {"rows": lambda raw: zlib.compress(raw)[:-1] + b"\x55"}
    yield case("wrong checksum of the rows", "damaged pixels of a PNG", _grey_png, **wrong_sum)
    for name, num, expected in (("", 2, "animated PNG of 2 frames"), (" of one frame", 1, BASE)):
        yield case(f"animated PNG{name}", expected, _grey_png, before=chunk(b"acTL", struct.pack(">II", num, 0)))


def _png_tones() -> Iterator[Case]:
    refusal, srgb = "changes grey values by up to", chunk(b"sRGB", b"\0")
    for gamma, expected in ((45455, BASE), (50000, BASE), (100000, refusal), (22222, refusal), (0, BASE)):
        before = chunk(b"gAMA", struct.pack(">I", gamma))
        yield case(f"PNG with gAMA {gamma}", expected, _grey_png, before=before)
        yield case(f"PNG with gAMA {gamma} and sRGB", BASE, _grey_png, before=before + srgb)
    for coding in ((1, 13, 0, 1), (9, 16, 0, 1), (1, 8, 0, 1), (1, 13, 0, 0)):
        expected = BASE if coding == (1, 13, 0, 1) else "by cICP; expected sRGB"
        yield case(f"PNG with cICP {coding}", expected, _grey_png, before=chunk(b"cICP", bytes(coding)))
    for name, profile, expected in _profiles():
        before = chunk(b"iCCP", b"profile\0\0" + zlib.compress(profile))
        yield case(f"PNG with a profile of {name}", expected, _grey_png, before=before + chunk(b"gAMA", bytes(4)))
    for name, before in (
        ("two palettes", chunk(b"PLTE", GREY_PALETTE) + chunk(b"PLTE", GREY_PALETTE[::-1])),
        ("two headers", chunk(b"IHDR", struct.pack(">IIBBBBB", 48, 72, 8, 0, 0, 0, 0))),
        ("two transparent colours", chunk(b"tRNS", bytes(2)) + chunk(b"tRNS", b"\0\1")),
    ):
        yield case(f"PNG of {name}", "twice", _grey_png, colour=3 * (name == "two palettes"), before=before)
    transparent = chunk(b"tRNS", struct.pack(">H", int(BASE[40, 40])))
    frames, linear = chunk(b"acTL", struct.pack(">II", 9, 0)), chunk(b"gAMA", struct.pack(">I", 100_000))
    for kind, after in (("tRNS", transparent), ("acTL", frames), ("gAMA", linear), ("PLTE", chunk(b"PLTE", bytes(99)))):
        yield case(f"PNG with {kind} after the rows", BASE, _grey_png, after=after)
    late = chunk(b"PLTE", GREY_PALETTE)
    yield case("palette after the rows", "beyond the 0 of its palette", _grey_png, colour=3, after=late)
    usual = chunk(b"gAMA", struct.pack(">I", 45_455))
    yield case("PNG with two gAMA, the first linear", refusal, _grey_png, before=linear + usual)
    yield case("PNG with two gAMA, the second linear", BASE, _grey_png, before=usual + linear)
    broken = chunk(b"gAMA", struct.pack(">I", 45_455), damaged=True)
    yield case("PNG with two gAMA, the first damaged", refusal, _grey_png, before=broken + linear)
    for number in (5, 99, 255):
        rows = partial(_with_filter, number=number)
        yield case(f"PNG with the filter {number}", "undecodable|truncated", _grey_png, rows=rows)
    empty = chunk(b"IDAT", b"")
    yield case("PNG with empty IDAT", BASE, _grey_png, before=empty + chunk(b"tEXt", b"a\0b"), after=empty)
    yield case(
        "PNG with bytes after its compressed rows", BASE, _grey_png, rows=lambda raw: zlib.compress(raw) + b"more"
    )
    for level, window in ((0, 15), (9, 9)):
        rows = partial(_compress, level=level, window=window)
        yield case(f"PNG compressed at level {level}, window {window}", BASE, _grey_png, rows=rows)
    yield case("PNG with a critical chunk of its own", "critical chunk b'ABCD'", _grey_png, before=chunk(b"ABCD", b""))
    taller: dict[str, Any] = {"rows": lambda raw: zlib.compress(raw + raw[: WIDTH + 1])}
    yield case("PNG of more rows than it states", "undecodable: .* of rows", _grey_png, **taller)
    partial_opacity = np.where(INSIDE, 255, 127)
    shown = np.where(INSIDE, BASE, BASE * (127 / 255))
    yield case("PNG, partly transparent", shown, write_png, _channels(BASE, 4, partial_opacity), 8, 4)


def _profiles() -> Iterator[tuple[str, bytes, Array | str]]:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    linear = struct.pack(">5i", 65536, 65536, 0, 65536, 0)  # of a parametric curve of kind 3: ICC.1, 10.18
    yield "sRGB", srgb, BASE
    yield "linear light", re.sub(rb"(?s)(para\0{4}\x00\x03\0\0).{20}", rb"\g<1>" + linear, srgb), "changes grey values"
    yield "Lab", ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes(), BASE
    yield "an unknown space", srgb.replace(b"RGB ", b"R\x81B ", 1), BASE
    yield "half its bytes", srgb[: len(srgb) // 2], BASE


def _png_with_profile(size: int) -> bytes:
    return _grey_png(before=chunk(b"iCCP", b"profile\0\0" + zlib.compress(bytes(size))))


def _with_filter(raw: bytes, number: int) -> bytes:
    return zlib.compress(raw[: 10 * (WIDTH + 1)] + bytes([number]) + raw[10 * (WIDTH + 1) + 1 :])


def _compress(raw: bytes, level: int, window: int) -> bytes:
    packer = zlib.compressobj(level, zlib.DEFLATED, window)
    return packer.compress(raw) + packer.flush()


def _cut_rows(raw: bytes, share: float) -> bytes:
    return zlib.compress(raw[: int(len(raw) * share)])


def _cut_compressed(raw: bytes, share: float) -> bytes:
    return _cut(partial(zlib.compress, raw), share)


# JPEG and Exif


def _segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2, "big") + content


def _jpeg(kind: str = "baseline", segments: bytes = b"") -> bytes:
    image = Image.fromarray(BASE)
    if kind == "YCCK":  # Pillow stores inks inverted.
        inks = (BASE, np.full_like(BASE, 127), np.full_like(BASE, 127), np.zeros_like(BASE))
        image = Image.merge("CMYK", [Image.fromarray(each) for each in inks])
    elif kind.startswith("CMYK"):
        image = Image.merge("CMYK", [Image.fromarray(255 - BASE)] * 3 + [Image.new("L", image.size)])
    elif kind == "colours":
        image = image.convert("RGB")
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=95, progressive="progressive" in kind)
    data = buffer.getvalue()
    if "turned" in kind:
        segments += _segment(0xE1, b"Exif\0\0" + exif(3))
    return data[:2] + segments + data[2:]


def _directory(tag: int, kind: int, count: int, value: int, order: str = "<") -> bytes:
    """A TIFF directory of one entry."""
    start = b"II*\0" if order == "<" else b"MM\0*"
    packed = struct.pack(f"{order}{'H' if kind == 3 else 'I'}", value).ljust(4, b"\0")
    return start + struct.pack(f"{order}IHHHI", 8, 1, tag, kind, count) + packed + bytes(4)


def exif(orientation: int, order: str = "<") -> bytes:
    """Write a TIFF directory that holds an orientation alone."""
    return _directory(0x0112, 3, 1, orientation, order)


BROKEN_EXIF = {
    "empty": b"",
    "one byte": b"I",
    "blank": bytes(8),
    "garbage": b"\xde\xad\xbe\xef" * 4,
    "a directory beyond the end": b"II*\0" + struct.pack("<I", 5000),
    "more entries than it holds": b"II*\0" + struct.pack("<IH", 8, 9999) + bytes(30),
    "half an entry": exif(3)[:14],
    "orientation 0": exif(0),
    "orientation 9": exif(9),
    "orientation 65535": exif(65535),
    "orientation as text": b"II*\0" + struct.pack("<IHHHI4s", 8, 1, 0x0112, 2, 4, b"up\0\0") + bytes(4),
    "orientation as a fraction": b"II*\0" + struct.pack("<IHHHII", 8, 1, 0x0112, 5, 1, 9999) + bytes(4),
    "a big directory": b"II+\0\x08\0\0\0" + bytes(20),
}
JPEG_KINDS = ("baseline", "progressive", "colours", "CMYK", "turned", "CMYK turned", "progressive turned")


def _jpegs() -> Iterator[Case]:
    for kind in JPEG_KINDS:
        shown, build = BASE[::-1, ::-1] if "turned" in kind else BASE, partial(_jpeg, kind)
        yield case(f"JPEG, {kind}", shown, build)
        for share in (0.3, 0.6, 0.85, 0.98):
            name = f"JPEG, {kind}, cut at {share}"
            yield case(name, "truncated", _cut, build, share)
            yield case(f"{name}, end put back", "truncated|undecodable", _cut_jpeg, build, share)
        yield case(f"JPEG, {kind}, without its end", "truncated", _before_end, build, end=b"")
        yield case(f"JPEG, {kind}, damaged", "truncated|undecodable", _damage, build)
        for extra in (b"\0", bytes(100_000), b"\xff\xd8\xff\xe0", _jpeg()):
            yield case(f"JPEG, {kind}, and {len(extra)} bytes {extra[:2]!r}", shown, _followed, build, extra)
        for extra in (b"\x12\x34", b"\x12\x34\x56", b"\x11" * 7, b"\x01" * 8, bytes(500)):
            name = f"JPEG, {kind}, {len(extra)} bytes {extra[:2]!r} before its end"
            yield case(name, shown, _before_end, build, extra)
    for size in (10, 60_000, 400_000, 1_500_000):
        yield case(f"JPEG with a profile of {size} bytes", BASE, _jpeg_with_profile, size)
    yield case("JPEG of an unknown JFIF version", BASE, _replace, _jpeg, b"JFIF\0\1", b"JFIF\0\7")
    between = _segment(0xFE, b"text") + b"\0\0\0"
    yield case("JPEG with bytes between segments", BASE, _jpeg, segments=between)
    yield case("JPEG with filling before a marker", BASE, _jpeg, segments=b"\xff\xff\xff")
    thumbnail = _segment(0xE1, b"Exif\0\0" + exif(1) + encode(BASE[::4, ::4], "JPEG"))
    yield case("JPEG with a thumbnail", BASE, _jpeg, segments=thumbnail)
    yield case("JPEG with a thumbnail, cut", "truncated", _cut, partial(_jpeg, segments=thumbnail), 0.6)
    frame = b"\xff\xc0\0\x0b"
    yield case("JPEG of 12 bits", "12 bits per sample", _replace, _jpeg, frame + b"\x08", frame + b"\x0c")


def _jpeg_structures() -> Iterator[Case]:
    kinds = ((3, 1), (4, 1), (4, 2), (4, 0), (7, 4), (5, 1), (9, 1))
    for (kind, count), order in product(kinds, "<>"):
        index = _segment(0xE2, b"MPF\0" + _directory(0xB001, kind, count, 2, order))
        yield case(f"JPEG, index of pictures {kind} {count} {order}", "images in one file", _jpeg, segments=index)
    for name, block, expected in (
        ("of one picture", _directory(0xB001, 4, 1, 1), BASE),
        ("of another of the pictures", _directory(0xB101, 4, 1, 2), BASE),
        ("without a number", _directory(0xB002, 7, 32, 50) + bytes(60), "images in one file"),
        ("damaged", b"\xde\xad" * 10, "images in one file"),
    ):
        yield case(f"JPEG, index {name}", expected, _jpeg, segments=_segment(0xE2, b"MPF\0" + block))
    for name, profile, expected in _profiles():
        for parts in (1, 3):
            build = partial(_jpeg_with_profile, len(profile), profile, -(-len(profile) // parts))
            yield case(f"JPEG with a profile of {name} in {parts}", expected, build)
    yield case("CMYK without Adobe's marker", "CMYK JPEG without", lambda: _replace(_jpeg_cmyk, b"Adobe", b"adobE"))
    yield case("YCCK", BASE, _replace, partial(_jpeg, "YCCK"), ADOBE + b"\0", ADOBE + b"\2")
    for name, segments in (
        ("zeros between segments", _segment(0xFE, b"") + bytes(50_000)),
        ("comments", _segment(0xFE, b"") * 50_000),
    ):
        yield case(f"JPEG with 50,000 {name}", "in and between markers", _jpeg, segments=segments)
    restarts = partial(encode, BASE, "JPEG", quality=95, restart_marker_blocks=2)
    yield case("JPEG with restart markers", BASE, restarts)
    yield case("JPEG without one of them", "undecodable", _replace, restarts, b"\xff\xd3", b"")
    yield case("JPEG with one of them wrong", "undecodable", _replace, restarts, b"\xff\xd3", b"\xff\xd4")
    for num in range(1, 6):
        yield case(f"progressive JPEG of {num} scans of 6", "several scans, the last", _first_scans, num)
    height, zero = b"\x08" + struct.pack(">HH", HEIGHT, WIDTH), b"\x08" + struct.pack(">HH", 0, WIDTH)
    yield case("JPEG that states its height last", "96 x 0 pixels", _replace, _jpeg, height, zero)


ADOBE = b"Adobe\0\x64" + bytes(4)
_jpeg_cmyk = partial(_jpeg, "CMYK")


def _first_scans(num: int) -> bytes:
    data = _jpeg("progressive")
    starts = [match.start() for match in re.finditer(rb"\xff\xda", data)]
    assert len(starts) == 6
    return data[: starts[num]] + b"\xff\xd9"


def _before_end(build: Callable[[], bytes], extra: bytes = b"", end: bytes = b"\xff\xd9") -> bytes:
    return build()[:-2] + extra + end


def _jpeg_with_profile(size: int, profile: bytes = b"", step: int = 60_000) -> bytes:
    profile = profile.ljust(size, b"\0")
    parts = [profile[start : start + step] for start in range(0, size, step)]
    marks = [b"ICC_PROFILE\0" + bytes([number, len(parts)]) for number in range(1, len(parts) + 1)]
    return _jpeg(segments=b"".join(_segment(0xE2, mark + part) for mark, part in zip(marks, parts, strict=True)))


def _cut_jpeg(build: Callable[[], bytes], share: float) -> bytes:
    """Cut in the pixels, and put the end marker back."""
    data = build()
    start = data.index(b"\xff\xda")
    return data[: start + 20 + int((len(data) - start - 22) * share)] + b"\xff\xd9"


def _damage(build: Callable[[], bytes]) -> bytes:
    data = build()
    middle = (data.index(b"\xff\xda") + len(data)) // 2
    return data[:middle] + b"\xff\x00" * 40 + data[middle + 80 :]


def _orientations() -> Iterator[Case]:
    for name, block in BROKEN_EXIF.items():
        yield case(f"JPEG, Exif {name}", BASE, _jpeg, segments=_segment(0xE1, b"Exif\0\0" + block))
        yield case(f"PNG, Exif {name}", BASE, _grey_png, before=chunk(b"eXIf", block))
    damaged = chunk(b"eXIf", exif(3), damaged=True)
    yield case("PNG, Exif of a wrong checksum", BASE, _grey_png, before=damaged)
    turned = {2: BASE[:, ::-1], 3: BASE[::-1, ::-1], 4: BASE[::-1], 6: np.rot90(BASE, -1), 8: np.rot90(BASE)}
    turned |= {5: BASE.T, 7: BASE[::-1, ::-1].T}
    for (orientation, shown), order in product(turned.items(), "<>"):
        name, block = f"Exif {orientation} {order}", exif(orientation, order)
        for kind in ("baseline", "CMYK", "progressive"):
            yield case(f"JPEG, {kind}, {name}", shown, _jpeg, kind, _segment(0xE1, b"Exif\0\0" + block))
        yield case(f"PNG, {name}", shown, _grey_png, after=chunk(b"eXIf", block))


OTHER_KINDS: tuple[tuple[str, Callable[[], bytes], str], ...] = (
    ("TIFF", lambda: encode(BASE, "TIFF"), "a TIFF image"),
    ("TIFF of 16 bits", lambda: encode(_deep(16), "TIFF"), "a TIFF image"),
    ("TIFF, big-endian", lambda: b"MM\0*" + bytes(200), "a TIFF image"),
    ("TIFF of more than 4 GB", lambda: b"II+\0" + bytes(200), "a TIFF image"),
    ("HEIC", lambda: b"\0\0\0\x18ftypheic" + bytes(200), "a HEIC or AVIF image"),
    ("JPEG 2000 without a container", lambda: encode(BASE, "JPEG2000", no_jp2=True), "a JPEG 2000 image"),
    ("lossless JPEG", _lossless_jpeg, "a lossless or hierarchical JPEG"),
    ("TIFF of two pages", lambda: _two_pictures("TIFF"), "a TIFF image"),
    ("GIF", lambda: encode(BASE, "GIF"), "a GIF image"),
    ("GIF, animated", lambda: _two_pictures("GIF"), "a GIF image"),
    ("BMP", lambda: encode(BASE, "BMP"), "a BMP image"),
    ("WebP", lambda: encode(BASE, "WEBP"), "a WebP image"),
    ("JPEG 2000", lambda: encode(BASE, "JPEG2000"), "a JPEG 2000 image"),
    ("nothing", lambda: b"", "zero bytes"),
    ("zeros", lambda: bytes(5000), "exists, but holds nothing but zeros"),
    ("zeros and one", lambda: bytes(5000) + b"\1", "begins with b'"),
    ("text", lambda: b"A radiograph of the chest", "begins with b'A radiog'"),
    ("signature of PNG alone", lambda: b"\x89PNG\r\n\x1a\n", "truncated"),
    ("signature of JPEG alone", lambda: b"\xff\xd8\xff", "truncated"),
)


def _two_pictures(kind: str) -> bytes:
    return encode(BASE, kind, save_all=True, append_images=[Image.fromarray(255 - BASE)])


VAST: tuple[tuple[str, Callable[[], bytes], str], ...] = (
    ("DICOM", partial(_square_file, BASE, PixelSpacing=["1e-5", "1e5"]), "at most 10 megapixels"),
    ("PNG", partial(_grey_png, before=chunk(b"pHYs", struct.pack(">IIB", 1, 2**31, 0))), "too.large"),
    ("JPEG", partial(_with_density, BASE, b"\0\0\1\xff\xff"), "too.large"),
)
SHAPES = [*_pixel_shapes()]
CASES = [
    *_voi_tables(),
    *_windows(),
    *_bits(),
    *_padding(),
    *_structures(),
    *_contradictions(),
    *_shutters(),
    *_directions(),
    *SHAPES,
    *(Case(f"{kind} with pixels of a vast ratio", build, expected) for kind, build, expected in VAST),
    *_run_length_headers(),
    *_png_kinds(),
    *_png_transparency(),
    *_png_damage(),
    *_png_tones(),
    *_jpegs(),
    *_jpeg_structures(),
    *_orientations(),
    *(Case(*each) for each in OTHER_KINDS),
]
