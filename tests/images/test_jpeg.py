"""The header of a JPEG is read whatever precedes it, and no scan is missed."""

import io
import struct

import numpy as np
import pytest

from chest_xray.images.header import ImageError
from chest_xray.images.jpeg import FRAMES, decode, read_header, read_scans, read_segments
from tests.builders import encode
from tests.dicom_files import ramp

JPEG = encode(ramp(np.uint8, 0, 255), "JPEG")  # 60 x 40 pixels
FRAME = JPEG.index(b"\xff\xc0")


def segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2, "big") + content


def insert(added: bytes) -> io.BytesIO:
    """The JPEG with a segment before its frame header."""
    return io.BytesIO(JPEG[:FRAME] + added + JPEG[FRAME:])


@pytest.mark.parametrize("marker", [0xC4, 0xC8, 0xCC])
def test_a_table_beside_the_frame_header_is_none(marker: int) -> None:
    assert read_header(insert(segment(marker, bytes(17)))).upright == (60, 40)


@pytest.mark.parametrize("marker", [*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0)])
def test_every_kind_of_frame_header_is_read_or_named(marker: int) -> None:
    assert marker in FRAMES
    file = io.BytesIO(JPEG[: FRAME + 1] + bytes([marker]) + JPEG[FRAME + 2 :])
    if marker in (0xC0, 0xC1, 0xC2, 0xC9, 0xCA):
        assert read_header(file).upright == (60, 40)
    else:
        with pytest.raises(ImageError, match=f"lossless or hierarchical JPEG .frame header SOF{marker - 0xC0}"):
            read_header(file)


def list_pictures(number: int) -> bytes:
    """An index of pictures: its version, then their number."""
    version = struct.pack("<HHI4s", 0xB000, 7, 4, b"0100")
    return b"MPF\0II*\0" + struct.pack("<IH", 8, 2) + version + struct.pack("<HHII", 0xB001, 4, 1, number)


def test_a_single_image_index_is_accepted() -> None:
    assert read_header(insert(segment(0xE2, list_pictures(1)))).upright == (60, 40)
    with pytest.raises(ImageError, match="2 images in one file; expected one"):
        read_header(insert(segment(0xE2, list_pictures(2))))


@pytest.mark.parametrize("index", [b"MPF\0", b"MPF\0II*\0", list_pictures(2)[:-1], b"MPF\0II*\0" + bytes([255] * 4)])
def test_a_damaged_index_may_hide_other_images(index: bytes) -> None:
    with pytest.raises(ImageError, match="uncounted images in one file"):
        read_header(insert(segment(0xE2, index)))


def test_coefficients_are_missing_until_a_scan_of_their_own_component_brings_them() -> None:
    # Two components; each scan states theirs, then the first and the last coefficient and the bits.
    frame = segment(0xC2, b"\x08" + struct.pack(">HH", 8, 8) + bytes([2, 1, 0x11, 0, 2, 0x11, 0]))
    scans = [bytes([2, 1, 0, 2, 0, 0, 0, 0]), bytes([1, 2, 0, 1, 63, 0]), bytes([1, 1, 0, 1, 63, 0])]
    for number, incomplete in ((1, True), (2, True), (3, False)):
        data = b"\xff\xd8" + frame + b"".join(segment(0xDA, each) for each in scans[:number]) + b"\xff\xd9"
        found = read_scans(data, list(read_segments(io.BytesIO(data))))
        assert found == (number, len(data), incomplete)


def test_a_jpeg_without_its_last_scan_is_truncated_though_no_byte_of_the_others_is_missing() -> None:
    whole = encode(ramp(np.uint8, 0, 255), "JPEG", progressive=True)
    assert decode(whole, "L").size == (60, 40)
    with pytest.raises(ImageError, match="a JPEG of several scans, the last of which are missing"):
        decode(whole[: whole.rindex(b"\xff\xda")] + b"\xff\xd9", "L")
