"""Read JPEG files: headers and scans by their markers, pixels by libjpeg-turbo without a warning."""

import io
import re
import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

from chest_xray.core.libraries import pillow
from chest_xray.core.types import Image
from chest_xray.images.header import Header, ImageError, read_field, read_orientation, refuse_profile

SIGNATURE = b"\xff\xd8\xff"
SOI, EOI, SOS, APP0, APP1, APP2, APP14, COM, TEM = 0xD8, 0xD9, 0xDA, 0xE0, 0xE1, 0xE2, 0xEE, 0xFE, 0x01
# SOF0 to SOF15 of JPEG (ITU-T T.81, table B.1) without DHT, JPG and DAC.
FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
PROGRESSIVE = {0xC2, 0xCA}
SEQUENTIAL = {0xC0, 0xC1, 0xC9}  # libjpeg-turbo writes beyond its memory where a lossless one (SOF3) is asked for grey
RESTARTS = range(0xD0, 0xD8)
MODES = {1: "L", 3: "RGB", 4: "CMYK"}  # by number of components
MARKER = re.compile(rb"\xff+([^\x00\xff])")  # In compressed pixels 0xff is followed by 0.
EXTRA = re.compile(r"(\d+) extraneous bytes before marker 0xd9")
MAX_EXTRA = 8  # bytes that a damaged stream may leave over by chance; padding with one value may be longer
MAX_BETWEEN = 20_000  # bytes in markers and between segments before the pixels; files have some tens
NUM_COEFFICIENTS = 64
END_REACH = 16  # bytes
ICC_NAME = b"ICC_PROFILE\0"  # then number and count of the parts, a byte each: ICC.1, annex B.4
MP_INDEX = (0xB001, 0xB002)  # number of images, and their entries: CIPA DC-007, section 5.2.3


class Segment(NamedTuple):
    """A marker, the position of its first byte, and its content without marker and length."""

    marker: int
    start: int
    content: bytes


class Scans(NamedTuple):
    """Number of scans, position after the end marker (None without it), and whether coefficients are missing."""

    number: int
    end: int | None
    incomplete: bool


def read_header(file: Any) -> Header:
    """Read size, mode, orientation and number of scans of an open JPEG.

    Raises:
        ImageError: The file is cut off or damaged, or holds several images or more than 8 bits per sample.
    """
    segments = list(read_segments(file))
    frame = _find_frame(segments)
    precision, height, width, components = struct.unpack_from(">BHHB", frame.content)
    if precision != 8:
        raise ImageError("unsupported image", f"a JPEG of {precision} bits per sample; expected 8")
    if components not in MODES or not width or not height:
        raise ImageError("undecodable", f"a JPEG of {width} x {height} pixels and {components} components")
    exif = next((segment.content for segment in segments if _is_named(segment, APP1, b"Exif\0\0")), b"")
    for block in [segment.content[4:] for segment in segments if _is_named(segment, APP2, b"MPF\0")]:
        number, entries = [read_field(block, tag) for tag in MP_INDEX]
        if number != 1 and (number, entries) != (None, None):
            raise ImageError("unsupported image", f"{number or 'uncounted'} images in one file; expected one")
    if components == 4 and not any(_is_named(segment, APP14, b"Adobe") for segment in segments):
        raise ImageError("unsupported image", "a CMYK JPEG without Adobe's marker, by which inks are stored inverted")
    profile_parts = [segment.content[12:] for segment in segments if _is_named(segment, APP2, ICC_NAME)]
    refuse_profile(b"".join(part[2:] for part in sorted(profile_parts, key=lambda part: part[:1])))
    jfif = next((segment.content for segment in segments if _is_named(segment, APP0, b"JFIF\0")), b"")
    densities = struct.unpack_from(">8xHH", jfif.ljust(12, b"\0"))  # across and down: ITU-T T.871, section 10.1
    num_scans = 1
    file.seek(max(file.seek(0, 2) - END_REACH, 0))
    if frame.marker in PROGRESSIVE or b"\xff\xd9" not in bytes(file.read()):
        file.seek(0)
        scans = read_scans(bytes(file.read()), segments)
        if scans.end is None:
            raise ImageError("truncated", "a JPEG that ends without its end marker")
        num_scans = scans.number if frame.marker in PROGRESSIVE else 1
    return Header(width, height, MODES[components], read_orientation(exif), num_scans, densities)


def read_segments(file: Any) -> Iterator[Segment]:
    """Yield the segments of an open file up to the header of its first scan."""
    file.seek(2)
    start = None  # of a marker, which any number of 0xff may precede
    for _ in range(MAX_BETWEEN):
        byte = file.read(1)
        if not byte:
            raise ImageError("truncated", "a JPEG that ends before its pixels")
        if byte == b"\xff":
            start = file.tell() - 1 if start is None else start
            continue
        if start is None:
            continue  # Bytes between segments, which libjpeg skips.
        marker, segment_start, start = byte[0], start, None
        if marker in (0, TEM, SOI) or marker in RESTARTS:
            continue
        if marker == EOI:
            raise ImageError("truncated", "a JPEG whose end marker comes before its pixels")
        length = int.from_bytes(file.read(2), "big")
        content = bytes(file.read(max(length - 2, 0)))
        if len(content) != length - 2:
            raise ImageError("truncated", "a JPEG that ends before its pixels")
        yield Segment(marker, segment_start, content)
        if marker == SOS:
            return
    raise ImageError("too large", f"a JPEG of more than {MAX_BETWEEN:,} bytes in and between markers; save it again")


def _find_frame(segments: list[Segment]) -> Segment:
    frames = [segment for segment in segments if segment.marker in FRAMES]
    if len(frames) != 1 or len(frames[0].content) < 6:
        raise ImageError("undecodable", f"a JPEG with {len(frames)} complete frame headers; expected one")
    if frames[0].marker not in SEQUENTIAL | PROGRESSIVE:
        kind = f"frame header SOF{frames[0].marker - 0xC0}"
        raise ImageError(
            "unsupported image", f"a lossless or hierarchical JPEG ({kind}); expected baseline or progressive"
        )
    return frames[0]


def _is_named(segment: Segment, marker: int, name: bytes) -> bool:
    return segment.marker == marker and segment.content.startswith(name)


def read_scans(data: bytes, segments: list[Segment]) -> Scans:
    """Walk through the scans of a JPEG up to its end marker.

    Args:
        data: The whole file.
        segments: Those up to the header of the first scan.
    """
    frame, number, position, end = _find_frame(segments), 0, segments[-1].start, None
    # low bits that are missing of each coefficient of a component; None: all
    missing: dict[int, list[int | None]] = {component: [None] * NUM_COEFFICIENTS for component in frame.content[6:-2:3]}
    while match := MARKER.search(data, position):
        marker, position = match[1][0], match.end()
        if marker == EOI:
            end = position
            break
        if marker in (TEM, SOI) or marker in RESTARTS:
            continue
        length = int.from_bytes(data[position : position + 2], "big")
        if marker == SOS:
            number += 1
            content = data[position + 2 : position + length]
            is_whole = content and len(content) >= 4 + 2 * content[0]
            first, last, bits = 0, NUM_COEFFICIENTS - 1, 0
            if is_whole and frame.marker in PROGRESSIVE:
                first, last, bits = content[-3], content[-2], content[-1] & 15
            for component in content[1 : 1 + 2 * content[0] : 2] if is_whole else ():
                if component in missing and last < NUM_COEFFICIENTS:
                    missing[component][first : last + 1] = [bits] * (last + 1 - first)
        position += length
    return Scans(number, end, any(bits != 0 for coefficients in missing.values() for bits in coefficients))


def decode(data: bytes, mode: str, min_size: tuple[int, int] = (0, 0)) -> Image:
    """Decode at the smallest scale (1, 7/8 ... 1/8) that is not below a size.

    Args:
        data: The whole file.
        mode: "L" for grey, or "RGB".
        min_size: Width and height in pixels, as stored; 0 for full size.

    Raises:
        ImageError: The compressed pixels are damaged or incomplete.
    """
    segments = list(read_segments(io.BytesIO(data)))
    frame = _find_frame(segments)
    components = frame.content[5]
    if (frame.marker in PROGRESSIVE or segments[-1].content[0] < components) and read_scans(data, segments).incomplete:
        raise ImageError("truncated", "a JPEG of several scans, the last of which are missing")
    colours = "CMYK" if components == 4 else {"L": "GRAY"}.get(mode, mode)
    try:
        pixels = _decode_strictly(data, colours, min_size)
    except ValueError as error:
        pixels = _decode_repaired(data, segments, str(error), (colours, min_size))
    if colours == "GRAY":
        return pillow.fromarray(pixels[..., 0])
    if colours == "CMYK":
        return pillow.fromarray(255 - pixels, "CMYK").convert(mode)
    return pillow.fromarray(pixels)


def _decode_strictly(data: bytes, colours: str, min_size: tuple[int, int]) -> Any:
    import simplejpeg

    return simplejpeg.decode_jpeg(data, colours, min_width=min_size[0], min_height=min_size[1])


def _decode_repaired(data: bytes, segments: list[Segment], problem: str, target: tuple[str, tuple[int, int]]) -> Any:
    """Decode after a warning of libjpeg: without all that carries no pixels, the file must decode without a warning."""
    removed = 0
    for _ in range(3):  # libjpeg does not count bytes that it has read ahead.
        end = read_scans(data, segments).end or len(data)
        extra = int(match[1]) if (match := EXTRA.search(problem)) else 0
        surplus = data[end - 2 - extra : end - 2]
        removed += extra
        if removed > MAX_EXTRA and surplus.count(surplus[:1]) < extra:
            break
        headers = []
        for marker, _, content in segments:
            if marker == APP0 and content.startswith(b"JFIF\0") and content[5:6] not in (b"\1", b"\2"):
                content = content[:5] + b"\1" + content[6:]  # libjpeg warns of other versions, and does not use them.
            if marker not in range(APP1, APP14) and marker != COM:
                headers.append(bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2, "big") + content)
        body = data[segments[-1].start + 4 + len(segments[-1].content) : end - 2 - extra]
        data = b"".join([SIGNATURE[:2], *headers, body, bytes([0xFF, EOI])])
        try:
            return _decode_strictly(data, *target)
        except ValueError as error:
            if str(error) == problem and not extra:
                break
            problem = str(error)
            segments = list(read_segments(io.BytesIO(data)))
    reason = "truncated" if "premature end" in problem else "undecodable"
    raise ImageError(reason, f"damaged pixels of a JPEG: {problem}")
