"""Models are loaded as they were saved, in one format, and are written atomically."""

import json
from pathlib import Path

import fsspec
import keras
import numpy as np
import pytest
from kedro.io import DatasetError

from chest_xray.datasets import KerasModelDataset
from chest_xray.datasets.single_file import JSONPreview
from chest_xray.models.network import build_network
from tests.builders import TINY_NETWORK, make_pixels

IMAGES = make_pixels(4)[..., None].astype(np.float32) / 255


class Unsaveable:
    """A model whose disk is full."""

    def save(self, path: Path) -> None:
        """Write the half that fits."""
        path.write_bytes(b"half a model")
        raise OSError("no space left on device")


def test_a_loaded_model_has_the_saved_layers_and_weights(tmp_path: Path) -> None:
    network = build_network((16, 16), TINY_NETWORK)
    dataset = KerasModelDataset(filepath=str(tmp_path / "new" / "model.keras"))
    assert not dataset.exists()
    dataset.save(network)
    assert dataset.exists()
    again = dataset.load()
    assert [layer.name for layer in again.layers] == [layer.name for layer in network.layers]
    np.testing.assert_array_equal(again(IMAGES), network(IMAGES))


def test_a_compiled_model_is_loaded_compiled(tmp_path: Path) -> None:
    network = build_network((16, 16), TINY_NETWORK)
    network.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    labels = np.array([[0.0], [1.0], [0.0], [1.0]])
    network.train_on_batch(IMAGES, labels)
    dataset = KerasModelDataset(filepath=str(tmp_path / "model.keras"))
    dataset.save(network)
    assert set(dataset.load().evaluate(IMAGES, labels, return_dict=True, verbose=0)) == {"accuracy", "loss"}


@pytest.mark.parametrize("name", ["model.h5", "model.pkl", "model", "model.keras.zip"])
def test_any_other_format_is_refused(name: str) -> None:
    with pytest.raises(DatasetError, match=f"received filepath '{name}'; expected one that ends in .keras"):
        KerasModelDataset(filepath=name)


def test_a_failed_save_keeps_the_old_model_and_leaves_nothing_else(tmp_path: Path) -> None:
    network = build_network((16, 16), TINY_NETWORK)
    dataset = KerasModelDataset(filepath=str(tmp_path / "model.keras"))
    dataset.save(network)
    with pytest.raises(DatasetError, match="no space left on device"):
        dataset.save(Unsaveable())
    assert [path.name for path in tmp_path.iterdir()] == ["model.keras"]
    np.testing.assert_array_equal(dataset.load()(IMAGES), network(IMAGES))


def test_code_inside_a_model_file_is_not_run(tmp_path: Path) -> None:
    network = keras.Sequential([keras.layers.Input((2,)), keras.layers.Lambda(lambda x: 2 * x)])
    network.save(tmp_path / "model.keras")
    with pytest.raises(DatasetError, match="deserialization of a `Lambda` layer"):
        KerasModelDataset(filepath=str(tmp_path / "model.keras")).load()


def test_the_preview_lists_layers_with_shapes_and_weights(tmp_path: Path) -> None:
    dataset = KerasModelDataset(filepath=str(tmp_path / "model.keras"))
    dataset.save(build_network((16, 16), TINY_NETWORK))
    shown = json.loads(str(dataset.preview()))
    # 3*3*1*2+2 = 20, 3*3*2*4+4 = 76, 4*4*4*4+4 = 260, 4+1 = 5
    assert [layer["weights"] for layer in shown["layers"]] == [0, 20, 0, 76, 0, 0, 260, 0, 5]  # the input first
    assert shown["layers"][2]["output"] == "(None, 8, 8, 2)"
    assert shown["weights"] == 361
    # Kedro-Viz selects the preview type by this annotation.
    assert KerasModelDataset.preview.__annotations__["return"] is JSONPreview


def test_a_remote_model_can_be_loaded() -> None:
    network = build_network((16, 16), TINY_NETWORK)
    dataset = KerasModelDataset(filepath="memory://models/model.keras")
    dataset.save(network)
    np.testing.assert_array_equal(dataset.load()(IMAGES), network(IMAGES))
    fsspec.filesystem("memory").store.clear()
