"""The orientation is read from every type of number that a writer may choose."""

import struct

import pytest

from chest_xray.images.header import Header, read_orientation


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
