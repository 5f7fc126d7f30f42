"""A folder of phantoms is like one of the Kermany set, and the same for the same seed."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kedro.io import DatasetError
from PIL import Image

from chest_xray.datasets import PhantomFolderDataset
from chest_xray.images.kermany import parse_name
from chest_xray.images.phantoms import draw_phantom, draw_phantom_folder

NUM_IMAGES = {"NORMAL": 3, "PNEUMONIA": 6}


def draw(folder: Path, seed: int = 1) -> dict[str, bytes]:
    draw_phantom_folder(folder, NUM_IMAGES, seed)
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*.jpeg"))}


def test_names_are_those_of_the_kermany_set_with_two_images_a_patient_and_nobody_in_both_splits(tmp_path: Path) -> None:
    train, test = draw(tmp_path / "train"), draw(tmp_path / "test")
    assert [parse_name(name) for name in train] == [
        *(("IM-0001", "none"), ("IM-0001", "none"), ("IM-0002", "none")),
        *(("person1_bacteria", "bacterial"), ("person1_bacteria", "bacterial")),
        *(("person2_bacteria", "bacterial"), ("person2_bacteria", "bacterial")),
        *(("person3_virus", "viral"), ("person3_virus", "viral")),
    ]
    assert not {parse_name(name).group for name in train} & {parse_name(name).group for name in test}
    assert sorted(file.name for file in tmp_path.iterdir()) == ["test", "train"]  # no part is left


def test_pixels_depend_on_seed_split_and_class_alone(tmp_path: Path) -> None:
    first, again, other = (draw(tmp_path / name / "train", seed) for name, seed in (("a", 1), ("b", 1), ("c", 2)))
    assert first == again
    everything = [*first.values(), *other.values(), *draw(tmp_path / "a/test").values()]
    assert len(set(everything)) == 27
    assert b"synthetic phantom" in everything[0]


def test_phantoms_have_the_stated_size_and_opacities_brighten_their_lungs() -> None:
    lungs: dict[str, list[float]] = {"none": [], "viral": [], "bacterial": []}
    for seed, aetiology in itertools.product(range(20), lungs):
        pixels = draw_phantom(np.random.default_rng(seed), aetiology)
        height, width = pixels.shape
        assert pixels.dtype == np.uint8
        assert 150 <= width <= 260
        assert 1 <= width / height < 1.02 * 1.5  # The height is rounded down.
        lungs[aetiology].append(pixels[height // 4 : height // 2, width // 5 : 2 * width // 5].mean() / pixels.mean())
    none, viral, bacterial = map(np.mean, lungs.values())
    assert none + 0.05 < min(viral, bacterial)


def test_a_folder_is_drawn_once_and_never_into_real_data(tmp_path: Path) -> None:
    options: dict[str, Any] = {"path": str(tmp_path / "train"), "num_images": NUM_IMAGES, "seed": 1}
    dataset = PhantomFolderDataset(**options)
    assert dataset.exists()
    files = dataset.load()
    assert len(files) == 9
    Image.new("L", (8, 8)).save(tmp_path / "train/NORMAL/mine.png")
    assert len(dataset.load()) == 10
    with pytest.raises(DatasetError, match="received data_root=/data, but this environment runs on synthetic phantoms"):
        PhantomFolderDataset(**options, data_root="/data")
