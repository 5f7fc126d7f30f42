"""The network: its configured layers, and two precisions with the same weights."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from chest_xray.core.types import InputError
from chest_xray.models.network import Network, build_network, choose_precision, with_precision, without_sigmoid
from tests.builders import TINY_NETWORK, make_pixels


def make_network(**changes: Any) -> keras.Model:
    keras.utils.set_random_seed(1)
    return build_network((16, 24), TINY_NETWORK.model_copy(update=changes))


def kinds(network: keras.Model) -> list[str]:
    return [type(layer).__name__ for layer in network.layers[1:]]  # behind the input


def test_the_network_has_convolution_and_pooling_blocks_then_dense_layers() -> None:
    blocks = ["Conv2D", "MaxPooling2D"] * 2
    assert kinds(make_network()) == [*blocks, "Flatten", "Dense", "Dropout", "Dense"]


def test_batch_normalisation_follows_each_pooling_with_momentum_0_9() -> None:
    network = make_network(batch_normalization=True)
    assert kinds(network)[:6] == ["Conv2D", "MaxPooling2D", "BatchNormalization"] * 2
    assert network.layers[3].momentum == 0.9


def test_every_option_reaches_its_layer() -> None:
    network = make_network(filters=(3, 5), kernel_size=5, activation="tanh", dense_units=7, dropout=0.25)
    first, _, second, _, _, dense, dropout, output = network.layers[1:]
    assert [first.filters, second.filters] == [3, 5]
    assert {first.kernel_size, second.kernel_size} == {(5, 5)}
    assert {first.activation, second.activation, dense.activation} == {keras.activations.tanh}
    assert (dense.units, dropout.rate) == (7, 0.25)
    assert (output.units, output.activation) == (1, keras.activations.sigmoid)
    # 5*5*1*3+3 = 78, 5*5*3*5+5 = 380; 16 x 24 halved twice is 4 x 6: 4*6*5*7+7 = 847; 7+1 = 8.
    assert network.count_params() == 78 + 380 + 847 + 8


def test_the_network_returns_a_probability_for_each_image() -> None:
    network = make_network()
    assert network.input_shape == (None, 16, 24, 1)
    found = network.predict(make_pixels(3, 16, 24)[..., None].astype(np.float32) / 255, verbose=0)
    assert found.shape == (3, 1)
    assert found.dtype == np.float32
    assert ((found > 0) & (found < 1)).all()


def test_the_number_of_blocks_is_limited_by_the_shorter_side() -> None:
    four = TINY_NETWORK.model_copy(update={"filters": (1,) * 4})
    assert build_network((16, 64), four).layers[8].output.shape == (None, 1, 4, 1)
    five = TINY_NETWORK.model_copy(update={"filters": (1,) * 5})
    with pytest.raises(
        InputError,
        match=r"received 5 blocks in model.filters for images of 64 x 16 pixels; .* at least 32 pixels a side. Take",
    ):
        build_network((16, 64), five)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"filters": []}, "filters: received .*at least 1 item"),
        ({"filters": [0]}, "filters.0: received 0, but Input should be greater than or equal to 1"),
        ({"activation": "softplus"}, "activation: received 'softplus', but Input should be 'relu', 'elu'"),
        ({"dropout": 1.0}, "dropout: received 1.0, but Input should be less than 1"),
        ({"droput": 0.1}, "droput: received 0.1, but Extra inputs are not permitted"),
    ],
)
def test_an_impossible_network_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Network.model_validate({**TINY_NETWORK.model_dump(), **changes})


def test_another_precision_keeps_layers_weights_and_a_float32_probability() -> None:
    network = make_network(batch_normalization=True)
    before = [weight.copy() for weight in network.get_weights()]
    mixed = with_precision(network, "mixed_bfloat16")
    assert kinds(mixed) == kinds(network)
    assert [layer.compute_dtype for layer in mixed.layers[1:]] == ["bfloat16"] * (len(mixed.layers) - 2) + ["float32"]
    assert {str(weight.dtype) for weight in mixed.weights} == {"float32"}
    images = make_pixels(4, 16, 24)[..., None].astype(np.float32) / 255
    found = mixed(images).numpy()
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, network(images), atol=0.01)
    for part in (mixed.get_weights(), network.get_weights()):
        for weight, old in zip(part, before, strict=True):
            np.testing.assert_array_equal(weight, old)


def test_a_copy_in_another_precision_shares_nothing_with_its_original() -> None:
    network = make_network()
    before = [weight.copy() for weight in network.get_weights()]
    copy = with_precision(network, "float32")
    copy.set_weights([weight + 1 for weight in copy.get_weights()])
    assert {layer.compute_dtype for layer in network.layers} == {"float32"}
    for weight, old in zip(network.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, old)


def test_a_precision_round_trip_gives_the_same_network() -> None:
    network = make_network(batch_normalization=True)
    again = with_precision(with_precision(network, "mixed_bfloat16"), "float32")
    images = make_pixels(4, 16, 24)[..., None].astype(np.float32) / 255
    np.testing.assert_array_equal(again(images), network(images))


@pytest.mark.parametrize(
    ("flags", "precision"),
    [
        ("flags : sse avx2 avx512_bf16 fma", "mixed_bfloat16"),
        ("flags : amx_tile amx_bf16", "mixed_bfloat16"),
        ("flags : sse avx2 avx512f", "float32"),
        ("flags : not_avx512_bf16", "float32"),
    ],
)
def test_the_faster_precision_is_read_from_the_processor_flags(
    flags: str, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "is_file", lambda _: True)
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: flags)
    assert choose_precision() == precision


def test_without_processor_flags_the_precision_is_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "is_file", lambda _: False)
    assert choose_precision() == "float32"


def test_auto_uses_the_precision_of_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    for choice in ("mixed_bfloat16", "float32"):
        monkeypatch.setattr("chest_xray.models.network.choose_precision", lambda choice=choice: choice)
        network = with_precision(make_network(), "auto")
        assert network.layers[1].dtype_policy.name == choice


def test_pooling_over_the_map_returns_one_value_per_filter_wherever_the_pattern_is() -> None:
    network = make_network(last_pooling="map")
    assert kinds(network) == kinds(make_network())
    flatten = next(layer for layer in network.layers if type(layer).__name__ == "Flatten")
    assert flatten.output.shape == (None, 4)
    image = np.zeros((1, 16, 24, 1), np.float32)
    image[0, 4:8, 4:8] = 1
    moved = np.roll(image, (4, 8), axis=(1, 2))  # by whole strides of the poolings, away from the border
    np.testing.assert_allclose(network(image), network(moved), atol=1e-6)
    assert abs(float(make_network()(image)[0, 0] - make_network()(moved)[0, 0])) > 1e-4


def test_a_residual_network_has_a_shortcut_around_every_two_convolutions() -> None:
    network = make_network(architecture="residual", dense_units=0)
    assert kinds(network)[:4] == ["Conv2D", "BatchNormalization", "Activation", "MaxPooling2D"]
    assert kinds(network).count("Add") == 2
    assert kinds(network).count("MaxPooling2D") == kinds(network).count("AveragePooling2D") == 1
    assert [layer.output.shape[1:] for layer in network.layers if "add" in layer.name] == [(8, 12, 2), (4, 6, 4)]
    assert kinds(network)[-3:] == ["GlobalAveragePooling2D", "Dropout", "Dense"]
    # 9*1*2, then 9*2*2 twice, then 9*2*4, 9*4*4 and 2*4, all without bias; batch normalisation has 4 a filter; 4 + 1.
    assert network.count_params() == 18 + 2 * 36 + (72 + 144 + 8) + 4 * 3 * (2 + 4) + 5


@pytest.mark.parametrize("architecture", ["plain", "residual"])
def test_every_architecture_can_be_copied_to_logits_in_another_precision(architecture: str) -> None:
    network = make_network(architecture=architecture, batch_normalization=True, last_pooling="map")
    images = make_pixels(4, 16, 24)[..., None].astype(np.float32) / 255
    logits = without_sigmoid(with_precision(network, "float32"))(images).numpy()
    np.testing.assert_allclose(1 / (1 + np.exp(-logits)), network(images), rtol=1e-5)
    np.testing.assert_allclose(with_precision(network, "mixed_bfloat16")(images), network(images), atol=0.01)


def test_a_copy_of_a_compiled_network_is_not_compiled() -> None:
    network = make_network()
    network.compile("adam", "binary_crossentropy")
    assert not with_precision(network, "float32").compiled
    assert network.compiled


def test_a_network_of_keras_applications_accepts_grey_images() -> None:
    options = TINY_NETWORK.model_copy(update={"architecture": "MobileNetV3Small", "dense_units": 0})
    network = build_network((32, 32), options)
    assert network.input_shape == (None, 32, 32, 1)
    assert with_precision(network, "float32")(np.zeros((2, 32, 32, 1), np.float32)).shape == (2, 1)


def test_a_failed_weight_download_gives_an_error_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: Any) -> None:
        raise Exception("URL fetch failure: no route to host")

    monkeypatch.setattr(keras.applications, "ConvNeXtTiny", fail)
    options = TINY_NETWORK.model_copy(update={"architecture": "ConvNeXtTiny", "pretrained": True})
    with pytest.raises(InputError, match=r"weights of ConvNeXtTiny could not be fetched: URL .*model.pretrained=false"):
        build_network((32, 32), options)
