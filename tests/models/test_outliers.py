"""Images that are not chest radiographs are detected by comparison with the training images."""

import io

import numpy as np
import pytest
from PIL import Image

from chest_xray.core.types import Array
from chest_xray.images.phantoms import draw_phantom
from chest_xray.images.validation import check_colour, check_contrast, check_header
from chest_xray.models.outliers import compute_ood_score, fit_ood_detector
from tests.builders import encode, make_acceptance, make_pixels

LIMITS = make_acceptance().model_dump()


def phantoms(first: int, num: int) -> Array:
    drawn = (draw_phantom(np.random.default_rng(number), "none") for number in range(first, first + num))
    return np.stack([np.asarray(Image.fromarray(each).resize((48, 48))) for each in drawn])


@pytest.fixture(scope="module")
def ood_detector() -> dict[str, Array]:
    return fit_ood_detector(phantoms(0, 120), make_acceptance())


def test_the_ood_score_is_near_two_for_training_like_images_and_high_for_others(ood_detector: dict[str, Array]) -> None:
    ordinary = compute_ood_score(phantoms(500, 40), ood_detector)
    assert 1 < np.median(ordinary) < 3.5
    others = {
        "noise": make_pixels(10, 48, 48),
        "negatives": 255 - phantoms(500, 10),
        "turned": np.rot90(phantoms(500, 10), axes=(1, 2)),
        "a gradient": np.tile(np.linspace(0, 255, 48, dtype=np.uint8), (1, 48, 1)),
        "a flat field": np.full((1, 48, 48), 128, np.uint8),
    }
    for name, images in others.items():
        assert compute_ood_score(images, ood_detector).min() > ordinary.max(), name


def test_brightness_and_contrast_do_not_change_the_ood_score(ood_detector: dict[str, Array]) -> None:
    images = phantoms(500, 10) // 2
    np.testing.assert_allclose(
        compute_ood_score(images + 100, ood_detector), compute_ood_score(images, ood_detector), rtol=1e-3
    )


def test_the_ood_score_agrees_with_scikit_learn(ood_detector: dict[str, Array]) -> None:
    from sklearn.decomposition import PCA

    def standard(images: Array) -> Array:
        small = np.stack([np.asarray(Image.fromarray(each).resize((32, 32), Image.Resampling.BOX)) for each in images])
        flat = small.reshape(len(images), -1).astype(float)
        return (flat - flat.mean(axis=1, keepdims=True)) / flat.std(axis=1, keepdims=True)

    train, new = standard(phantoms(0, 120)), standard(phantoms(500, 5))
    pca = PCA(16, svd_solver="full", whiten=True).fit(train)

    def off(images: Array) -> Array:
        return np.square(images - pca.inverse_transform(pca.transform(images))).mean(axis=1)

    expected = np.square(pca.transform(new)).mean(axis=1) + off(new) / off(train).mean()
    np.testing.assert_allclose(compute_ood_score(phantoms(500, 5), ood_detector), expected, rtol=0.02)


def test_colour_images_are_refused_but_grey_images_stored_as_rgb_are_not() -> None:
    grey = Image.fromarray(phantoms(0, 1)[0])
    red = Image.merge("RGB", (grey, grey.point(lambda value: value // 2), grey.point(lambda value: value // 2)))
    for kind in ("PNG", "JPEG"):
        assert check_colour(Image.open(io.BytesIO(encode(np.asarray(grey.convert("RGB")), kind))), LIMITS) is None
        refusal = check_colour(Image.open(io.BytesIO(encode(np.asarray(red), kind))), LIMITS)
        assert refusal is not None
        assert refusal[0] == "colour"


@pytest.mark.parametrize(
    ("size", "reason"),
    [((31, 40), "too_small"), ((32, 128), None), ((32, 129), "extreme_aspect"), ((400, 90), "extreme_aspect")],
)
def test_small_and_elongated_images_are_refused(size: tuple[int, int], reason: str | None) -> None:
    assert (check_header(size, LIMITS) or (None,))[0] == reason


def test_a_blank_image_is_refused() -> None:
    refusal = check_contrast(np.full((32, 32), 200, np.uint8), LIMITS)
    assert refusal == ("blank", "grey values deviate by 0.0 of 255; expected at least 10")
    assert check_contrast(phantoms(0, 1)[0], LIMITS) is None
