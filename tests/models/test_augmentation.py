"""Augmentation: each transform has the documented effect, and none at strength zero."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from chest_xray.core.types import Array, InputError
from chest_xray.models.augmentation import (
    NUM_DRAWS,
    Augmentation,
    _blur,
    affine_matrices,
    alter,
    augment,
    collimate,
    warp,
)

SEED = (3, 5)
EVERYTHING = Augmentation(
    horizontal_flip=True,
    **{"zoom": 0.2, "translation": 0.1, "tilt": 10, "aspect": 0.2},
    collimation=2.0,
    **{"brightness": 0.1, "contrast": 0.2, "gamma": 0.3, "noise": 0.05, "blur": 1.0},
)
# The position in `draws` of the random number of each transform.
FLIP, ZOOM, TILT, ASPECT, ACROSS, DOWN = range(6)


def make_images(num_images: int = 8, height: int = 16, width: int = 16) -> Array:
    return np.random.default_rng(0).uniform(0, 1, (num_images, height, width, 1)).astype(np.float32)


def aspects_of(images: Array) -> Array:
    return np.linspace(0.8, 2.5, len(images), dtype=np.float32)


def across(width: int = 5, height: int = 5) -> Array:
    """One image in which a pixel's value is its column / 10."""
    return np.tile(np.arange(width, dtype=np.float32) / 10, (height, 1))[None, ..., None]


def down() -> Array:
    """One image in which a pixel's value is its row / 10."""
    return across().transpose(0, 2, 1, 3)


def warp_by(images: Array, options: dict[str, Any], **draws: float) -> Array:
    """Warp by parameters that are fixed instead of drawn; the result without the axes of batch and channels."""
    fixed = np.zeros((6, len(images)), np.float32)
    for name, value in draws.items():
        fixed[globals()[name]] = value
    matrices = affine_matrices(Augmentation(**options), tf.constant(fixed), images.shape[1:3])
    return warp(images, matrices).numpy()[0, ..., 0]


def test_every_image_keeps_its_shape_type_and_range() -> None:
    images = make_images(height=16, width=20)
    altered = augment(images, EVERYTHING, SEED, aspects_of(images)).numpy()
    assert altered.shape == images.shape
    assert altered.dtype == np.float32
    assert altered.min() >= 0
    assert altered.max() <= 1
    assert all(not np.allclose(before, after, atol=0.01) for before, after in zip(images, altered, strict=True))


def test_zero_strength_changes_nothing() -> None:
    images = make_images()
    np.testing.assert_array_equal(augment(images, Augmentation(copies=3), SEED), images)


def test_equal_seeds_give_equal_images_and_different_seeds_different_ones() -> None:
    images = make_images()
    first = augment(images, EVERYTHING, SEED, aspects_of(images)).numpy()
    np.testing.assert_array_equal(augment(images, EVERYTHING, SEED, aspects_of(images)), first)
    for other in ((3, 6), (4, 5)):
        assert np.abs(augment(images, EVERYTHING, other, aspects_of(images)) - first).mean() > 0.01


def test_each_image_of_a_batch_has_its_own_random_draw() -> None:
    copies = augment(np.repeat(make_images(1), 4, axis=0), EVERYTHING, SEED, np.ones(4, np.float32)).numpy()
    for i in range(4):
        for j in range(i):
            assert np.abs(copies[i] - copies[j]).mean() > 0.01


def test_augmentation_gives_the_same_images_inside_and_outside_an_input_pipeline() -> None:
    images = make_images()
    dataset = tf.data.Dataset.from_tensors(images).map(
        lambda batch: augment(batch, EVERYTHING, SEED, aspects_of(images))
    )
    np.testing.assert_allclose(next(iter(dataset)), augment(images, EVERYTHING, SEED, aspects_of(images)), atol=1e-5)


def test_given_draws_have_the_same_effect_as_draws_from_a_seed() -> None:
    images = make_images()
    draws = tf.random.stateless_uniform([NUM_DRAWS, len(images)], SEED, -1, 1)
    np.testing.assert_array_equal(
        alter(images, EVERYTHING, draws, SEED, aspects_of(images)),
        augment(images, EVERYTHING, SEED, aspects_of(images)),
    )
    still = EVERYTHING.model_copy(update={"horizontal_flip": False, "noise": 0.0, "collimation": None})
    np.testing.assert_allclose(alter(images, still, tf.zeros_like(draws), SEED), images, atol=1e-3)  # a blur of 0.05 px


def test_a_flip_mirrors_left_and_right_only_where_the_draw_is_negative() -> None:
    image = make_images(1)
    np.testing.assert_allclose(warp_by(image, {"horizontal_flip": True}, FLIP=-1), image[0, :, ::-1, 0], atol=1e-6)
    np.testing.assert_allclose(warp_by(image, {"horizontal_flip": True}, FLIP=1), image[0, ..., 0], atol=1e-6)
    np.testing.assert_allclose(warp_by(image, {"tilt": 10}, FLIP=-1), image[0, ..., 0], atol=1e-6)


def test_about_half_of_the_copies_are_flipped() -> None:
    flipped = augment(np.repeat(across(), 400, axis=0), Augmentation(horizontal_flip=True), SEED).numpy()
    assert flipped[:, 0, 0, 0].mean() == pytest.approx(0.2, abs=0.03)  # 0 if unchanged, 0.4 if flipped


def test_zoom_enlarges_and_reduces_about_the_centre() -> None:
    # Factor 1.5: two thirds of a pixel apart, with column 2 in place.
    larger = warp_by(across(), {"zoom": 0.5}, ZOOM=1)
    np.testing.assert_allclose(larger[2], [0.2 / 3, 0.4 / 3, 0.2, 0.8 / 3, 1.0 / 3], atol=1e-6)
    # Factor 0.5: two pixels apart; columns -2 and 6 lie outside and show 1 and 3, mirrored at the edge.
    smaller = warp_by(across(), {"zoom": 0.5}, ZOOM=-1)
    np.testing.assert_allclose(smaller[2], [0.1, 0.0, 0.2, 0.4, 0.3], atol=1e-6)


def test_tilt_rotates_by_the_given_degrees() -> None:
    # 30 degrees: the pixel 2 above the centre (2, 2) comes from sin 30 x 2 = 1 right and cos 30 x 2 = 1.732 above it.
    options = {"tilt": 30}
    assert warp_by(across(), options, TILT=1)[0, 2] == pytest.approx(0.3, abs=1e-5)
    assert warp_by(down(), options, TILT=1)[0, 2] == pytest.approx(0.2 - 0.1732, abs=1e-5)
    # Half the draw is half the angle: sin 15 x 2 = 0.5176.
    assert warp_by(across(), options, TILT=0.5)[0, 2] == pytest.approx(0.25176, abs=1e-5)
    assert warp_by(across(), options, TILT=-1)[0, 2] == pytest.approx(0.1, abs=1e-5)


def test_translation_moves_by_a_fraction_of_the_side() -> None:
    # 0.4 of 5 pixels is 2.
    moved = warp_by(across(), {"translation": 0.4}, ACROSS=1)
    np.testing.assert_allclose(moved[2], [0.2, 0.3, 0.4, 0.4, 0.3], atol=1e-6)
    moved = warp_by(down(), {"translation": 0.4}, DOWN=-1)
    np.testing.assert_allclose(moved[:, 2], [0.1, 0.0, 0.0, 0.1, 0.2], atol=1e-6)
    # And of 10 pixels it is 4.
    assert warp_by(across(width=10), {"translation": 0.4}, ACROSS=1)[2, 0] == pytest.approx(0.4, abs=1e-6)


def test_translation_is_relative_to_height_vertically_and_to_width_horizontally() -> None:
    # 0.2 of a height of 5 is 1 pixel, of a width of 10 it is 2; the other side has no effect.
    wide, tall = across(width=10, height=5), across(width=10, height=5).transpose(0, 2, 1, 3)
    np.testing.assert_allclose(warp_by(tall, {"translation": 0.2}, DOWN=1)[0, :], 0.2, atol=1e-6)
    np.testing.assert_allclose(warp_by(wide, {"translation": 0.2}, ACROSS=1)[:, 0], 0.2, atol=1e-6)
    rows = np.tile(np.arange(5, dtype=np.float32)[:, None] / 10, (1, 10))[None, ..., None]
    np.testing.assert_allclose(warp_by(rows, {"translation": 0.2}, DOWN=1)[0, :], 0.1, atol=1e-6)
    np.testing.assert_allclose(
        warp_by(rows.transpose(0, 2, 1, 3), {"translation": 0.2}, ACROSS=1)[:, 0], 0.1, atol=1e-6
    )


def test_aspect_widens_as_much_as_it_flattens() -> None:
    # Width / height times 1.44 is 1.2 in width and 1 / 1.2 in height.
    options = {"aspect": 0.44}
    wider = [0.2 - 0.2 / 1.2, 0.2 - 0.1 / 1.2, 0.2, 0.2 + 0.1 / 1.2, 0.2 + 0.2 / 1.2]
    np.testing.assert_allclose(warp_by(across(), options, ASPECT=1)[2], wider, atol=1e-6)
    np.testing.assert_allclose(warp_by(down(), options, ASPECT=1)[1:4, 2], [0.08, 0.2, 0.32], atol=1e-6)


def cut(images: Array, draws: tuple[float, float], aspect: float, widest: float = 2.25) -> Array:
    """One image, collimated and nothing else."""
    matrices = affine_matrices(Augmentation(), tf.zeros([6, 1]), images.shape[1:3])
    cut_draws = tf.constant(draws, tf.float32, shape=(2, 1))
    matrices = collimate(matrices, widest, cut_draws, tf.constant([aspect]), images.shape[1:3])
    return warp(images, matrices).numpy()[0, ..., 0]


def test_collimation_crops_the_side_that_is_too_long_for_the_drawn_aspect_ratio() -> None:
    # From 1.5 to 2.25 in width / height: two thirds of the height are left, 2.67 of the 4 pixels from end to end.
    np.testing.assert_allclose(cut(down(), (1, -1), 1.5)[:, 2], np.linspace(0, 0.2667, 5), atol=1e-4)  # at the top
    np.testing.assert_allclose(cut(down(), (1, 1), 1.5)[:, 2], np.linspace(0.1333, 0.4, 5), atol=1e-4)
    np.testing.assert_allclose(cut(across(), (1, 1), 1.5)[2], across()[0, 2, :, 0], atol=1e-5)
    # To a square two thirds of the width; halfway on a logarithmic scale nothing.
    np.testing.assert_allclose(cut(across(), (-1, -1), 1.5)[2], np.linspace(0, 0.2667, 5), atol=1e-4)
    np.testing.assert_allclose(cut(down(), (-1, 1), 1.5)[:, 2], down()[0, :, 2, 0], atol=1e-5)
    for picture in (across(), down()):
        np.testing.assert_allclose(cut(picture, (0, 1), 1.5), picture[0, ..., 0], atol=1e-5)


def test_collimation_keeps_at_least_half_of_a_side() -> None:
    np.testing.assert_allclose(cut(across(), (-1, -1), 3.4)[2], np.linspace(0, 0.2, 5), atol=1e-5)


def test_collimation_makes_the_aspect_ratio_independent_of_the_original() -> None:
    images = np.repeat(across(), 400, axis=0)
    options = Augmentation(collimation=2.0)
    spans = []
    for aspect in (1.0, 2.0):
        copies = augment(images, options, SEED, np.full(400, aspect, np.float32)).numpy()
        shown = np.maximum(np.ptp(copies[:, 2, :, 0], axis=1) / 0.4, 1e-6)  # share of the width that is left
        high = augment(np.repeat(down(), 400, axis=0), options, SEED, np.full(400, aspect, np.float32)).numpy()
        spans.append(aspect * shown / (np.ptp(high[:, :, 2, 0], axis=1) / 0.4))
    np.testing.assert_allclose(spans[0], spans[1], rtol=1e-4)
    assert 1 <= spans[0].min() < 1.01
    assert 1.98 < spans[0].max() < 2.001


@pytest.mark.parametrize(("height", "width", "channels"), [(16, 16, 1), (15, 22, 2)])
def test_the_warp_agrees_with_tensorflow_at_any_distance(height: int, width: int, channels: int) -> None:
    images = np.random.default_rng(1).uniform(0, 1, (40, height, width, channels)).astype(np.float32)
    strongest = Augmentation(horizontal_flip=True, zoom=0.5, translation=0.5, tilt=45, aspect=0.5)
    draws = tf.random.stateless_uniform([6, 40], (1, 2), -1, 1)
    matrices = affine_matrices(strongest, draws, (height, width))
    theirs = tf.raw_ops.ImageProjectiveTransformV3(
        **{"images": images, "transforms": matrices, "output_shape": [height, width], "fill_value": 0.0},
        **{"interpolation": "BILINEAR", "fill_mode": "REFLECT"},
    )
    # Both place a pixel to 1e-5 of the side or so, which shows in white noise.
    np.testing.assert_allclose(warp(images, matrices), theirs, atol=1e-4)


def make_smooth_image() -> Array:
    image = np.zeros((49, 49))
    image[15, 18], image[30, 27], image[21, 33] = 1, 0.7, 0.4
    image = ndimage.gaussian_filter(image, 5)
    return (image / image.max()).astype(np.float32)[None, ..., None]


# Keras factors are fractions of a full turn and of how much more than the image is shown.
def turn_by_keras(image: Array, degrees: float) -> Array:
    layer = keras.layers.RandomRotation((degrees / 360,) * 2, fill_mode="reflect", interpolation="bilinear")
    return np.asarray(layer(image, training=True))


def zoom_by_keras(image: Array, zoom: float) -> Array:
    layer = keras.layers.RandomZoom((1 / zoom - 1,) * 2, fill_mode="reflect", interpolation="bilinear")
    return np.asarray(layer(image, training=True))


def flip_by_keras(image: Array) -> Array:
    layer = keras.layers.RandomFlip("horizontal")
    return np.asarray(layer.transform_images(image, {"flips": np.full((1, 1, 1, 1), True)}, training=True))


def test_each_transform_alone_agrees_with_its_keras_layer() -> None:
    image = make_smooth_image()
    for ours, theirs in (
        (warp_by(image, {"tilt": 10}, TILT=1), turn_by_keras(image, 10)),
        (warp_by(image, {"zoom": 0.2}, ZOOM=-1), zoom_by_keras(image, 0.8)),
        (warp_by(image, {"horizontal_flip": True}, FLIP=-1), flip_by_keras(image)),
    ):
        np.testing.assert_allclose(ours, theirs[0, ..., 0], atol=1e-4)
        assert np.abs(ours - image[0, ..., 0]).max() > 0.1


@pytest.mark.parametrize("degrees", [-10, 4])
@pytest.mark.parametrize("zoom", [0.8, 1.2])
@pytest.mark.parametrize("flip", [True, False])
def test_the_fused_warp_agrees_with_three_keras_layers(degrees: float, zoom: float, flip: bool) -> None:
    image = make_smooth_image()
    fixed = {"FLIP": -1 if flip else 1, "ZOOM": (zoom - 1) / 0.2, "TILT": degrees / 10}
    ours = warp_by(image, {"horizontal_flip": True, "zoom": 0.2, "tilt": 10}, **fixed)
    theirs = zoom_by_keras(turn_by_keras(image, degrees), zoom)
    theirs = (flip_by_keras(theirs) if flip else theirs)[0, ..., 0]
    # Off the edge, where Keras mirrors twice. A fifth of a pixel would be 0.025; the rest is interpolating twice.
    assert np.abs(ours - theirs)[5:-5, 5:-5].max() < 0.02


def test_brightness_adds_the_same_to_every_pixel() -> None:
    images = 0.4 + 0.2 * make_images(300)
    added = (augment(images, Augmentation(brightness=0.25), SEED) - images).numpy()
    np.testing.assert_allclose(added, np.broadcast_to(added[:, :1, :1], added.shape), atol=1e-6)
    assert np.abs(added).max() <= 0.25 + 1e-6
    assert added.max() > 0.24
    assert added.min() < -0.24


def test_contrast_spreads_around_the_mean_and_keeps_it() -> None:
    images = 0.4 + 0.2 * make_images(300)
    altered = augment(images, Augmentation(contrast=0.5), SEED).numpy()
    mean = images.mean(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(altered.mean(axis=(1, 2), keepdims=True), mean, atol=1e-5)
    factor = altered.std(axis=(1, 2)) / images.std(axis=(1, 2))
    np.testing.assert_allclose(altered - mean, (images - mean) * factor[:, None, None], atol=1e-5)
    assert 0.5 <= factor.min() < 0.52
    assert 1.48 < factor.max() <= 1.5 + 1e-4


def test_gamma_raises_to_a_power_and_keeps_black_and_white() -> None:
    images = 0.1 + 0.8 * make_images(300)
    images[:, 0, 0], images[:, 0, 1] = 0, 1
    altered = augment(images, Augmentation(gamma=0.7), SEED).numpy()
    np.testing.assert_allclose(altered[:, 0, 0], 0, atol=0.002)  # the least grey is 1e-6, so that 0 has a power
    np.testing.assert_array_equal(altered[:, 0, 1], 1)
    exponent = np.log(altered[:, 1:]) / np.log(images[:, 1:])
    np.testing.assert_allclose(exponent, np.broadcast_to(exponent[:, :1, :1], exponent.shape), rtol=1e-3)
    assert np.exp(-0.7) - 1e-3 <= exponent.min() < 0.52
    assert 1.95 < exponent.max() <= np.exp(0.7) + 1e-3


def test_noise_has_mean_zero_and_at_most_the_given_deviation() -> None:
    images = np.full((200, 32, 32, 1), 0.5, np.float32)
    grain = augment(images, Augmentation(noise=0.1), SEED).numpy() - 0.5
    deviations = grain.std(axis=(1, 2, 3))
    assert abs(grain.mean()) < 0.001
    assert deviations.max() == pytest.approx(0.1, abs=0.008)
    assert deviations.min() < 0.005
    beside = np.corrcoef(grain[..., :-1, 0].ravel(), grain[..., 1:, 0].ravel())[0, 1]
    assert abs(beside) < 0.01


def test_the_noise_does_not_depend_on_other_draws() -> None:
    image = np.full((1, 4, 4, 1), 0.5, np.float32)

    def draw(**options: Any) -> Array:
        seeds = tf.stack([tf.fill([400], 3), tf.range(400)], axis=1)
        drawn = tf.map_fn(
            lambda seed: augment(image, Augmentation(**options), seed), seeds, fn_output_signature="float32"
        )
        return np.reshape(drawn, (400, -1)) - 0.5

    grain, brightness = draw(noise=0.1), draw(brightness=0.2)[:, :1]
    for other in (brightness, np.abs(brightness)):
        for each in (grain, np.abs(grain)):
            found = np.corrcoef(np.hstack([other, each]), rowvar=False)[0, 1:]
            assert np.abs(found).max() < 0.2  # four standard errors


def test_blur_agrees_with_the_scipy_gaussian_filter_at_the_width_of_each_image() -> None:
    images, sigmas = make_images(4), [0.0, 0.4, 1.0, 2.0]
    blurred = _blur(tf.constant(images), tf.constant(sigmas), 2.0).numpy()
    for image, sigma, ours in zip(images[..., 0], sigmas, blurred[..., 0], strict=True):
        theirs = ndimage.gaussian_filter(image, sigma, mode="reflect", radius=4) if sigma else image
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_blur_widths_are_drawn_from_zero_to_the_maximum() -> None:
    images = make_images(200)
    altered = augment(images, Augmentation(blur=1.0), SEED).numpy()
    np.testing.assert_allclose(altered.mean(axis=(1, 2)), images.mean(axis=(1, 2)), atol=0.02)
    kept = altered.std(axis=(1, 2)) / images.std(axis=(1, 2))
    assert kept.max() > 0.99
    assert kept.min() < 0.4
    strongest = int(kept.argmin())
    expected = ndimage.gaussian_filter(images[strongest, ..., 0], 1.0, mode="reflect", radius=2)
    np.testing.assert_allclose(altered[strongest, ..., 0], expected, atol=0.01)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"copies": 9}, r"copies: received 9, but Input should be less than or equal to 8"),
        ({"copies": -1}, r"copies: received -1, but Input should be greater than or equal to 0"),
        ({"zoom": 0.6}, r"zoom: received 0.6, but Input should be less than or equal to 0.5"),
        ({"tilt": 60}, r"tilt: received 60, but Input should be less than or equal to 45"),
        ({"collimation": 1}, r"collimation: received 1, but Input should be greater than 1"),
        ({"contrast": 1.0}, r"contrast: received 1.0, but Input should be less than 1"),
        ({"gamma": -0.1}, r"gamma: received -0.1, but Input should be greater than or equal to 0"),
        ({"blur": 6}, r"blur: received 6, but Input should be less than or equal to 5"),
        ({"horizontal_flip": "sideways"}, r"horizontal_flip: received 'sideways', but Input should be a valid boolean"),
        ({"rotate": 5}, r"rotate: received 5, but Extra inputs are not permitted \(known keys: copies, .*, blur\)"),
    ],
)
def test_an_option_out_of_range_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Augmentation.model_validate(given)


@pytest.mark.parametrize(
    ("name", "allowed", "refused"),
    [
        ("copies", (0, 8), (-1, 9)),
        *((name, (0, 0.5), (-0.1, 0.51)) for name in ("zoom", "translation", "aspect", "brightness", "noise")),
        ("tilt", (0, 45), (-0.1, 45.1)),
        ("collimation", (1.01, 4, None), (1, 4.1)),
        ("contrast", (0, 0.99), (-0.1, 1)),
        ("gamma", (0, 2), (-0.1, 2.1)),
        ("blur", (0, 5), (-0.1, 5.1)),
    ],
)
def test_an_option_accepts_values_within_its_limits(
    name: str, allowed: tuple[float | None, ...], refused: tuple[float, ...]
) -> None:
    for value in allowed:
        assert getattr(Augmentation.model_validate({name: value}), name) == value
    for value in refused:
        with pytest.raises(InputError, match=f"{name}: received {value}"):
            Augmentation.model_validate({name: value})


def test_transforms_are_off_by_default() -> None:
    assert not any(Augmentation().model_dump().values())
    assert not Augmentation(copies=2, brightness=0.1, contrast=0.1, gamma=0.1, noise=0.1, blur=1).is_geometric
    for name in ("zoom", "translation", "tilt", "aspect", "horizontal_flip"):
        assert Augmentation.model_validate({name: 0.2 if name != "horizontal_flip" else True}).is_geometric
    assert Augmentation(collimation=2).is_geometric


def test_options_cannot_be_changed_afterwards() -> None:
    with pytest.raises(ValueError, match="frozen"):
        EVERYTHING.zoom = 0.5  # type: ignore[misc]
