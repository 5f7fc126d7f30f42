"""Covering hides what it should, keeps what it should, and reveals nothing of what it hides."""

from typing import Any

import numpy as np
import pytest

from chest_xray.images.occlusion import Occlusion, central_region, cover, locate_evidence
from tests.builders import make_pixels


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


def test_every_pixel_is_covered_at_any_size() -> None:
    found = locate_evidence(lambda images: np.zeros(len(images)), make_pixels(1, 13, 5)[0])
    assert found.tolist() == np.zeros((13, 5)).tolist()
