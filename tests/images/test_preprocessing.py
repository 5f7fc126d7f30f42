"""What changes the fingerprint of prepared images, what the options refuse, and which border is cut off."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageOps

from chest_xray.core.types import Array, InputError
from chest_xray.images.decoding import Geometry, decode_upright
from chest_xray.images.phantoms import draw_phantom
from chest_xray.images.preprocessing import (
    Preparation,
    PreparedImage,
    decode_content,
    estimate_work,
    find_content,
    fingerprint_files,
    measure_appearance,
    preprocess_file,
)
from chest_xray.pipelines.data_processing.nodes import prepare_images
from tests.builders import encode, make_acceptance, make_pixels

LIMITS = make_acceptance()
PREPARATION = Preparation(width=48, height=48)
IMAGES = pd.DataFrame({"path": ["a.jpeg", "b.jpeg"], "bytes": [1, 2], "modified": ["1", "2"]})


@pytest.fixture
def phantom() -> Image.Image:
    return Image.fromarray(draw_phantom(np.random.default_rng(3), "none"))


def prepare(image: Image.Image, kind: str = "PNG") -> tuple[Array, tuple[str, ...]]:
    found = preprocess_file(encode(np.asarray(image), kind), PREPARATION, LIMITS)
    assert isinstance(found, PreparedImage), found
    return found.pixels.astype(int), found.warnings


def test_a_picture_without_border_is_unchanged(phantom: Image.Image) -> None:
    assert find_content(phantom, 4, 0.02) is None
    expected = np.asarray(phantom.resize((48, 48), Image.Resampling.BILINEAR))
    pixels, warnings = prepare(phantom)
    np.testing.assert_array_equal(pixels, expected)
    assert warnings == ()


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("grey", [0, 90, 255])
@pytest.mark.parametrize("share", [0.05, 0.2, 0.6])
def test_a_border_of_any_grey_is_cut_off(phantom: Image.Image, share: float, grey: int, kind: str) -> None:
    bordered = ImageOps.expand(phantom, (round(share * phantom.width), round(share * phantom.height)), fill=grey)
    (pixels, warnings), (plain, _) = prepare(bordered, kind), prepare(phantom, kind)
    assert np.abs(pixels - plain).mean() < 4
    assert warnings == ("trimmed",)


def test_frames_around_one_another_and_padding_of_one_side_are_cut_off(phantom: Image.Image) -> None:
    framed = ImageOps.expand(ImageOps.expand(phantom, 20, fill=0), 30, fill=255)
    padded = ImageOps.expand(phantom, (0, 0, 60, 0), fill=0)
    for image in (framed, padded):
        assert np.abs(prepare(image)[0] - prepare(phantom)[0]).mean() < 4


def add_strip(width: int, grey: int = 0, fade: int = 0, size: tuple[int, int] = (200, 175)) -> Array:
    """Noise with a uniform strip at the left, into which it fades over a number of columns."""
    noise = np.random.default_rng(0).integers(0, 256, size)
    noise[:, :fade] = grey + (noise[:, :fade] - grey) * np.arange(fade) / max(fade, 1)
    return np.pad(noise, ((0, 0), (width, 0)), constant_values=grey).astype(np.uint8)


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_dark_strip_at_a_side_stays_where_it_is_as_narrow_as_in_radiographs_and_fades(side: str) -> None:
    def find(strip: Array) -> tuple[float, ...] | None:
        box = find_content(Image.fromarray(strip if side == "left" else strip[:, ::-1]), 4, 0.02)
        return box if side == "left" or box is None else (1 - box[2], box[1], 1 - box[0], box[3])

    assert find(add_strip(12, fade=25)) is None
    assert find(add_strip(25)) == (0.125, 0, 1, 1)
    for trimmed in (add_strip(25, fade=25), add_strip(12, grey=90, fade=25), add_strip(12)):
        box = find(trimmed)
        assert box is not None
        assert box[2] - box[0] == pytest.approx(175 / trimmed.shape[1], abs=0.015)


def test_beside_a_strip_that_ends_abruptly_a_fading_one_is_cut_off_too() -> None:
    image = np.pad(add_strip(12, fade=25), ((0, 0), (0, 12)))
    assert find_content(Image.fromarray(image), 4, 0.02) == pytest.approx((13 / 199, 0, 187 / 199, 1), abs=0.01)
    image[:, -12:-1] = image[:, [-13]]  # A strip of one column is no border.
    assert find_content(Image.fromarray(image), 4, 0.02) is None
    wide = np.pad(add_strip(12, fade=25), ((0, 0), (0, 25)))  # Radiographs have none so wide; the other may be theirs.
    assert find_content(Image.fromarray(wide), 4, 0.02) == (0, 0, 187 / 212, 1)


def test_a_strip_that_ends_abruptly_at_a_small_scale_alone_stays() -> None:
    data = encode(add_strip(50, fade=40, size=(800, 750)), "JPEG", quality=95)
    small = decode_upright(data, (96, 96), "stretch")
    assert find_content(small, 4, 0.02) is not None
    content = decode_content(data, (96, 96), "stretch", LIMITS)
    assert not content.is_trimmed
    np.testing.assert_array_equal(np.asarray(content.image), np.asarray(small))


def test_narrow_dark_strips_are_cut_off_in_a_frame() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (200, 200), dtype=np.uint8)
    box = find_content(Image.fromarray(np.pad(noise, 10)), 4, 0.02)
    assert box is not None
    np.testing.assert_allclose(box, (1 / 22, 1 / 22, 21 / 22, 21 / 22), atol=0.005)


def test_the_box_is_in_fractions_of_the_picture() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (60, 100), dtype=np.uint8)
    image = Image.fromarray(np.pad(noise, ((20, 20), (50, 50))))
    assert find_content(image, 4, 0.02) == (0.25, 0.2, 0.75, 0.8)


def test_a_narrow_strip_stays() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (100, 100), dtype=np.uint8)
    image = Image.fromarray(np.pad(noise, ((1, 0), (0, 0))))
    assert find_content(image, 4, 0.02) is None
    assert find_content(image, 4, 0.005) is not None
    between = np.pad(np.pad(noise, ((0, 0), (1, 0))), ((0, 0), (0, 30)), constant_values=255)
    assert find_content(Image.fromarray(between), 4, 0.02) == (0, 0, 101 / 131, 1)
    small = np.pad(noise[:40, :39], ((0, 0), (1, 0)))  # where one column is a fortieth
    assert find_content(Image.fromarray(small), 4, 0.02) == (1 / 40, 0, 1, 1)


def test_lines_that_deviate_by_exactly_the_tolerance_belong_to_a_border() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 40), dtype=np.uint8)
    stripes = np.tile(np.array([[100], [108]], np.uint8), (21, 10))  # of a deviation of 4
    bordered = np.hstack([np.pad(noise, 1, "reflect"), stripes])
    assert find_content(Image.fromarray(bordered), 4, 0.02) == (0, 0, 42 / 52, 1)
    assert find_content(Image.fromarray(bordered.T), 4, 0.02) == (0, 0, 1, 42 / 52)
    assert find_content(Image.fromarray(bordered), 3.99, 0.02) is None


@pytest.mark.parametrize("place", [1, -2])
def test_lines_that_differ_in_one_place_other_than_their_ends_belong_to_the_picture(place: int) -> None:
    image = np.pad(np.random.default_rng(0).integers(0, 256, (40, 40), dtype=np.uint8), ((0, 0), (0, 10)))
    image[place, 40:] = 255
    assert find_content(Image.fromarray(image), 4, 0.02) is None
    assert find_content(Image.fromarray(image.T), 4, 0.02) is None


def test_a_blank_picture_has_no_content_to_find() -> None:
    assert find_content(Image.new("L", (60, 40), 200), 4, 0.02) is None
    image = Image.new("L", (64, 64), 200)
    assert preprocess_file(encode(np.asarray(image)), PREPARATION, LIMITS)[0] == "blank"


def test_what_a_wide_border_leaves_is_decoded_at_the_scale_that_it_needs() -> None:
    fine = np.random.default_rng(0).integers(0, 256, (512, 512), dtype=np.uint8)
    data = encode(np.pad(fine, 512), "JPEG", quality=95)
    content = decode_content(data, (256, 256), "stretch", LIMITS)
    assert min(content.image.size) >= 256


def test_a_picture_that_is_too_small_without_its_border_is_refused() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (20, 20), dtype=np.uint8)
    refusal = preprocess_file(encode(np.pad(noise, 40)), PREPARATION, LIMITS)
    assert refusal[0] == "too_small"


def test_the_work_of_a_file_without_a_readable_header_is_none() -> None:
    pixels = make_pixels(1, 40, 60)[0]
    assert estimate_work(encode(pixels)) == 40 * 60
    assert estimate_work(encode(pixels)[:20]) == estimate_work(b"no image") == 0


def fingerprint(images: pd.DataFrame = IMAGES, **options: Any) -> str:
    preparation = Preparation(**{"width": 16, "height": 16, **options})
    return fingerprint_files(images[["path", "bytes", "modified"]], preparation)


def test_unchanged_inputs_and_parameters_have_the_same_fingerprint() -> None:
    assert fingerprint() == fingerprint(IMAGES.copy())


@pytest.mark.parametrize(
    "changed",
    [
        fingerprint(width=32),
        fingerprint(height=32),
        fingerprint(geometry="crop"),
        fingerprint(IMAGES.assign(path=["a.jpeg", "c.jpeg"])),
        fingerprint(IMAGES.assign(bytes=[1, 3])),
        fingerprint(IMAGES.assign(modified=["1", "3"])),
        fingerprint(IMAGES.iloc[::-1]),
        fingerprint(IMAGES.iloc[:1]),
    ],
)
def test_any_change_to_files_or_parameters_changes_the_fingerprint(changed: str) -> None:
    assert changed != fingerprint()


def test_padding_warns_that_it_shows_the_shape(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    Image.fromarray(make_pixels(1, 40, 60)[0]).save(tmp_path / "a.png")
    images = IMAGES.iloc[:1].assign(path=str(tmp_path / "a.png"))

    def prepare(geometry: Geometry) -> None:
        prepare_images(images, Preparation(width=16, height=16, geometry=geometry), {})

    prepare(geometry="pad")
    assert "padding shows the shape of each image" in caplog.text
    caplog.clear()
    prepare(geometry="crop")
    assert caplog.text == ""


def test_an_unknown_geometry_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"geometry: received 'tile', but Input should be 'stretch', 'crop' or 'pad'"):
        Preparation.model_validate({"width": 16, "height": 16, "geometry": "tile"})


def test_sharpness_measures_detail_and_not_contrast_or_brightness() -> None:
    stripes = np.tile(np.array([100, 140], np.uint8), (1, 16, 8))  # The Laplacian is +-80 and the deviation 20.
    broad = np.tile(np.repeat(np.array([100, 140], np.uint8), 8), (1, 16, 1))
    assert measure_appearance(stripes)["sharpness"][0] == pytest.approx(4)
    assert measure_appearance(stripes // 2 + 50)["sharpness"][0] == pytest.approx(4)
    assert measure_appearance(broad)["sharpness"][0] < 1
    checks = np.where(np.indices((1, 16, 16)).sum(axis=0) % 2, 140, 100).astype(np.uint8)  # The Laplacian is +-160.
    assert measure_appearance(checks)["sharpness"][0] == pytest.approx(8)
    assert measure_appearance(np.full((1, 16, 16), 7, np.uint8))["sharpness"][0] == 0


def test_brightness_and_contrast_are_mean_and_deviation_of_the_grey_values() -> None:
    found = measure_appearance(np.tile(np.array([100, 140], np.uint8), (2, 16, 8)))
    assert found["brightness"].tolist() == [120, 120]
    assert found["grey_deviation"].tolist() == [20, 20]
