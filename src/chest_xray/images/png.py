"""Read PNG files: chunks and checksums here, the filters of rows by Pillow. What carries no pixels is ignored."""

import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from itertools import takewhile
from typing import Any, NamedTuple

from chest_xray.core.libraries import np, pillow
from chest_xray.core.types import Array, Image
from chest_xray.images.header import Header, ImageError, read_orientation, refuse_profile, refuse_tones

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY, COLOURS, PALETTE, GREY_ALPHA, COLOURS_ALPHA = 0, 2, 3, 4, 6  # colour types of PNG (third edition), table 8
CHANNELS = {GREY: 1, COLOURS: 3, PALETTE: 1, GREY_ALPHA: 2, COLOURS_ALPHA: 4}
DEPTHS = {GREY: (1, 2, 4, 8, 16), PALETTE: (1, 2, 4, 8)}  # bits per sample; 8 and 16 for the others
MODES = {GREY: "L", COLOURS: "RGB", PALETTE: "P", GREY_ALPHA: "LA", COLOURS_ALPHA: "RGBA"}
# Of each pass: the first column and row, and the steps between columns and rows.
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
MAX_CHUNKS = 100_000
MAX_CHUNK = 2**31 - 1  # bytes
DESCRIPTIONS = (b"cICP", b"iCCP", b"sRGB", b"gAMA", b"acTL", b"pHYs", b"eXIf")
SDR_TRANSFERS = (1, 2, 4, 6, 13, 14, 15)  # near sRGB, or not stated: ITU-T H.273, table 3
MAX_PROFILE = 1 << 22  # bytes
CRITICAL = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
HALF = 128  # opacity, of 255


class Chunk(NamedTuple):
    """Type, position of the content, and length of a chunk."""

    kind: bytes
    start: int
    length: int


class Layout(NamedTuple):
    """The fields of IHDR."""

    width: int
    height: int
    depth: int
    colour: int
    compression: int
    filtering: int
    interlace: int

    @property
    def mode(self) -> str:
        """Pillow's name of the mode."""
        if self.colour == GREY and self.depth in (1, 16):
            return "1" if self.depth == 1 else "I;16"
        return MODES[self.colour]

    @property
    def num_bytes(self) -> int:
        """Size of the filtered rows, each with one byte that names its filter."""
        passes = ADAM7 if self.interlace else ((0, 0, 1, 1),)
        total = 0
        for left, top, across, down in passes:
            columns, rows = -(-(self.width - left) // across), -(-(self.height - top) // down)
            if columns > 0 and rows > 0:
                total += rows * (1 + -(-columns * CHANNELS[self.colour] * self.depth // 8))
        return total


def read_header(file: Any) -> Header:
    """Read size, mode and orientation of an open PNG.

    Raises:
        ImageError: The file is cut off or damaged, or animated.
    """
    chunks = list(_read_chunks(file))
    layout = _read_layout(file, chunks)
    # Of chunks after IDAT, only Exif may say something of the image (third edition, 5.6).
    described = [
        *takewhile(lambda chunk: chunk.kind != b"IDAT", chunks),
        *(chunk for chunk in chunks if chunk.kind == b"eXIf"),
    ]
    content = {  # Of several chunks of a kind, libpng takes the first.
        chunk.kind: _read(file, chunk)
        for chunk in reversed(described)
        if chunk.kind in DESCRIPTIONS and _is_intact(file, chunk)
    }
    _refuse_tones(content)
    if (number := int.from_bytes(content.get(b"acTL", b"")[:4], "big")) > 1:
        raise ImageError("unsupported image", f"an animated PNG of {number} frames; expected one image")
    densities = struct.unpack_from(">II", content.get(b"pHYs", b"").ljust(8, b"\0"))
    orientation = read_orientation(content.get(b"eXIf", b""))
    return Header(layout.width, layout.height, layout.mode, orientation, densities=densities)


def _refuse_tones(content: dict[bytes, bytes]) -> None:
    """Refuse grey values that are not those of sRGB, by the chunk that takes precedence (third edition, table 17)."""
    coding = content.get(b"cICP", b"")
    _, _, profile = content.get(b"iCCP", b"").partition(b"\0")
    if len(coding) == 4 and not (coding[1] in SDR_TRANSFERS and coding[2:] == b"\0\1"):
        raise ImageError("unsupported image", f"a PNG with samples coded as {tuple(coding)} by cICP; expected sRGB")
    if not coding and profile:
        with suppress(zlib.error):  # Of what carries no pixels.
            refuse_profile(zlib.decompressobj().decompress(profile[1:], MAX_PROFILE))
    elif not coding and b"sRGB" not in content and (gamma := int.from_bytes(content.get(b"gAMA", b"")[:4], "big")):
        refuse_tones(255 * (np.arange(256) / 255) ** (100_000 / 2.2 / gamma))


def _read_chunks(file: Any) -> Iterator[Chunk]:
    """Yield the chunks of an open file up to its end marker."""
    size = file.seek(0, 2)
    end = len(SIGNATURE)
    for _ in range(MAX_CHUNKS):
        file.seek(end)
        start = bytes(file.read(8))
        length, kind = int.from_bytes(start[:4], "big"), start[4:]
        end += 12 + length
        if len(start) < 8 or (end > size and kind.isalpha()):
            raise ImageError("truncated", "a PNG that ends without its end marker")
        if not kind.isalpha() or length > MAX_CHUNK:
            raise ImageError("undecodable", f"a PNG with a chunk {kind!r} of {length:,} bytes, which no standard has")
        if kind[:1].isupper() and kind not in CRITICAL:  # 13.2: it may change the meaning of all others.
            raise ImageError("undecodable", f"a PNG with the critical chunk {kind!r}, which no standard has")
        yield Chunk(kind, end - 4 - length, length)
        if kind == b"IEND":
            return
    raise ImageError("too large", f"a PNG of more than {MAX_CHUNKS:,} chunks; save the image again as PNG")


def _read(file: Any, chunk: Chunk) -> bytes:
    file.seek(chunk.start)
    return bytes(file.read(chunk.length))


def _is_intact(file: Any, chunk: Chunk) -> bool:
    checksum = zlib.crc32(_read(file, chunk), zlib.crc32(chunk.kind))
    return checksum == int.from_bytes(file.read(4), "big")


def _read_layout(file: Any, chunks: list[Chunk]) -> Layout:
    first = chunks[0]
    if first.kind != b"IHDR" or first.length != struct.calcsize(">IIBBBBB"):
        raise ImageError("undecodable", f"a PNG that begins with {first.kind!r} of {first.length} bytes; expected IHDR")
    _require_checksum(file, first)
    layout = Layout(*struct.unpack(">IIBBBBB", _read(file, first)))
    if (
        not (layout.width and layout.height)
        or layout.colour not in CHANNELS
        or layout.depth not in DEPTHS.get(layout.colour, (8, 16))
        or layout.compression
        or layout.filtering
        or layout.interlace > 1
    ):
        raise ImageError("undecodable", f"a PNG of a kind that the standard does not have: {layout}")
    return layout


def _require_checksum(file: Any, chunk: Chunk) -> None:
    if not _is_intact(file, chunk):
        raise ImageError("undecodable", f"a damaged PNG: the checksum of its chunk {chunk.kind.decode()} is wrong")


def decode(data: bytes) -> Image:
    """Decode to 8 bits per sample, or to mode "I;16".

    The eight uppermost bits in use of 16-bit colours are kept. A file with transparency becomes "RGBA"; 16-bit grey
    becomes black where it is transparent.

    Raises:
        ImageError: A chunk that carries pixels is damaged or missing, or every pixel is transparent.
    """
    file = io.BytesIO(data)
    chunks = list(_read_chunks(file))
    layout = _read_layout(file, chunks)
    described = [
        chunk
        for chunk in takewhile(lambda chunk: chunk.kind != b"IDAT", chunks)
        if chunk.kind in (b"IHDR", b"PLTE", b"tRNS")
    ]
    rows = [chunk for chunk in chunks if chunk.kind == b"IDAT"]
    for chunk in described + rows:
        _require_checksum(file, chunk)
    content = {chunk.kind: _read(file, chunk) for chunk in described}
    if len(described) > len(content):
        raise ImageError("undecodable", "a PNG that has a header, palette or transparent colour twice")
    packed = b"".join(_read(file, chunk) for chunk in rows)
    _require_all_rows(packed, layout)
    if layout.depth == 16 and layout.colour != GREY:
        image, opacity = _decode_deep(layout, packed, content.get(b"tRNS"))
    else:
        image = _decode_by_pillow(layout, packed, content.get(b"PLTE", b""))
        opacity = _find_opacity(np.asarray(image), layout, content.get(b"tRNS"))
    return _apply_opacity(image, opacity)


def _require_all_rows(packed: bytes, layout: Layout) -> None:
    """Inflate the rows to count their bytes: Pillow leaves missing rows black."""
    inflating, size = zlib.decompressobj(), 0
    too_many = layout._replace(height=layout.height + 1).num_bytes
    try:
        while packed and not inflating.eof and size < too_many:
            size += len(inflating.decompress(packed, 1 << 20))
            packed = inflating.unconsumed_tail
    except zlib.error as error:
        raise ImageError("undecodable", f"damaged pixels of a PNG: {error}") from error
    if not layout.num_bytes <= size < too_many:
        reason = "truncated" if size < layout.num_bytes else "undecodable"
        raise ImageError(reason, f"a PNG with {size:,} of {layout.num_bytes:,} bytes of rows")


def _decode_by_pillow(layout: Layout, packed: bytes, palette: bytes, rawmode: str | None = None) -> Image:
    """Decode a file that has only the chunks that carry pixels."""
    from PIL.PngImagePlugin import PngImageFile

    chunks = [b"IHDR" + struct.pack(">IIBBBBB", *layout), b"IDAT" + packed, b"IEND"]
    if layout.colour == PALETTE:
        chunks.insert(1, b"PLTE" + palette)
    blocks = [struct.pack(">I", len(each) - 4) + each + struct.pack(">I", zlib.crc32(each)) for each in chunks]
    # `Image.open` warns of images that are larger than its own limit; here the size has been checked.
    with PngImageFile(io.BytesIO(SIGNATURE + b"".join(blocks))) as image:
        if rawmode:
            image.tile = [tile._replace(args=rawmode) for tile in image.tile]
        image.load()
        if layout.colour == PALETTE and int(np.asarray(image).max()) >= len(palette) // 3:
            raise ImageError("undecodable", f"a PNG with colours beyond the {len(palette) // 3} of its palette")
        return image.copy()


def _decode_deep(layout: Layout, packed: bytes, transparent: bytes | None) -> tuple[Image, Array | None]:
    """Decode grey with opacity, or colours, of 16 bits per sample, which Pillow reduces to their upper byte."""
    if layout.colour == GREY_ALPHA:  # Four bytes a pixel: filtered as 8-bit colours with opacity are.
        halved = _decode_by_pillow(layout._replace(depth=8, colour=COLOURS_ALPHA), packed, b"")
        values: Array = np.asarray(halved).reshape(layout.height, layout.width, 2, 2).astype(np.uint16)
        values = values[..., 0] << 8 | values[..., 1]
    else:
        mode = MODES[layout.colour]
        upper, lower = (
            np.asarray(_decode_by_pillow(layout, packed, b"", f"{mode};16{order}")).astype(np.uint16) for order in "BL"
        )
        values = upper << 8 | lower
    has_alpha = layout.colour in (GREY_ALPHA, COLOURS_ALPHA)
    colours = values[..., :-1] if has_alpha else values
    opacity = (values[..., -1] >> 8).astype(np.uint8) if has_alpha else _find_opacity(values, layout, transparent)
    reduced = keep_upper_bits(colours)
    return pillow.fromarray(reduced[..., 0] if layout.colour == GREY_ALPHA else reduced), opacity


def keep_upper_bits(values: Array) -> Array:
    """Return the eight uppermost bits in use of non-negative integers, uint8."""
    return (values >> (max(8, int(values.max()).bit_length()) - 8)).astype(np.uint8)


def _find_opacity(pixels: Array, layout: Layout, transparent: bytes | None) -> Array | None:
    """Return the opacity, uint8 of shape (height, width), of a file that names transparent colours (tRNS)."""
    if transparent is None:
        return None
    if layout.colour == PALETTE:
        table = np.full(256, 255, np.uint8)
        table[: len(transparent)] = np.frombuffer(transparent[:256], np.uint8)
        return table[pixels]
    if layout.colour not in (GREY, COLOURS):
        return None  # The standard forbids it beside a channel of opacity.
    expected = 2 * CHANNELS[layout.colour]
    if len(transparent) != expected:
        detail = f"a damaged PNG: its transparent colour has {len(transparent)} bytes; expected {expected}"
        raise ImageError("undecodable", detail)
    colour = np.frombuffer(transparent, ">u2").astype(int)
    if layout.colour == COLOURS:
        return (pixels != colour).any(axis=-1) * np.uint8(255)
    scale = 1 if layout.depth in (1, 16) else 255 // (2**layout.depth - 1)
    return (pixels != colour[0] * scale) * np.uint8(255)


def _apply_opacity(image: Image, opacity: Array | None) -> Image:
    if opacity is None and image.mode in ("LA", "RGBA"):
        opacity = np.asarray(image.getchannel("A"))
    if opacity is None:
        return image
    if int(opacity.max()) < HALF:
        raise ImageError(
            "blank", "a transparent image: no pixel is more opaque than transparent; save it without transparency"
        )
    if image.mode == "I;16":
        return pillow.fromarray(np.where(opacity, np.asarray(image), 0).astype(np.uint16))
    image = image.convert("RGBA")
    image.putalpha(pillow.fromarray(opacity))
    return image
