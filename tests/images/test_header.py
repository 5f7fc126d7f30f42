"""The orientation is read from every type of number that a writer may choose."""

import struct

import numpy as np
import pytest

from chest_xray.images.header import Header, ImageError, read_orientation, refuse_profile, refuse_tones


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(
    ("kind", "letter", "orientation"),
    [(0, "B", 1), (1, "B", 6), (2, "B", 1), (3, "H", 6), (4, "I", 6), (5, "I", 1)],
)
def test_an_orientation_is_a_number_of_one_two_or_four_bytes(
    order: str, kind: int, letter: str, orientation: int
) -> None:
    start = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}IH", 8, 1)
    entry = struct.pack(f"{order}HHI", 0x0112, kind, 1) + struct.pack(order + letter, 6).ljust(4, b"\0")
    assert read_orientation(start + entry) == orientation


def test_an_image_is_upright_and_of_one_scan_unless_its_header_states_otherwise() -> None:
    assert Header(60, 40, "L") == Header(60, 40, "L", orientation=1, scans=1)
    assert Header(60, 40, "L").upright == (60, 40)


def make_grey_profile(gamma: float) -> bytes:
    """The least that a profile has (ICC.1, 7.2 and 10.6): a header, a white point, and a tone curve."""
    white = struct.pack(">3i", 63190, 65536, 54061)
    start = b"\2\x10\0\0mntrGRAYXYZ ".rjust(20, b"\0") + bytes(12) + b"acsp"
    tags = b"wtpt" + struct.pack(">II", 156, 20) + b"kTRC" + struct.pack(">II", 176, 14)
    content = b"XYZ \0\0\0\0" + white + b"curv" + struct.pack(">IIHxx", 0, 1, round(gamma * 256))
    rest = start.ljust(64, b"\0") + white
    return struct.pack(">I", 192) + rest.ljust(124, b"\0") + struct.pack(">I", 2) + tags + content


def test_the_gamma_of_a_grey_profile_counts() -> None:
    refuse_profile(make_grey_profile(2.2))
    with pytest.raises(ImageError, match=r"a colour profile or gamma that changes grey values by up to \d+ of 255"):
        refuse_profile(make_grey_profile(1.0))


def test_a_grey_value_is_displayed_as_another_up_to_32_away() -> None:
    displayed = np.arange(256.0)
    displayed[100] += 32
    refuse_tones(displayed)
    displayed[100] += 0.5
    with pytest.raises(ImageError, match="changes grey values by up to 32 of 255; expected at most 32"):
        refuse_tones(displayed)
