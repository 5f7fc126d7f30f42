"""Every kind of pixel becomes the same grey, at any geometry."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import simplejpeg
from PIL import Image, ImageOps

from chest_xray.core.types import Array, InputError
from chest_xray.images.decoding import decode_colours, decode_grey, read_pixels
from chest_xray.images.header import ImageError, read_orientation


def encode(image: Image.Image, kind: str = "PNG", **settings: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **settings)
    return buffer.getvalue()


def ramp(width: int, height: int) -> Array:
    """Dark on the left, bright on the right."""
    return np.tile(np.linspace(0, 255, width).astype(np.uint8), (height, 1))


@pytest.mark.parametrize("mode", ["L", "RGB", "P", "CMYK", "1", "YCbCr"])
def test_every_colour_mode_gives_the_same_grey(mode: str) -> None:
    halves = np.zeros((32, 32), np.uint8)
    halves[:, 16:] = 255
    kind = "JPEG" if mode in ("CMYK", "YCbCr") else "PNG"
    data = encode(
        Image.fromarray(halves).convert("RGB").convert(mode), kind, **({"quality": 100} if kind == "JPEG" else {})
    )
    assert np.abs(decode_grey(data, (32, 32)).astype(int) - halves).max() <= 1


def test_a_grey_jpeg_and_its_rgb_copy_give_the_same_grey() -> None:
    image = Image.fromarray(ramp(200, 160))
    grey, colour = encode(image, "JPEG", quality=95), encode(image.convert("RGB"), "JPEG", quality=95)
    difference = decode_grey(grey, (32, 32)).astype(int) - decode_grey(colour, (32, 32))
    assert np.abs(difference).max() <= 2


@pytest.mark.parametrize("inks", ["colours", "black"])
def test_a_cmyk_jpeg_is_read_the_right_way_round(inks: str) -> None:
    none, black = Image.new("L", (64, 64), 0), Image.fromarray(255 - ramp(64, 64))
    image = Image.merge("CMYK", (none, none, none, black) if inks == "black" else (black, black, black, none))
    data = encode(image, "JPEG", quality=95)
    grey = decode_grey(data, (16, 16))
    assert grey[:, 0].mean() < 40
    assert grey[:, -1].mean() > 215


def test_sixteen_bits_keep_their_eight_uppermost() -> None:
    pixels = np.array([[0, 0x4000], [0x8000, 0xFFFF]], np.uint16).repeat(16, 0).repeat(16, 1)
    assert decode_grey(encode(Image.fromarray(pixels)), (32, 32))[::31, ::31].tolist() == [[0, 64], [128, 255]]


def test_twelve_bits_in_a_sixteen_bit_file_are_not_black() -> None:
    pixels = np.array([[0, 1024], [2048, 4095]], np.uint16).repeat(16, 0).repeat(16, 1)
    assert decode_grey(encode(Image.fromarray(pixels)), (32, 32))[::31, ::31].tolist() == [[0, 64], [128, 255]]


def test_transparent_pixels_become_black() -> None:
    pixels = np.full((32, 32, 4), 255, np.uint8)
    pixels[:, :16, 3] = 0
    grey = decode_grey(encode(Image.fromarray(pixels)), (32, 32))
    assert (grey[:, :16] == 0).all()
    assert (grey[:, 16:] == 255).all()


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_an_image_on_its_side_by_exif_is_turned_upright(kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # To be turned a quarter clockwise: the dark left side becomes the top.
    grey = decode_grey(encode(Image.fromarray(ramp(64, 64)), kind, exif=exif.tobytes()), (16, 16))
    assert grey[0].mean() < 40
    assert grey[-1].mean() > 215


# What a viewer has to do with the stored picture for each value (Exif 2.32, tag 0x0112).
UPRIGHT: dict[int, Any] = {
    **{1: lambda stored: stored, 2: np.fliplr, 3: lambda stored: np.rot90(stored, 2), 4: np.flipud},
    **{5: np.transpose, 6: lambda stored: np.rot90(stored, -1)},
    **{7: lambda stored: np.rot90(np.transpose(stored), 2), 8: np.rot90},
}


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_every_orientation_of_exif_is_turned_upright(orientation: int, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    # Four quarters of different greys, in a picture that is wider than high.
    stored = np.repeat(np.repeat(np.array([[20, 90], [160, 240]], np.uint8), 32, axis=0), 48, axis=1)
    upright = UPRIGHT[orientation](stored)
    grey = decode_grey(encode(Image.fromarray(stored), kind, exif=exif.tobytes()), upright.shape[::-1])
    np.testing.assert_allclose(grey[8::48, 8::48], upright[8::48, 8::48], atol=3)


def test_any_tiff_image_is_refused() -> None:
    with pytest.raises(ImageError, match=r"begins with b'II\*.*; expected JPEG, PNG or DICOM"):
        decode_grey(encode(Image.fromarray(np.ones((8, 8), np.float32)), "TIFF"), (16, 16))


def test_stretching_keeps_both_ends_and_cropping_keeps_the_centre() -> None:
    data = encode(Image.fromarray(ramp(256, 64)))
    stretched, cropped = decode_grey(data, (64, 64)), decode_grey(data, (64, 64), "crop")
    assert stretched[0, 0] < 5
    assert stretched[0, -1] > 250
    assert cropped[0, 0] == pytest.approx(96, abs=2)  # Columns 96 to 160 of 256.
    assert cropped[0, -1] == pytest.approx(159, abs=2)


def test_padding_keeps_the_proportions_and_fills_with_black() -> None:
    grey = decode_grey(encode(Image.new("L", (256, 64), 255)), (64, 64), "pad")
    assert (grey[24:40] == 255).all()  # 64 x 16, in the middle.
    assert grey[:23].max() == 0
    assert grey[41:].max() == 0


@pytest.mark.parametrize("geometry", ["stretch", "crop", "pad"])
def test_scaled_decoding_shows_what_full_decoding_shows(geometry: Any) -> None:
    rng = np.random.default_rng(0)
    smooth = Image.fromarray(rng.integers(0, 256, (48, 64), np.uint8)).resize((320, 240), Image.Resampling.BICUBIC)
    fast = decode_grey(encode(smooth, "JPEG", quality=98), (48, 64), geometry).astype(int)
    full = decode_grey(encode(smooth), (48, 64), geometry)
    assert np.abs(fast - full).mean() < 2


def test_a_jpeg_on_its_side_is_as_sharp_as_an_upright_one() -> None:
    coarse = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)
    fine = Image.fromarray(coarse).resize((512, 512), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[0x0112] = 3  # Upside down.
    turned = decode_grey(encode(fine, "JPEG", quality=98, exif=exif.tobytes()), (200, 200)).astype(int)
    assert np.abs(turned[::-1, ::-1] - decode_grey(encode(fine), (200, 200))).mean() < 3


@pytest.mark.parametrize("geometry", ["stretch", "crop", "pad"])
def test_a_jpeg_smaller_than_the_result_is_enlarged(geometry: Any) -> None:
    assert decode_grey(encode(Image.fromarray(ramp(20, 12)), "JPEG"), (64, 48), geometry).shape == (48, 64)


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width), np.uint8))


@pytest.mark.parametrize(
    ("size", "wanted", "geometry", "decoded"),
    [
        # At eighths of the size: 7/8 for a stretch to 270 x 200.
        ((320, 240), (270, 200), "stretch", (280, 210)),
        # Cropping to a square shows 100 of the shorter side, 134 of the longer: half.
        *(((320, 240), (100, 100), "crop", (160, 120)), ((240, 320), (100, 100), "crop", (120, 160))),
        # Padding shows 100 of the longer side, 75 of the shorter: 3/8.
        *(((320, 240), (100, 100), "pad", (120, 90)), ((240, 320), (100, 100), "pad", (90, 120))),
        # 100 of 320 is more than 60 of 240, and 60 of 320 is less than 100 of 240.
        *(((320, 240), (100, 60), "crop", (120, 90)), ((320, 240), (60, 100), "pad", (80, 60))),
    ],
)
def test_a_jpeg_is_decoded_at_the_least_scale_that_the_result_can_show(
    size: tuple[int, int], wanted: tuple[int, int], geometry: Any, decoded: tuple[int, int]
) -> None:
    data = encode(noise(*size), "JPEG", quality=95)
    grey = simplejpeg.decode_jpeg(data, "GRAY", min_width=decoded[0], min_height=decoded[1])[..., 0]
    assert grey.shape == decoded[::-1]
    picture, bilinear = Image.fromarray(grey), Image.Resampling.BILINEAR
    expected = {
        "stretch": lambda: picture.resize(wanted, bilinear),
        "crop": lambda: ImageOps.fit(picture, wanted, bilinear),
        "pad": lambda: ImageOps.pad(picture, wanted, bilinear, color=0),
    }[geometry]()
    np.testing.assert_array_equal(decode_grey(data, wanted, geometry), expected)


def test_a_jpeg_on_its_side_is_decoded_at_the_least_scale_of_its_upright_size() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encode(noise(240, 320), "JPEG", quality=95, exif=exif.tobytes())
    # 270 x 200 of 320 x 240 upright are 200 x 270 of 240 x 320 as stored: 7/8.
    stored = simplejpeg.decode_jpeg(data, "GRAY", min_width=210, min_height=280)[..., 0]
    assert stored.shape == (280, 210)
    upright = Image.fromarray(np.rot90(stored, -1)).resize((270, 200), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(decode_grey(data, (270, 200)), upright)


@pytest.mark.parametrize(("long", "short", "eighths"), [(600, 512, 1), (600, 504, 2), (56, 40, 8)])
def test_colours_of_a_jpeg_are_decoded_at_the_least_scale_with_64_pixels_a_side(
    long: int, short: int, eighths: int
) -> None:
    for size in ((long, short), (short, long)):
        image = decode_colours(encode(noise(*size).convert("RGB"), "JPEG"))
        assert (image.mode, image.size) == ("RGB", tuple(side * eighths // 8 for side in size))


def test_a_mention_of_exif_that_turns_nothing_changes_no_pixel() -> None:
    plain = decode_grey(encode(noise(320, 240), "JPEG", quality=95), (270, 200))
    for tags in ({0x0112: 1}, {0x010E: "Exif"}):
        exif = Image.Exif()
        exif.update(tags)
        data = encode(noise(320, 240), "JPEG", quality=95, exif=exif.tobytes())
        np.testing.assert_array_equal(decode_grey(data, (270, 200)), plain)


@pytest.mark.parametrize("before", [0, 40_000])
@pytest.mark.parametrize("described", [10, 220])
def test_an_exif_block_turns_a_jpeg_wherever_it_is_and_however_long_it_is(before: int, described: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "x" * described  # 220 characters make a segment of 268 bytes, in the lower byte of which stands 12
    data = encode(Image.fromarray(ramp(64, 64)), "JPEG", exif=exif.tobytes())
    comment = b"\xff\xfe" + (before + 2).to_bytes(2, "big") + bytes(before)
    grey = decode_grey(data[:2] + comment + data[2:], (16, 16))
    assert grey[0].mean() < 40
    assert grey[-1].mean() > 215


def test_an_exif_block_is_found_behind_long_comments() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encode(Image.fromarray(ramp(64, 64)), "JPEG", exif=exif.tobytes())
    comment = b"\xff\xfe" + (40_002).to_bytes(2, "big") + bytes(40_000)
    grey = decode_grey(data[:2] + 2 * comment + data[2:], (16, 16))
    assert grey[0].mean() < 40
    assert grey[-1].mean() > 215


def test_without_exif_an_image_is_upright() -> None:
    assert read_orientation(b"") == 1
    assert read_orientation(Image.Exif().tobytes()) == 1


def test_eight_bits_in_a_deeper_file_stay_as_they_are() -> None:
    shallow = np.array([[0, 100], [200, 255]], np.uint16).repeat(16, 0).repeat(16, 1)
    assert decode_grey(encode(Image.fromarray(shallow)), (32, 32))[::31, ::31].tolist() == [[0, 100], [200, 255]]


def test_a_file_that_cannot_be_decoded_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.jpeg").write_bytes(b"\xff\xd8\xff nothing more")
    with pytest.raises(
        InputError, match=r"^cannot decode .*a\.jpeg: .*\. Replace the file or remove it, and run again"
    ):
        read_pixels(str(tmp_path / "a.jpeg"), 16, 16)
