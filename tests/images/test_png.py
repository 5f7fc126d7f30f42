"""Rows of a PNG are counted to the byte, and its mode is that of its depth."""

import io
import struct
import zlib

import numpy as np
import pytest

from chest_xray.images.header import ImageError
from chest_xray.images.png import decode, read_header
from tests.images.unusual_files import chunk, write_png


@pytest.mark.parametrize("interlace", [0, 1])
def test_one_byte_of_rows_too_few_is_noticed_at_every_size(interlace: int) -> None:
    for height in range(1, 10):
        for width in range(1, 10):
            pixels = np.arange(height * width, dtype=np.uint8).reshape(height, width, 1)
            np.testing.assert_array_equal(decode(write_png(pixels, 8, 0, interlace)), pixels[..., 0])
            cut = write_png(pixels, 8, 0, interlace, rows=lambda raw: zlib.compress(raw[:-1]))
            with pytest.raises(ImageError, match="bytes of rows"):
                decode(cut)


def test_an_interlaced_image_has_the_rows_of_seven_passes() -> None:
    # Of 5 x 5 pixels: 1 x 1, 1 x 1, 2 x 1, 1 x 2, 3 x 1, 2 x 3 and 5 x 2, each row with a byte for its filter.
    num_bytes = 2 + 2 + 3 + 2 * 2 + 4 + 3 * 3 + 2 * 6
    data = write_png(np.zeros((5, 5, 1), np.uint8), 8, 0, 1, rows=lambda raw: zlib.compress(raw[:-1]))
    with pytest.raises(ImageError, match=f"a PNG with {num_bytes - 1} of {num_bytes} bytes of rows"):
        decode(data)


@pytest.mark.parametrize(("depth", "mode"), [(1, "1"), (2, "L"), (4, "L"), (8, "L"), (16, "I;16")])
def test_the_mode_of_a_grey_image_follows_its_depth(depth: int, mode: str) -> None:
    assert read_header(io.BytesIO(write_png(np.ones((4, 4, 1), np.uint16), depth, 0))).mode == mode


def test_what_is_transparent_is_black_to_the_last_of_sixteen_bits() -> None:
    pixels = np.array([[[7], [500], [65535]]], np.uint16)
    found = decode(write_png(pixels, 16, 0, before=chunk(b"tRNS", struct.pack(">H", 500))))
    assert found.mode == "I;16"
    assert np.asarray(found).tolist() == [[7, 0, 65535]]


def test_the_last_byte_of_the_end_marker_is_not_missing() -> None:
    whole = write_png(np.zeros((4, 4, 1), np.uint8), 8, 0)
    assert read_header(io.BytesIO(whole)).upright == (4, 4)
    with pytest.raises(ImageError, match="a PNG that ends without its end marker"):
        read_header(io.BytesIO(whole[:-1]))
