"""Grad-CAM maps follow the method, for every kind of network of the project."""

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from scipy import ndimage

from chest_xray.core.types import Array, InputError, Model
from chest_xray.models.gradcam import grad_cam
from chest_xray.models.network import build_network, join_networks, with_precision
from chest_xray.pipelines.experiments.nodes import join_models
from tests.builders import TINY_NETWORK

FIVE_BLOCKS = TINY_NETWORK.model_copy(update={"filters": (2, 3, 4, 4, 5)})


def make_images(num: int, side: int) -> Array:
    return np.random.default_rng(0).uniform(0, 1, (num, side, side, 1)).astype(np.float32)


def make_two_points() -> Array:
    """One black image of 6 x 6 with a white point and a grey one."""
    image = np.zeros((1, 6, 6, 1), np.float32)
    image[0, 1, 2], image[0, 4, 4] = 1.0, 0.5
    return image


def make_by_hand(weights: Sequence[float], bias: float = 0.0, *, pooling: bool = True) -> Model:
    """A network with the channels x and 2x of the image x, whose logit is their means times `weights`, plus `bias`."""
    doubled = layers.Conv2D(2, 1, use_bias=False)
    output = layers.Dense(1, activation="sigmoid")
    flat = layers.GlobalAveragePooling2D() if pooling else layers.Flatten()
    model = keras.Sequential([layers.Input((6, 6, 1)), doubled, flat, output])
    doubled.set_weights([np.array([[[[1.0, 2.0]]]], np.float32)])
    output.set_weights([np.array(weights, np.float32)[:, None], np.array([bias], np.float32)])
    return model


def make_residual() -> Model:
    """A functional network that ends in a sum of two branches and a global mean, and has no Flatten."""
    image = keras.Input((24, 24, 1))
    first = layers.MaxPooling2D()(layers.Conv2D(3, 3, padding="same", activation="relu")(image))
    second = layers.Conv2D(3, 3, padding="same", activation="relu")(first)
    pooled = layers.GlobalAveragePooling2D(keepdims=True)(layers.Add(name="sum")([first, second]))
    return keras.Model(image, layers.Dense(1, activation="sigmoid")(layers.Flatten()(pooled)))


def resize(signed: Array, side: int) -> Array:
    """Rectify and enlarge (n, rows, columns) by straight lines between the middles of the cells; 1 is the strongest."""
    factor = side / signed.shape[1]
    large = ndimage.zoom(np.maximum(signed, 0), (1, factor, factor), order=1, mode="nearest", grid_mode=True)
    return np.asarray(large / np.maximum(large.max(axis=(1, 2), keepdims=True), 1e-30))


def compute_directly(model: Model, images: Array, place: int) -> Array:
    """The signed map of the layer number `place` behind the input, with the gradient of each logit by a tape."""
    values = tf.constant(images)
    inner = [layer for layer in model.layers if not isinstance(layer, layers.InputLayer)]
    for layer in inner[: place + 1]:
        values = layer(values, training=False)
    with tf.GradientTape() as tape:
        tape.watch(values)
        rest = values
        for layer in inner[place + 1 : -1]:
            rest = layer(rest, training=False)
        kernel, bias = model.layers[-1].weights
        logit = (rest @ kernel.value + bias.value)[:, 0]
    gradient = tape.gradient(logit, values).numpy()
    return np.asarray(np.einsum("nc,nijc->nij", gradient.mean(axis=(1, 2)), values.numpy()))


def test_the_map_is_the_sum_of_the_channels_weighted_by_their_mean_gradient() -> None:
    # Weights 3 and -1 of the channels x and 2x leave 3x - 2x = x, of which 1 is the largest.
    np.testing.assert_allclose(grad_cam(make_by_hand([3, -1]), make_two_points()), make_two_points()[..., 0], atol=1e-6)


def test_the_gradient_is_averaged_over_positions() -> None:
    # Only the first cell counts, 36-fold, and x with it; averaged, each cell of x counts once.
    weights = np.zeros(72)
    weights[0] = 36
    found = grad_cam(make_by_hand(weights.tolist(), pooling=False), make_two_points())
    np.testing.assert_allclose(found, make_two_points()[..., 0], atol=1e-6)


def test_a_map_is_zero_without_evidence_for_pneumonia() -> None:
    # 1x - 2x is negative wherever there is light, and 0 elsewhere.
    np.testing.assert_array_equal(grad_cam(make_by_hand([1, -1]), make_two_points()), np.zeros((1, 6, 6)))


@pytest.mark.parametrize("bias", [-300.0, 300.0])
def test_a_saturated_network_still_has_maps(bias: float) -> None:
    sure = make_by_hand([3, -1], bias)
    assert sure.predict(make_two_points(), verbose=0)[0, 0] == float(bias > 0)
    np.testing.assert_allclose(grad_cam(sure, make_two_points()), make_two_points()[..., 0], atol=1e-6)


@pytest.mark.parametrize(
    ("side", "batch_normalization", "place"),
    [(96, False, 8), (96, True, 12), (160, False, 9), (160, True, 14), (64, False, 6), (64, True, 9)],
)
def test_grad_cam_uses_the_last_layer_with_five_cells_or_more(side: int, batch_normalization: bool, place: int) -> None:
    # Blocks are Conv2D, MaxPooling2D and perhaps BatchNormalization. At 96 pixels the fifth Conv2D has 6 x 6 cells and
    # its pooling 3 x 3; at 160 the last pooling still has 5 x 5; at 64 the fifth Conv2D has 4 x 4, the fourth 8 x 8
    # and the pooling behind that 4 x 4.
    options = FIVE_BLOCKS.model_copy(update={"batch_normalization": batch_normalization})
    keras.utils.set_random_seed(3)
    model, images = build_network((side, side), options), make_images(3, side)
    signed = compute_directly(model, images, place)
    assert min(signed.shape[1:]) >= 5
    assert (signed > 0).any(axis=(1, 2)).sum() >= 2
    np.testing.assert_allclose(grad_cam(model, images), resize(signed, side), atol=1e-4)


def test_a_batch_gives_the_same_maps_as_single_images() -> None:
    keras.utils.set_random_seed(3)
    model, images = build_network((16, 16), TINY_NETWORK), make_images(67, 16)
    together = grad_cam(model, images)
    assert together.shape == (67, 16, 16)
    assert together.dtype == np.float32
    alone = np.concatenate([grad_cam(model, images[[place]]) for place in (0, 1, 63, 64, 66)])
    np.testing.assert_allclose(together[[0, 1, 63, 64, 66]], alone, atol=1e-5)
    assert grad_cam(model, images[:0]).shape == (0, 16, 16)


def test_maps_do_not_depend_on_the_precision_of_the_network() -> None:
    model, images = build_network((16, 16), TINY_NETWORK), make_images(4, 16)
    halved = with_precision(model, "mixed_bfloat16")
    np.testing.assert_array_equal(grad_cam(halved, images), grad_cam(model, images))
    joined, expected = (join_networks([each], flip_tta=True) for each in (halved, model))
    np.testing.assert_array_equal(grad_cam(joined, images), grad_cam(expected, images))


def test_an_ensemble_is_explained_as_one_network_with_all_channels(tmp_path: Path) -> None:
    # Logits are averaged: (3x - 2x) and (2x - 4x) make -x, so together there is no evidence for pneumonia.
    first, against, more = make_by_hand([3, -1]), make_by_hand([2, -2]), make_by_hand([4, 0])
    assert not grad_cam(join_models(first, against), make_two_points()).any()
    joined = join_models(first, against, more)
    joined.save(tmp_path / "joined.keras")
    for model in (joined, keras.models.load_model(tmp_path / "joined.keras")):
        np.testing.assert_allclose(grad_cam(model, make_two_points()), make_two_points()[..., 0], atol=1e-6)


def test_with_flip_tta_the_map_of_the_mirror_image_is_flipped_back() -> None:
    keras.utils.set_random_seed(4)
    alone, images = build_network((24, 24), TINY_NETWORK), make_images(4, 24)
    asked = join_networks([alone], flip_tta=True)
    of_image, of_mirrored = grad_cam(asked, images), grad_cam(asked, images[:, :, ::-1])
    assert of_image.max() == 1
    assert np.abs(of_image - of_image[:, :, ::-1]).max() > 0.1
    np.testing.assert_allclose(of_mirrored[:, :, ::-1], of_image, atol=1e-5)


def test_members_of_an_ensemble_are_weighted_by_their_contribution_to_the_logit() -> None:
    keras.utils.set_random_seed(3)
    members, images = [build_network((96, 96), FIVE_BLOCKS) for _ in range(3)], make_images(2, 96)
    signed = sum(compute_directly(member, images, 8) for member in members)
    np.testing.assert_allclose(grad_cam(join_models(*members), images), resize(np.asarray(signed), 96), atol=1e-4)


def test_maps_of_different_sizes_are_combined_at_the_finest_size() -> None:
    keras.utils.set_random_seed(3)
    coarse, fine = (build_network((96, 96), options) for options in (FIVE_BLOCKS, TINY_NETWORK))
    images = make_images(2, 96)
    signed = compute_directly(fine, images, 3)  # 24 x 24 cells against the 6 x 6 of the other
    enlarged = ndimage.zoom(compute_directly(coarse, images, 8), (1, 4, 4), order=1, mode="nearest", grid_mode=True)
    expected = resize(signed + enlarged, 96)
    assert (expected > 0).any(axis=(1, 2)).all()
    np.testing.assert_allclose(grad_cam(join_models(coarse, fine), images), expected, atol=1e-4)


def test_a_residual_network_uses_its_last_addition() -> None:
    keras.utils.set_random_seed(3)
    model, images = make_residual(), make_images(2, 24)
    maps = keras.Model(model.input, model.get_layer("sum").output).predict(images, verbose=0)
    signed = maps @ model.layers[-1].get_weights()[0][:, 0]  # Behind a global mean the gradient is the weight itself.
    np.testing.assert_allclose(grad_cam(model, images), resize(signed, 24), atol=1e-4)


def test_a_nested_network_gives_the_same_map_as_the_flat_one() -> None:
    keras.utils.set_random_seed(3)
    plain, images = build_network((16, 16), TINY_NETWORK), make_images(2, 16)
    body, head = keras.Sequential(plain.layers[:4]), plain.layers[4:]
    nested = keras.Sequential([layers.Input((16, 16, 1)), body, *head])
    np.testing.assert_allclose(grad_cam(nested, images), grad_cam(plain, images), atol=1e-6)


def test_grad_cam_does_not_change_the_network() -> None:
    model = with_precision(build_network((16, 16), TINY_NETWORK), "mixed_bfloat16")
    before, policy = model.get_weights(), model.layers[1].dtype_policy.name
    grad_cam(model, make_images(2, 16))
    assert model.layers[1].dtype_policy.name == policy == "mixed_bfloat16"
    assert model.layers[-1].activation is keras.activations.sigmoid
    assert model.layers[1].output.shape == (
        None,
        16,
        16,
        2,
    )  # Keras raises an error here for a layer that is applied twice.
    for weight, old in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, old)


def test_a_network_without_feature_maps_is_refused() -> None:
    flat = keras.Sequential([layers.Input((8, 8, 1)), layers.Flatten(), layers.Dense(1, activation="sigmoid")])
    with pytest.raises(InputError, match=r"maps of at least 5 x 5 cells, and the network 'sequential\w*' has none"):
        grad_cam(flat, make_images(1, 8))
