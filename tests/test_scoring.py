"""Predictions: one row an image of the subset, in the order of the split."""

import numpy as np

from chest_xray.network import build_network
from chest_xray.scoring import COLUMNS, score_images
from tests.builders import TINY_NETWORK, make_pixels, make_split


def test_every_image_of_the_subset_is_scored_in_its_order_and_no_other() -> None:
    pixels, network = make_pixels(150), build_network((16, 16), TINY_NETWORK)
    split = make_split([0, 1] * 75, ["train", "test", "validation"] * 50)
    split.index = split.index[::-1]  # A row's place counts, not its name.
    table = score_images(network, pixels, split, "test")
    rows = np.arange(1, 150, 3)
    assert table.columns.tolist() == [*COLUMNS, "probability"]
    assert table["path"].tolist() == split["path"].iloc[rows].tolist()
    assert table.index.tolist() == list(range(50))
    assert table["probability"].dtype == np.float32
    one_by_one = [float(network(pixels[[row], ..., None] / np.float32(255))[0, 0]) for row in rows]
    np.testing.assert_allclose(table["probability"], one_by_one, atol=1e-6)
    assert len(set(one_by_one)) == 50  # so an image in another's place would show
