"""Files of unusual kinds, built in memory from one phantom: each with its pixels, or the reason for its refusal."""

import io
import struct
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    RLELossless,
)

from chest_xray.core.types import Array
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
    build: Any  # Without arguments, to bytes; mypy types no lambda with defaults.
    expected: Array | str


def _deep(bits: int) -> Array:
    """The phantom at a number of bits, uint16."""
    return np.asarray(np.round(BASE / 255 * (2**bits - 1)), np.uint16)


# DICOM


def _dicom(pixels: Array | None = None, *, bits: int | None = 12, window: Any = (2048, 4096), **values: Any) -> Dataset:
    if window:
        values = {"WindowCenter": window[0], "WindowWidth": window[1], **values}
    return make_dataset(_deep(12) if pixels is None else pixels, bits=bits, **values)


def _with(keyword: str, value: Any) -> Dataset:
    dataset = _dicom()
    setattr(dataset, keyword, value)
    return dataset


def _patched(dataset: Dataset, old: bytes, new: bytes) -> bytes:
    """The bytes of a file, with a text that pydicom would not write in place of one as long."""
    data, new = write(dataset), new.ljust(len(old))
    assert data.count(old) == 1
    return data.replace(old, new)


def _table(entries: Array, first: int, bits: int, vr: str = "US") -> Dataset:
    table = Dataset()
    table.add_new("LUTDescriptor", vr, [len(entries) % 65536, first, bits])
    table.add_new("LUTData", "OW", entries.tobytes() + bytes(entries.nbytes % 2))
    return table


def _voi_tables() -> Iterator[Case]:
    line = np.linspace(0, 1, 4096)
    for stated, held in (
        (12, 12),
        (16, 12),
        (16, 13),
        (16, 14),
        (16, 15),
        (16, 16),
        (14, 12),
        (10, 12),
        (8, 12),
        (15, 10),
    ):
        table = _table(np.round(line * (2**held - 1)).astype("<u2"), 0, stated)
        yield Case(
            f"LUT of {stated} bits holds {held}", lambda t=table: write(_dicom(window=None, VOILUTSequence=[t])), BASE
        )
    packed = _table(np.round(np.linspace(0, 255, 4096)).astype(np.uint8), 0, 8)
    yield Case("LUT of 8 bits, packed", lambda: write(_dicom(window=None, VOILUTSequence=[packed])), BASE)
    signed = _deep(12).astype(np.int16) - 2048
    for first, vr in ((-2048, "SS"), (63488, "US")):
        table = _table(np.round(line * 4095).astype("<u2"), first, 12, vr)
        yield Case(
            f"LUT from {first}", lambda t=table: write(_dicom(signed, bits=16, window=None, VOILUTSequence=[t])), BASE
        )
        yield Case(
            f"modality LUT from {first}",
            lambda t=table: write(_dicom(signed, bits=16, ModalityLUTSequence=[t])),
            BASE,
        )
    inverse = _table(np.round((1 - line) * 4095).astype("<u2"), -4095 & 0xFFFF, 12)
    yield Case(
        "negative slope before a LUT",
        lambda: write(_dicom(window=None, RescaleSlope=-1, RescaleIntercept=0, VOILUTSequence=[inverse])),
        BASE,
    )
    for keyword in ("VOILUTSequence", "ModalityLUTSequence"):
        yield Case(f"{keyword} empty", lambda k=keyword: write(_with(k, [])), BASE)
        yield Case(f"{keyword} with an empty item", lambda k=keyword: write(_with(k, [Dataset()])), BASE)
    short = _table(np.zeros(10, "<u2"), 0, 12)
    short.LUTDescriptor = [4096, 0, 12]
    yield Case(
        "LUT cut off", lambda: write(_dicom(VOILUTSequence=[short])), "lookup table of 4096 entries that holds 10"
    )


def _windows() -> Iterator[Case]:
    for name, values in {
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
        "inverted by the slope": {
            "RescaleSlope": -1,
            "RescaleIntercept": 4095,
            "PhotometricInterpretation": "MONOCHROME1",
        },
        "of halved values": {"RescaleSlope": 0.5, "RescaleIntercept": -7, "WindowCenter": 1017, "WindowWidth": 2048},
        "slope empty": {"RescaleSlope": None, "RescaleIntercept": 0},
        "intercept empty": {"RescaleSlope": 1, "RescaleIntercept": None},
        "slope and intercept empty": {"RescaleSlope": None, "RescaleIntercept": None},
        "frames empty": {"NumberOfFrames": None},
        "no frames": {"NumberOfFrames": 0},
    }.items():
        yield Case(f"window: {name}", lambda v=values: write(_dicom(**v)), BASE)
    for slope, intercept, expected in ((-1, 4095, 255 - BASE), (-1, 0, 255 - BASE), (2, -500, BASE)):
        values = {"RescaleSlope": slope, "RescaleIntercept": intercept}
        low = min(intercept, slope * 4095 + intercept)
        values |= {"WindowCenter": low + abs(slope) * 2048, "WindowWidth": abs(slope) * 4095 + 1}
        yield Case(f"window after slope {slope}, {intercept}", lambda v=values: write(_dicom(**v)), expected)
        yield Case(
            f"no window after slope {slope}, {intercept}",
            lambda s=slope, i=intercept: write(_dicom(window=None, RescaleSlope=s, RescaleIntercept=i)),
            expected,
        )
    texts: dict[str, Array | str] = {
        "NaN": BASE,
        "inf": BASE,
        "-0": BASE,
        "": BASE,
        "wide": "WindowWidth that is no number",
    }
    for text, shown in texts.items():
        yield Case(
            f"window width {text!r}",
            lambda t=text: _patched(_dicom(window=(2048, "77.7777")), b"77.7777 ", t.encode()),
            shown,
        )
    for text in ("0", "NaN", "inf", "-inf", "0.0"):
        yield Case(
            f"slope {text}",
            lambda t=text: _patched(_dicom(RescaleSlope="77.7777", RescaleIntercept=0), b"77.7777 ", t.encode()),
            "RescaleSlope of",
        )
    yield Case("slope no number", lambda: _patched(_dicom(RescaleSlope="77.7777"), b"77.7777 ", b"1,5"), "no number")
    yield Case("function unknown", lambda: write(_dicom(VOILUTFunction="CUBIC")), "window with the function CUBIC")
    yield Case(
        "function in small letters",
        lambda: _patched(_dicom(VOILUTFunction="LINEAR_EXACT"), b"LINEAR_EXACT", b"linear_exact"),
        BASE,
    )


def _bits() -> Iterator[Case]:
    for stored, high in ((12, 11), (12, 15), (12, 13), (14, 15), (10, 15), (8, 15), (8, 11)):
        for kind in ("unsigned", "signed"):
            pixels = _deep(stored).astype(np.int32) - (2 ** (stored - 1) if kind == "signed" else 0)
            cells = (pixels << high + 1 - stored).astype(np.int16 if kind == "signed" else np.uint16)
            for how in ("native", "RLE")[: 1 + (stored > 8)]:  # pydicom packs no 8 bits in 16.
                dataset = _dicom(cells, bits=stored, window=None, HighBit=high)
                yield Case(
                    f"{stored} bits below {high}, {kind}, {how}",
                    lambda d=dataset, h=how: write(compress(d, RLELossless) if h == "RLE" else d),
                    BASE,
                )
    wide = (_deep(14) << 2).astype(np.uint16)
    yield Case(
        "window for the cells", lambda: write(_dicom(wide, bits=14, HighBit=15, window=(32768, 65536))), "a window"
    )
    partly = np.round(_deep(12) * 0.9).astype(np.int16)  # Near one end of the range, and not at the other.
    for name, cells, values in (
        ("unsigned", partly, {"PixelRepresentation": 0}),
        ("signed", partly - 2048, {}),
        ("MONOCHROME1", 4095 - partly, {"PhotometricInterpretation": "MONOCHROME1", "PixelRepresentation": 0}),
        ("signed MONOCHROME1", 2047 - partly, {"PhotometricInterpretation": "MONOCHROME1"}),
        ("rescaled", partly, {"RescaleSlope": 2, "RescaleIntercept": -1024, "PixelRepresentation": 0}),
    ):
        yield Case(
            f"no window, most of the range, {name}",
            lambda c=cells, v=values: write(_dicom(c, window=None, **v)),
            BASE * 0.9,
        )
    low = (_deep(12).astype(np.int16) - 2048) & 0x0FFF
    yield Case("sign not repeated", lambda: write(_dicom(low.astype(np.int16), window=None)), BASE)
    yield Case("HighBit 15, values below", lambda: write(_dicom(HighBit=15)), "leave out; expected only those")
    yield Case("values above the bits stored", lambda: write(_dicom(_deep(14))), "leave out; expected only those")
    for values in ({"HighBit": 16}, {"HighBit": 10}, {"BitsStored": 17}, {"BitsStored": 0}):
        yield Case(
            f"bits that disagree: {values}", lambda v=values: write(_dicom(**v)), "which disagree|[Bb]its [Ss]tored"
        )
    overlay = _deep(12) | np.uint16(0x8000) * (np.arange(WIDTH) > 40).astype(np.uint16)
    yield Case("overlay in an upper bit", lambda: _with_overlay(overlay), BASE)


def _with_overlay(cells: Array) -> bytes:
    dataset = _dicom(cells)
    dataset.add_new((0x6000, 0x0100), "US", 16)
    dataset.add_new((0x6000, 0x0102), "US", 15)
    return write(dataset)


def _padding() -> Iterator[Case]:
    stretched = np.where(INSIDE, (BASE - float(BASE[INSIDE].min())) / np.ptp(BASE[INSIDE].astype(float)) * 255, 0)
    for dtype, bits, value, vr, stated in (
        *((np.uint16, 16, 0, "US", 0), (np.uint16, 16, 65535, "US", 65535), (np.uint16, 16, 63536, "SS", -2000)),
        *((np.int16, 16, -2000, "SS", -2000), (np.int16, 16, -2000, "US", 63536), (np.int16, 16, -32768, "SS", -32768)),
    ):
        for photometric in ("MONOCHROME2", "MONOCHROME1"):
            values = 1000 + BASE.astype(int) * 8 if photometric == "MONOCHROME2" else 3040 - BASE.astype(int) * 8
            cells = np.where(INSIDE, values, value).astype(dtype)
            for window in (None, (2020, 2041)):
                dataset = _dicom(cells, bits=bits, window=window, PhotometricInterpretation=photometric)
                dataset.add_new("PixelPaddingValue", vr, stated)
                yield Case(
                    f"padding {stated} ({vr}) in {dtype.__name__}, {photometric}, window {window}",
                    lambda d=dataset: write(d),
                    stretched if window is None else PADDED,
                )
    for first, last in ((0, 500), (500, 0)):
        noise = np.random.default_rng(0).integers(0, 501, BASE.shape)
        dataset = _dicom(np.where(INSIDE, 1000 + BASE.astype(int) * 8, noise).astype(np.uint16), bits=16, window=None)
        dataset.PixelPaddingValue, dataset.PixelPaddingRangeLimit = first, last
        for name in ("PixelPaddingValue", "PixelPaddingRangeLimit"):
            dataset[name].VR = "US"
        yield Case(f"padding from {first} to {last}", lambda d=dataset: write(d), stretched)
    everything = _dicom(np.zeros_like(_deep(12)), window=None)
    everything.add_new("PixelPaddingValue", "US", 0)
    yield Case("nothing but padding", lambda: write(everything), "every pixel is padding")
    yield Case("padding empty", lambda: write(_dicom(PixelPaddingValue=None)), BASE)


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


def _cut_stream(data: bytes, share: float, end: bytes) -> bytes:
    dataset = dcmread(io.BytesIO(data))
    stream = next(generate_frames(dataset.PixelData, number_of_frames=1))
    cut = stream[: int(len(stream) * share)] + end
    dataset.PixelData = encapsulate([cut + bytes(len(cut) % 2)])
    return write(dataset)


def _jpeg_in_dicom(stream: bytes | None = None) -> bytes:
    dataset = make_dataset(BASE)
    dataset.PixelData = encapsulate([stream or encode(BASE, "JPEG", quality=95)])
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
    streams: dict[str, Any] = {"JPEG": _jpeg_in_dicom, "RLE": lambda: write(compress(_dicom(), RLELossless))}
    for name in ("JPEGLosslessProcess14", "JPEGLosslessProcess14_1", "JPEGLSLossless", "JPEG2000Lossless"):
        streams[name] = lambda n=name: transcode(write(_dicom()), n)
    for name, build in streams.items():
        yield Case(f"{name} whole", build, BASE)
        for share in (0.1, 0.5, 0.9, 0.97):
            for end in (b"", b"\xff\xd9"):
                yield Case(
                    f"{name} stream cut at {share}, end {end.hex()}",
                    lambda b=build, s=share, e=end: _cut_stream(b(), s, e),
                    "truncated|undecodable",
                )
        for share in (0.6, 0.95):
            yield Case(f"{name} file cut at {share}", lambda b=build, s=share: _cut(b(), s), "truncated")
    # GDCM would end the process on these.
    for name, old, new in (
        ("JPEGLosslessProcess14", b"\xff\xc3\0\x0b\x10", b"\xff\xc3\0\x0b\x3d"),
        ("JPEGLosslessProcess14", b"\xff\xc4\0", b"\xae\x53\0"),
        ("JPEGLosslessProcess14_1", b"\xff\xc4\0", b"\xae\x53\0"),
        ("JPEGLSLossless", b"\xff\xf7\0\x0b\x10", b"\xff\xf7\0\x0b\x4f"),
    ):
        yield Case(
            f"{name} with {new.hex()} for {old.hex()}",
            lambda n=name, o=old, w=new: _replace(streams[n](), o, w),
            "bytes between segments|a JPEG of .* bits in a DICOM file of 16",
        )
    # libjpeg-turbo would write beyond its memory.
    yield Case("lossless JPEG said to be baseline", lambda: _jpeg_in_dicom(_lossless_jpeg()), "lossless .*header SOF3")
    for syntax in (ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian):
        yield Case(f"{syntax.name}", lambda s=syntax: _in_syntax(s), BASE)
        for share in (0.5, 0.98):
            yield Case(f"{syntax.name} cut at {share}", lambda s=syntax, c=share: _cut(_in_syntax(s), c), "truncated")
    for extra in (b"\0", bytes(7), bytes(8), bytes(1000), b"\xff" * 50, b"trailing text"):
        yield Case(f"DICOM and {len(extra)} bytes {extra[:2]!r}", lambda e=extra: write(_dicom()) + e, BASE)
    for share in (0.1, 0.3, 0.6, 0.9, 0.999):
        yield Case(f"DICOM cut at {share}", lambda s=share: _cut(write(_dicom()), s), "truncated")
    for syntax in (ImplicitVRLittleEndian, ExplicitVRLittleEndian):
        yield Case(
            f"data set alone, {syntax.name}",
            lambda s=syntax: _without_prefix(_in_syntax(s)),
            "DICOM without its prefix",
        )
    bare = _without_prefix(_in_syntax(ExplicitVRBigEndian))
    yield Case("data set alone, big-endian", lambda: bare, "DICOM without its prefix")
    for uid in ("1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.110", "1.2.840.113619.5.2"):  # HTJ2K, JPEG XL, private
        yield Case(
            f"transfer syntax {uid}", lambda u=uid: _renamed(streams["JPEG2000Lossless"](), u), "transfer syntax"
        )
    yield Case("prefix without preamble", lambda: write(_dicom())[128:], "DICOM without its prefix")
    yield Case("meta information alone", lambda: write(_dicom())[132:], "DICOM without its prefix")
    twice = np.concatenate([_deep(12), _deep(12)])
    yield Case("two pictures in one frame", lambda: write(_dicom(twice, Rows=HEIGHT)), "one image of 96 x 72 has")
    yield Case("two frames", lambda: write(_dicom(twice, Rows=HEIGHT, NumberOfFrames=2)), "2 frames; expected one")
    yield Case("three samples of grey", lambda: write(_dicom(SamplesPerPixel=3)), "3 samples per pixel")
    for bits in (8, 12, 14, 16):
        pixels = np.repeat(_deep(bits)[..., None], 3, axis=2)
        values = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0}
        yield Case(
            f"RGB of 16 bits holds {bits}", lambda p=pixels, v=values: write(_dicom(p, bits=16, window=None, **v)), BASE
        )


def _renamed(data: bytes, syntax: str) -> bytes:
    dataset = dcmread(io.BytesIO(data))
    dataset.file_meta.TransferSyntaxUID = HTJ2KLossless  # pydicom does not write all others.
    return _replace(write(dataset), HTJ2KLossless.encode(), syntax.encode().ljust(len(HTJ2KLossless), b"\0"))


def _lossless_jpeg() -> bytes:
    """A JPEG of the kind SOF3, which is one in DICOM files alone."""
    dataset = dcmread(io.BytesIO(transcode(write(make_dataset(BASE)), "JPEGLosslessProcess14_1")))
    return next(generate_frames(dataset.PixelData, number_of_frames=1))


def _replace(data: bytes, old: bytes, new: bytes) -> bytes:
    assert old in data
    return data.replace(old, new)


def _without_prefix(data: bytes) -> bytes:
    return data[144 + int.from_bytes(data[140:144], "little") :]


def _cut(data: bytes, share: float) -> bytes:
    return data[: int(len(data) * share)]


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
    packed_rows = extra.get("rows", lambda raw: zlib.compress(raw))(rows)
    data = b"".join([chunk(b"IHDR", header, damaged=extra.get("bad_header", False)), extra.get("before", b"")])
    half = len(packed_rows) // 2
    data += chunk(b"IDAT", packed_rows[:half]) + chunk(
        b"IDAT", packed_rows[half:], damaged=extra.get("bad_rows", False)
    )
    return b"\x89PNG\r\n\x1a\n" + data + extra.get("after", b"") + chunk(b"IEND", b"")


def _channels(grey: Array, colour: int, opaque: Any) -> Array:
    layers = [grey] * (1 if colour in (0, 3, 4) else 3) + [np.broadcast_to(opaque, grey.shape)] * (colour in (4, 6))
    return np.stack(layers, axis=-1)


GREY_PALETTE = bytes(np.repeat(np.arange(256, dtype=np.uint8), 3))


def _png_kinds() -> Iterator[Case]:
    for interlace in (0, 1):
        for colour in (0, 2, 4, 6):
            for bits in (8, 12, 13, 14, 15, 16):
                samples = _channels(_deep(bits), colour, 65535)
                yield Case(
                    f"PNG of 16 bits, colour type {colour}, holds {bits}, interlace {interlace}",
                    lambda s=samples, c=colour, i=interlace: write_png(s, 16, c, i),
                    BASE,
                )
            samples = _channels(BASE, colour, 255)
            yield Case(
                f"PNG of 8 bits, colour type {colour}, interlace {interlace}",
                lambda s=samples, c=colour, i=interlace: write_png(s, 8, c, i),
                BASE,
            )
        for depth in (1, 2, 4):
            top = 2**depth - 1
            coarse = np.round(BASE / 255 * top).astype(np.uint8)
            yield Case(
                f"grey PNG of {depth} bits, interlace {interlace}",
                lambda c=coarse, d=depth, i=interlace: write_png(c[..., None], d, 0, i),
                coarse * (255 // top),
            )
            palette = chunk(b"PLTE", bytes(np.repeat(np.arange(top + 1) * (255 // top), 3).astype(np.uint8)))
            yield Case(
                f"palette of {depth} bits, interlace {interlace}",
                lambda c=coarse, d=depth, i=interlace, p=palette: write_png(c[..., None], d, 3, i, before=p),
                coarse * (255 // top),
            )
    palette = chunk(b"PLTE", GREY_PALETTE)
    yield Case("palette of 8 bits", lambda: write_png(BASE[..., None], 8, 3, before=palette), BASE)
    short = chunk(b"PLTE", GREY_PALETTE[:300])
    yield Case(
        "palette too short", lambda: write_png(BASE[..., None], 8, 3, before=short), "beyond the 100 of its palette"
    )


def _png_transparency() -> Iterator[Case]:
    for depth in (8, 16):
        for colour in (4, 6):
            grey, top = _deep(depth), 2**depth - 1
            clear = np.where(INSIDE, top, 0)
            yield Case(
                f"transparent border, {depth} bits, colour type {colour}",
                lambda g=grey, c=colour, d=depth, t=clear: write_png(_channels(g, c, t), d, c),
                PADDED,
            )
            for alpha in (0, 1):
                yield Case(
                    f"transparent, {depth} bits, colour type {colour}, opacity {alpha}",
                    lambda g=grey, c=colour, d=depth, a=alpha: write_png(_channels(g, c, a), d, c),
                    "a transparent image",
                )
    border = np.where(INSIDE, np.minimum(BASE, 254), 255)
    values = chunk(b"tRNS", struct.pack(">H", 255))
    yield Case("tRNS, grey of 8 bits", lambda: write_png(border[..., None], 8, 0, before=values), PADDED)
    colours = chunk(b"tRNS", struct.pack(">3H", 255, 255, 255))
    yield Case("tRNS, colours of 8 bits", lambda: write_png(_channels(border, 2, 0), 8, 2, before=colours), PADDED)
    for bits in (12, 16):
        deep = np.where(INSIDE, _deep(bits), 2**bits - 2).astype(np.uint16)
        value = struct.pack(">H", 2**bits - 2)
        yield Case(
            f"tRNS, grey of 16 bits that holds {bits}",
            lambda d=deep, v=value: write_png(d[..., None], 16, 0, before=chunk(b"tRNS", v)),
            PADDED,
        )
        yield Case(
            f"tRNS, colours of 16 bits that hold {bits}",
            lambda d=deep, v=value: write_png(_channels(d, 2, 0), 16, 2, before=chunk(b"tRNS", 3 * v)),
            PADDED,
        )
    for depth in (2, 4):
        top = 2**depth - 1
        coarse = np.where(INSIDE, np.round(BASE / 255 * top), top).astype(np.uint8)
        yield Case(
            f"tRNS, grey of {depth} bits",
            lambda c=coarse, d=depth, t=top: write_png(c[..., None], d, 0, before=chunk(b"tRNS", struct.pack(">H", t))),
            np.where(coarse == top, 0, coarse * (255 // top)),
        )
    bit, visible = (BASE > 127).astype(np.uint8), chunk(b"tRNS", struct.pack(">H", 0))
    yield Case("tRNS, grey of 1 bit", lambda: write_png(bit[..., None], 1, 0, before=visible), bit * 255)
    palette = chunk(b"PLTE", GREY_PALETTE) + chunk(b"tRNS", b"\xff" * 255 + b"\0")
    yield Case("tRNS, palette", lambda: write_png(border[..., None], 8, 3, before=palette), PADDED)
    hidden = chunk(b"PLTE", GREY_PALETTE) + chunk(b"tRNS", bytes(256))
    yield Case(
        "palette, all transparent", lambda: write_png(BASE[..., None], 8, 3, before=hidden), "a transparent image"
    )
    wrong = chunk(b"tRNS", b"\0")
    yield Case(
        "tRNS too short", lambda: write_png(BASE[..., None], 8, 0, before=wrong), "its transparent colour has 1 bytes"
    )


def _png_damage() -> Iterator[Case]:
    grey = BASE[..., None]
    for kind in (
        b"tEXt",
        b"zTXt",
        b"iTXt",
        b"iCCP",
        b"gAMA",
        b"cHRM",
        b"sRGB",
        b"pHYs",
        b"tIME",
        b"sBIT",
        b"eXIf",
        b"abCd",
    ):
        for place in ("before", "after"):
            damaged = chunk(kind, b"anything\0\0else", damaged=True)
            yield Case(
                f"wrong checksum of {kind.decode()} {place} the rows",
                lambda d=damaged, p=place: write_png(grey, 8, 0, **{p: d}),
                BASE,
            )
    for size in (0, 1, 1000, 2_000_000, 9_000_000):
        profile = chunk(b"iCCP", b"profile\0\0" + zlib.compress(bytes(size)))
        yield Case(f"PNG with a profile of {size} bytes", lambda p=profile: write_png(grey, 8, 0, before=p), BASE)
    yield Case("wrong checksum of IHDR", lambda: write_png(grey, 8, 0, bad_header=True), "checksum of its chunk IHDR")
    yield Case("wrong checksum of IDAT", lambda: write_png(grey, 8, 0, bad_rows=True), "checksum of its chunk IDAT")
    for kind in (b"PLTE", b"tRNS"):
        before = chunk(b"PLTE", GREY_PALETTE, damaged=kind == b"PLTE")
        before += chunk(b"tRNS", b"\xff", damaged=kind == b"tRNS")
        yield Case(
            f"wrong checksum of {kind.decode()}",
            lambda b=before: write_png(grey, 8, 3, before=b),
            f"checksum of its chunk {kind.decode()}",
        )
    for interlace in (0, 1):
        for share in (0.2, 0.5, 0.8, 0.99):
            yield Case(
                f"PNG cut at {share}, interlace {interlace}",
                lambda s=share, i=interlace: _cut(write_png(grey, 8, 0, i), s),
                "truncated",
            )
            yield Case(
                f"rows cut at {share}, interlace {interlace}",
                lambda s=share, i=interlace: write_png(grey, 8, 0, i, rows=lambda raw: zlib.compress(_cut(raw, s))),
                "bytes of rows",
            )
            yield Case(
                f"compressed rows cut at {share}, interlace {interlace}",
                lambda s=share, i=interlace: write_png(
                    grey, 8, 0, i, rows=lambda raw: _cut(zlib.compress(raw), s * 0.9)
                ),
                "bytes of rows",
            )
    yield Case("PNG without its end", lambda: write_png(grey, 8, 0)[:-12], "truncated")
    for extra in (b"\0", bytes(100_000), b"\x89PNG\r\n\x1a\n"):
        yield Case(f"PNG and {len(extra)} bytes {extra[:2]!r}", lambda e=extra: write_png(grey, 8, 0) + e, BASE)
    wrong_sum: dict[str, Any] = {"rows": lambda raw: zlib.compress(raw)[:-1] + b"\x55"}
    yield Case("wrong checksum of the rows", lambda: write_png(grey, 8, 0, **wrong_sum), "damaged pixels of a PNG")
    frames = chunk(b"acTL", struct.pack(">II", 2, 0))
    yield Case("animated PNG", lambda: write_png(grey, 8, 0, before=frames), "animated PNG of 2 frames")
    single = chunk(b"acTL", struct.pack(">II", 1, 0))
    yield Case("animated PNG of one frame", lambda: write_png(grey, 8, 0, before=single), BASE)


# JPEG and Exif


def _segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2, "big") + content


def _jpeg(kind: str = "baseline", segments: bytes = b"") -> bytes:
    image = Image.fromarray(BASE)
    if kind.startswith("CMYK"):
        image = Image.merge("CMYK", [Image.fromarray(255 - BASE)] * 3 + [Image.new("L", image.size)])
    elif kind == "colours":
        image = image.convert("RGB")
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=95, progressive="progressive" in kind)
    data = buffer.getvalue()
    if "turned" in kind:
        segments += _segment(0xE1, b"Exif\0\0" + exif(3))
    return data[:2] + segments + data[2:]


def exif(orientation: int, order: str = "<") -> bytes:
    """Write a TIFF directory that holds an orientation alone."""
    start = b"II*\0" if order == "<" else b"MM\0*"
    return start + struct.pack(f"{order}IHHHIHH", 8, 1, 0x0112, 3, 1, orientation, 0) + bytes(4)


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
        shown = BASE[::-1, ::-1] if "turned" in kind else BASE
        yield Case(f"JPEG, {kind}", lambda k=kind: _jpeg(k), shown)
        for share in (0.3, 0.6, 0.85, 0.98):
            yield Case(f"JPEG, {kind}, cut at {share}", lambda k=kind, s=share: _cut(_jpeg(k), s), "truncated")
            yield Case(
                f"JPEG, {kind}, cut at {share}, end put back",
                lambda k=kind, s=share: _cut_jpeg(k, s),
                "truncated|undecodable",
            )
        yield Case(f"JPEG, {kind}, without its end", lambda k=kind: _jpeg(k)[:-2], "truncated")
        yield Case(f"JPEG, {kind}, damaged", lambda k=kind: _damage(_jpeg(k)), "truncated|undecodable")
        for extra in (b"\0", bytes(100_000), b"\xff\xd8\xff\xe0", _jpeg()):
            yield Case(
                f"JPEG, {kind}, and {len(extra)} bytes {extra[:2]!r}", lambda k=kind, e=extra: _jpeg(k) + e, shown
            )
        for extra in (b"\x12\x34", b"\x12\x34\x56", b"\x11" * 7, b"\x01" * 8, bytes(500)):
            yield Case(
                f"JPEG, {kind}, {len(extra)} bytes {extra[:2]!r} before its end",
                lambda k=kind, e=extra: _jpeg(k)[:-2] + e + b"\xff\xd9",
                shown,
            )
    for size in (10, 60_000, 400_000, 1_500_000):
        parts = [bytes(min(60_000, size - start)) for start in range(0, size, 60_000)]
        profile = b"".join(
            _segment(0xE2, b"ICC_PROFILE\0" + bytes([i + 1, len(parts)]) + p) for i, p in enumerate(parts)
        )
        yield Case(f"JPEG with a profile of {size} bytes", lambda p=profile: _jpeg("baseline", p), BASE)
    yield Case("JPEG of an unknown JFIF version", lambda: _jpeg().replace(b"JFIF\0\1", b"JFIF\0\7"), BASE)
    yield Case("JPEG with bytes between segments", lambda: _jpeg("baseline", _segment(0xFE, b"text") + b"\0\0\0"), BASE)
    yield Case("JPEG with filling before a marker", lambda: _jpeg("baseline", b"\xff\xff\xff"), BASE)
    thumbnail = _segment(0xE1, b"Exif\0\0" + exif(1) + encode(BASE[::4, ::4], "JPEG"))
    yield Case("JPEG with a thumbnail", lambda: _jpeg("baseline", thumbnail), BASE)
    yield Case("JPEG with a thumbnail, cut", lambda: _cut(_jpeg("baseline", thumbnail), 0.6), "truncated")
    directory = b"MPF\0II*\0" + struct.pack("<IHHHII", 8, 1, 0xB001, 4, 1, 2) + bytes(4)
    yield Case("JPEG of two pictures", lambda: _jpeg("baseline", _segment(0xE2, directory)), "2 images in one file")
    yield Case(
        "JPEG of 12 bits", lambda: _jpeg().replace(b"\xff\xc0\0\x0b\x08", b"\xff\xc0\0\x0b\x0c"), "12 bits per sample"
    )


def _cut_jpeg(kind: str, share: float) -> bytes:
    """Cut in the pixels, and put the end marker back."""
    data = _jpeg(kind)
    start = data.index(b"\xff\xda")
    return data[: start + 20 + int((len(data) - start - 22) * share)] + b"\xff\xd9"


def _damage(data: bytes) -> bytes:
    middle = (data.index(b"\xff\xda") + len(data)) // 2
    return data[:middle] + b"\xff\x00" * 40 + data[middle + 80 :]


def _orientations() -> Iterator[Case]:
    for name, block in BROKEN_EXIF.items():
        yield Case(f"JPEG, Exif {name}", lambda b=block: _jpeg("baseline", _segment(0xE1, b"Exif\0\0" + b)), BASE)
        yield Case(
            f"PNG, Exif {name}", lambda b=block: write_png(BASE[..., None], 8, 0, before=chunk(b"eXIf", b)), BASE
        )
    damaged = chunk(b"eXIf", exif(3), damaged=True)
    yield Case("PNG, Exif of a wrong checksum", lambda: write_png(BASE[..., None], 8, 0, before=damaged), BASE)
    turned = {2: BASE[:, ::-1], 3: BASE[::-1, ::-1], 4: BASE[::-1], 6: np.rot90(BASE, -1), 8: np.rot90(BASE)}
    for orientation, shown in turned.items():
        for order in "<>":
            block = exif(orientation, order)
            for kind in ("baseline", "CMYK", "progressive"):
                segment = _segment(0xE1, b"Exif\0\0" + block)
                yield Case(f"JPEG, {kind}, Exif {orientation} {order}", lambda k=kind, s=segment: _jpeg(k, s), shown)
            yield Case(
                f"PNG, Exif {orientation} {order}",
                lambda b=block: write_png(BASE[..., None], 8, 0, after=chunk(b"eXIf", b)),
                shown,
            )


def _other_kinds() -> Iterator[Case]:
    second = [Image.fromarray(255 - BASE)]
    for name, build, expected in (
        ("TIFF", lambda: encode(BASE, "TIFF"), "a TIFF image"),
        ("TIFF of 16 bits", lambda: encode(_deep(16), "TIFF"), "a TIFF image"),
        ("TIFF, big-endian", lambda: b"MM\0*" + bytes(200), "a TIFF image"),
        ("TIFF of more than 4 GB", lambda: b"II+\0" + bytes(200), "a TIFF image"),
        ("HEIC", lambda: b"\0\0\0\x18ftypheic" + bytes(200), "a HEIC or AVIF image"),
        ("JPEG 2000 without a container", lambda: encode(BASE, "JPEG2000", no_jp2=True), "a JPEG 2000 image"),
        ("lossless JPEG", _lossless_jpeg, "a lossless or hierarchical JPEG"),
        ("TIFF of two pages", lambda: encode(BASE, "TIFF", save_all=True, append_images=second), "a TIFF image"),
        ("GIF", lambda: encode(BASE, "GIF"), "a GIF image"),
        ("GIF, animated", lambda: encode(BASE, "GIF", save_all=True, append_images=second), "a GIF image"),
        ("BMP", lambda: encode(BASE, "BMP"), "a BMP image"),
        ("WebP", lambda: encode(BASE, "WEBP"), "a WebP image"),
        ("JPEG 2000", lambda: encode(BASE, "JPEG2000"), "a JPEG 2000 image"),
        ("nothing", lambda: b"", "zero bytes"),
        ("zeros", lambda: bytes(5000), "exists, but holds nothing but zeros"),
        ("zeros and one", lambda: bytes(5000) + b"\1", "begins with b'"),
        ("text", lambda: b"A radiograph of the chest", "begins with b'A radiog'"),
        ("signature of PNG alone", lambda: b"\x89PNG\r\n\x1a\n", "truncated"),
        ("signature of JPEG alone", lambda: b"\xff\xd8\xff", "truncated"),
    ):
        yield Case(name, build, expected)


CASES = [
    *_voi_tables(),
    *_windows(),
    *_bits(),
    *_padding(),
    *_structures(),
    *_png_kinds(),
    *_png_transparency(),
    *_png_damage(),
    *_jpegs(),
    *_orientations(),
    *_other_kinds(),
]
