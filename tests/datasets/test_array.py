"""Arrays come back as they were saved, mapped and read-only."""

from pathlib import Path

import fsspec
import numpy as np
import pytest
from kedro.io import DatasetError

from chest_xray.datasets import ArrayDataset
from tests.builders import make_pixels


def test_an_array_comes_back_with_its_type_and_shape_as_a_read_only_map(tmp_path: Path) -> None:
    dataset = ArrayDataset(filepath=str(tmp_path / "pixels.npy"))
    dataset.save(make_pixels(3))
    found = dataset.load()
    assert isinstance(found, np.memmap)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, make_pixels(3))
    with pytest.raises(ValueError, match="read-only"):
        found[0] = 0


def test_a_remote_array_comes_back_too() -> None:
    dataset = ArrayDataset(filepath="memory://arrays/pixels.npy")
    dataset.save(make_pixels(3))
    np.testing.assert_array_equal(dataset.load(), make_pixels(3))
    fsspec.filesystem("memory").store.clear()


def test_objects_are_refused_and_what_stood_there_stays(tmp_path: Path) -> None:
    dataset = ArrayDataset(filepath=str(tmp_path / "pixels.npy"))
    dataset.save(make_pixels(3))
    with pytest.raises(DatasetError, match="received an array of object; expected numbers, which need no pickle"):
        dataset.save(np.array([{}, None]))
    np.testing.assert_array_equal(dataset.load(), make_pixels(3))


def test_a_pickle_is_never_read(tmp_path: Path) -> None:
    np.save(tmp_path / "objects.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(DatasetError, match="can't be memory-mapped: Python objects"):
        ArrayDataset(filepath=str(tmp_path / "objects.npy")).load()
