"""A corruption changes one thing, by the given strength; covering hides what it should, and reveals nothing of it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from chest_xray.core.types import Array
from chest_xray.images.corruptions import (
    KINDS,
    Occlusion,
    central_region,
    corrupt,
    cover,
    fit,
    locate_evidence,
    read_working_image,
    scale_evidence,
)
from tests.builders import make_pixels


def make_picture(height: int = 20, width: int = 30) -> Array:
    return np.random.default_rng(0).uniform(0, 1, (height, width)).astype(np.float32)


def take(kind: str, strength: float, picture: Array | None = None, seed: int = 1) -> Array:
    return corrupt(make_picture() if picture is None else picture, kind, strength, np.random.default_rng(seed))


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_stays_float32_from_0_to_1_and_is_not_changed_itself(kind: str) -> None:
    picture = make_picture()
    again = take(kind, 0.5, picture)
    assert again.dtype == np.float32
    assert again.min() >= 0
    assert again.max() <= 1
    np.testing.assert_array_equal(picture, make_picture())
    if kind != "none":
        assert again.shape != picture.shape or np.abs(again - picture).mean() > 0.001


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_image(kind: str) -> None:
    np.testing.assert_array_equal(take(kind, 0.2), take(kind, 0.2))


def test_none_changes_nothing() -> None:
    np.testing.assert_array_equal(take("none", 0.5), make_picture())


def test_contrast_takes_its_share_of_the_distance_from_the_mean() -> None:
    picture = np.array([[0.1, 0.3], [0.5, 0.7]], np.float32)  # mean 0.4
    np.testing.assert_allclose(take("contrast", 0.5, picture), [[0.25, 0.35], [0.45, 0.55]], atol=1e-6)


def test_gamma_raises_to_a_power_either_way() -> None:
    # exp(log 2) is 2, exp(-log 2) a half; black and white stay.
    picture = np.array([[0.0, 0.25, 0.64, 1.0]], np.float32)
    found = [take("gamma", np.log(2), picture, seed) for seed in range(20)]
    squared, rooted = [[0, 0.0625, 0.4096, 1]], [[0, 0.5, 0.8, 1]]
    for each in found:
        np.testing.assert_allclose(each, squared if each[0, 1] < 0.25 else rooted, atol=1e-6)
    assert len({float(each[0, 1]) for each in found}) == 2


def test_noise_has_the_stated_standard_deviation_and_mean_zero() -> None:
    grain = take("noise", 0.1, np.full((200, 200), 0.5, np.float32)) - 0.5
    assert grain.std() == pytest.approx(0.1, rel=0.02)
    assert grain.mean() == pytest.approx(0, abs=0.002)
    assert np.corrcoef(grain[:, :-1].ravel(), grain[:, 1:].ravel())[0, 1] == pytest.approx(0, abs=0.02)


def test_blur_spreads_a_point_by_the_stated_standard_deviation_in_pixels() -> None:
    picture = np.zeros((41, 41), np.float32)
    picture[20, 20] = 1
    spread = take("blur", 3.0, picture)
    assert spread.sum() == pytest.approx(1, rel=1e-4)
    places = np.arange(41) - 20
    for axis in (0, 1):
        assert np.sqrt((spread.sum(axis=axis) * places**2).sum()) == pytest.approx(3, rel=0.01)


def test_a_crop_keeps_the_rest_of_both_sides_from_a_place_of_its_own() -> None:
    picture = np.arange(600, dtype=np.float32).reshape(20, 30) / 600
    corners = set()
    for seed in range(40):
        found = take("crop", 0.3, picture, seed)
        assert found.shape == (14, 21)
        top, left = divmod(round(float(found[0, 0]) * 600), 30)
        np.testing.assert_array_equal(found, picture[top : top + 14, left : left + 21])
        corners.add((top, left))
    assert {top for top, _ in corners} == set(range(6))  # anywhere from 0 to 0.3 x 20, rounded down
    assert max(left for _, left in corners) == 8


def test_tilt_turns_by_the_stated_degrees_either_way_and_keeps_the_shape() -> None:
    picture = ndimage.gaussian_filter(np.pad(np.ones((3, 11), np.float32), ((9, 9), (5, 5))), 1)
    found = [take("tilt", 10.0, picture, seed) for seed in range(10)]
    assert {each.shape for each in found} == {(21, 21)}

    def angle(each: Array) -> float:
        y, x = np.indices(each.shape) - 10
        return float(np.degrees(np.arctan2(2 * (each * x * y).sum(), (each * (x**2 - y**2)).sum()) / 2))

    assert {round(angle(each)) for each in found} == {-10, 10}


def test_collimation_cuts_the_width_or_the_height_half_on_each_side() -> None:
    picture = make_picture()
    narrower, lower = picture[:, 3:27], picture[2:18]  # 0.2 of 30 and of 20 is 6 and 4
    found = [take("collimation", 0.2, picture, seed) for seed in range(10)]
    for each in found:
        np.testing.assert_array_equal(each, narrower if each.shape == (20, 24) else lower)
    assert {each.shape for each in found} == {(20, 24), (16, 30)}


def test_wider_cuts_the_height_and_narrower_the_width() -> None:
    picture = make_picture()
    for seed in range(4):
        np.testing.assert_array_equal(take("wider", 0.2, picture, seed), picture[2:18])
        np.testing.assert_array_equal(take("narrower", 0.2, picture, seed), picture[:, 3:27])


def make_soft_picture() -> Array:
    """Grey values that change slowly, as in a radiograph."""
    return ndimage.gaussian_filter(np.random.default_rng(0).uniform(0, 1, (64, 80)), 4).astype(np.float32)


def test_a_jpeg_of_the_highest_quality_is_nearly_the_image_and_one_of_low_quality_is_not() -> None:
    picture = make_soft_picture()
    losses = [float(np.abs(take("jpeg", quality, picture) - picture).max()) for quality in (100, 50, 5)]
    assert losses[0] < 2 / 255
    assert losses[0] < losses[1] < losses[2]
    assert losses[2] > 5 / 255


def test_a_jpeg_of_low_quality_has_lost_all_but_the_mean_of_a_block() -> None:
    # At quality 1 every step of the quantisation is at its coarsest: fine noise is gone, blocks of 8 x 8 are even.
    noise = np.random.default_rng(0).uniform(0.45, 0.55, (16, 24)).astype(np.float32)
    stored = take("jpeg", 1, noise)
    assert stored.shape == noise.shape
    assert stored.dtype == np.float32
    blocks = stored.reshape(2, 8, 3, 8)
    np.testing.assert_array_equal(blocks.max(axis=(1, 3)), blocks.min(axis=(1, 3)))


def test_a_jpeg_is_not_among_the_kinds_that_validation_combines() -> None:
    assert "jpeg" not in KINDS


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(
        ValueError,
        match=r"received the corruption 'stretch'; expected one of none, contr.*collimation, wider, narrower, jpeg\.",
    ):
        take("stretch", 0.5)


def test_an_image_of_any_shape_is_fitted_to_width_and_height_in_grey_values() -> None:
    fitted = fit(make_picture(20, 30), (12, 8), "stretch")
    assert fitted.shape == (8, 12)
    assert fitted.dtype == np.uint8
    # Grey values are rounded, and those beyond 0 and 1 held there.
    flat = np.array([[-0.5, 0.0, 0.501, 1.0, 1.5]], np.float32)
    assert fit(flat, (5, 1), "stretch").tolist() == [[0, 0, 128, 255, 255]]


@pytest.mark.parametrize(
    ("width", "height", "shape"), [(512, 400, (256, 328)), (300, 600, (512, 256)), (100, 50, (256, 512))]
)
def test_a_working_image_has_256_pixels_on_its_shorter_side(
    width: int, height: int, shape: tuple[int, int], tmp_path: Path
) -> None:
    ramp = np.tile(np.linspace(0, 255, width).astype(np.uint8), (height, 1))
    Image.fromarray(ramp).save(tmp_path / "ramp.png")
    picture = read_working_image(str(tmp_path / "ramp.png"))
    assert picture.shape == shape
    assert picture.dtype == np.float32
    assert picture[:, 0].max() < 0.02
    assert picture[:, -1].min() > 0.98


def make_occlusion(**changes: Any) -> Occlusion:
    return Occlusion.model_validate({"shape": "box", "width": 0.5, "height": 0.5, **changes})


def test_a_box_covers_its_shares_of_the_sides_from_the_middle() -> None:
    expected = np.zeros((8, 12), bool)
    expected[2:6, 4:8] = True  # half of 8 rows, a third of 12 columns
    np.testing.assert_array_equal(central_region((8, 12), make_occlusion(width=1 / 3)), expected)


def test_an_ellipse_leaves_the_corners_of_its_box() -> None:
    found = central_region((8, 8), make_occlusion(shape="ellipse", width=0.99, height=0.99))
    # The middles of a row lie at 1/8, 3/8, 5/8, 7/8 of the half side: (7/8, 5/8) is 1.075 away and out, (7/8, 3/8) in.
    assert found[0].tolist() == [False, False, True, True, True, True, False, False]
    assert found[1].tolist() == [False] + [True] * 6 + [False]
    assert found[3].all()
    np.testing.assert_array_equal(found, found[::-1, ::-1])


def test_what_is_not_hidden_stays_and_what_is_gets_the_mean_of_the_rest() -> None:
    pixels, hidden = make_pixels(3, 8, 8), central_region((8, 8), make_occlusion())
    before = pixels.copy()
    covered = cover(pixels, hidden)
    assert covered.dtype == np.uint8
    np.testing.assert_array_equal(covered[:, ~hidden], pixels[:, ~hidden])
    for image, original in zip(covered, pixels, strict=True):
        assert set(image[hidden]) == {round(original[~hidden].mean())}
    np.testing.assert_array_equal(pixels, before)


def test_a_covered_image_reveals_nothing_of_what_it_hides() -> None:
    pixels, hidden = make_pixels(1, 8, 8), central_region((8, 8), make_occlusion())
    brighter = np.where(hidden, 255, pixels).astype(np.uint8)
    np.testing.assert_array_equal(cover(pixels, hidden), cover(brighter, hidden))


def test_white_is_1_in_a_working_image(tmp_path: Path) -> None:
    Image.new("L", (40, 30), 255).save(tmp_path / "white.png")
    assert (read_working_image(str(tmp_path / "white.png")) == 1).all()


@pytest.mark.parametrize("width", [0.0, 1.0])
def test_a_region_of_nothing_or_of_everything_is_refused(width: float) -> None:
    with pytest.raises(ValueError, match=f"width: received {width}"):
        make_occlusion(width=width)


def test_covering_that_lowers_the_logit_marks_evidence() -> None:
    pixels = np.full((24, 36), 50, np.uint8)
    pixels[4:8, 18:24] = 250
    pixels[16:20, 6:12] = 250
    # Bright is evidence for pneumonia above, against it below. Covered by the others' mean of 56, a window loses 4.66.
    signs = np.where(np.arange(24) < 12, 1, -1)[:, None] / 1000

    found = locate_evidence(lambda images: (images * signs).sum(axis=(1, 2)), pixels)

    assert found.shape == pixels.shape
    assert found.dtype == np.float32
    assert divmod(int(found.argmax()), 36) == (4, 18)
    assert divmod(int(found.argmin()), 36) == (16, 6)
    # Windows of 4 x 6 start every 2 x 3: four cover (4, 18), with all, half, half and a quarter of the bright one.
    assert found.max() == pytest.approx(4.66 * (1 + 1 / 2 + 1 / 2 + 1 / 4) / 4, rel=0.05)
    assert np.abs(found[20:, 30:]).max() < 0.3


def test_whole_windows_are_covered_half_a_window_apart() -> None:
    nums = []

    def compute_logits(images: Array) -> Array:
        nums.append(len(images))
        return np.zeros(len(images))

    locate_evidence(compute_logits, make_pixels(1, 24, 36)[0])
    assert nums == [1 + 11 * 11]  # the image itself, and 4 x 6 pixels from every second row and third column on


@pytest.mark.parametrize(("largest", "scaled"), [(4.0, [0, 0, 0.5, 1]), (0.5, [0, 0, 0.25, 0.5])])
def test_evidence_is_scaled_to_its_largest_value_or_to_log_odds_of_1(largest: float, scaled: list[float]) -> None:
    assert scale_evidence(np.array([-largest, 0, largest / 2, largest])).tolist() == scaled


def test_every_pixel_is_covered_at_any_size() -> None:
    found = locate_evidence(lambda images: np.zeros(len(images)), make_pixels(1, 13, 5)[0])
    assert found.tolist() == np.zeros((13, 5)).tolist()
