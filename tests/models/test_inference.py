"""Predictions: one row per image of the subset, in the order of the split."""

import keras
import numpy as np

from chest_xray.models.inference import score_images
from chest_xray.models.network import build_network
from tests.builders import TINY_NETWORK, make_pixels, make_split


def test_only_images_of_the_subset_are_scored_in_their_order() -> None:
    keras.utils.set_random_seed(3)
    pixels, network = make_pixels(150), build_network((16, 16), TINY_NETWORK)
    split = make_split([0, 1] * 75, ["train", "test", "validation"] * 50)
    split.index = split.index[::-1]  # The position of a row counts, not its index.
    table = score_images(network, pixels, split, "test")
    rows = np.arange(1, 150, 3)
    assert table.columns.tolist() == [*split.columns, "logit", "sigmoid"]
    assert table["path"].tolist() == split["path"].iloc[rows].tolist()
    assert table.index.tolist() == list(range(50))
    assert table[["logit", "sigmoid"]].dtypes.tolist() == [np.float32, np.float64]
    one_by_one = [float(network(pixels[[row], ..., None] / np.float32(255))[0, 0]) for row in rows]
    np.testing.assert_allclose(table["sigmoid"], one_by_one, atol=1e-6)
    assert len(set(one_by_one)) == 50  # so that swapped images would be noticed


def test_the_probability_is_the_sigmoid_of_the_logit_and_equals_the_network_output() -> None:
    pixels, network = make_pixels(6), build_network((16, 16), TINY_NETWORK)
    table = score_images(network, pixels, make_split([0, 1] * 3, "test"), "test")
    np.testing.assert_allclose(table["sigmoid"], 1 / (1 + np.exp(-table["logit"].to_numpy(float))), rtol=1e-12)
    images = pixels[..., None].astype(np.float32) / 255
    np.testing.assert_allclose(table["sigmoid"], network.predict(images, verbose=0)[:, 0], rtol=1e-5)


def test_probabilities_that_float32_would_round_to_one_remain_distinct() -> None:
    network = build_network((16, 16), TINY_NETWORK)
    weights = network.get_weights()
    network.set_weights([*weights[:-1], np.array([25], np.float32)])
    table = score_images(network, make_pixels(6), make_split([0, 1] * 3, "test"), "test")
    assert table["sigmoid"].nunique() == 6
    assert table["sigmoid"].astype(np.float32).nunique() == 1


def test_scoring_changes_neither_the_network_nor_the_split() -> None:
    network, split = build_network((16, 16), TINY_NETWORK), make_split([0, 1] * 3, "test")
    before, columns = [weight.copy() for weight in network.get_weights()], split.columns.tolist()
    score_images(network, make_pixels(6), split, "test")
    assert split.columns.tolist() == columns
    assert network.layers[-1].activation.__name__ == "sigmoid"
    for weight, old in zip(network.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, old)
