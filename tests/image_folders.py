"""Folders of small images, and their preprocessing."""

from pathlib import Path

import numpy as np
from PIL import Image

from chest_xray.core.types import Array, DataFrame
from chest_xray.datasets import ArrayDataset, ImageFolderDataset, StoredArraysDataset, UserTablesDataset
from chest_xray.images.kermany import Integrity, Patients
from chest_xray.images.preprocessing import Preparation
from chest_xray.pipelines.data_processing.nodes import (
    drop_undecodable,
    drop_unreadable,
    index_images,
    list_quarantine,
    prepare_images,
)


def draw_image_folders(root: Path) -> None:
    """Two images for each split and class, under names of the Kermany set."""
    rng = np.random.default_rng(0)
    for split, first in (("train", 1), ("test", 500)):
        for number in (first, first + 1):
            for name in (f"NORMAL/IM-{number:04d}-0001.jpeg", f"PNEUMONIA/person{number}_virus_1.jpeg"):
                path = root / split / name
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(rng.integers(0, 256, (40, 48), np.uint8)).save(path)


def process(root: Path, max_refused_files: int = 100) -> tuple[DataFrame, DataFrame, Array]:
    """Compute index, quarantine and prepared pixels of image folders, as the pipeline does."""
    integrity = Integrity(max_megabytes=100, max_megapixels=1, max_refused_files=max_refused_files)
    train, test = (ImageFolderDataset(path=str(root / split)).load() for split in ("train", "test"))
    no_table = UserTablesDataset().load()["patients"]
    indexed, unreadable = index_images(train, test, {"patients": no_table}, integrity, Patients())
    readable = drop_unreadable(indexed, unreadable, integrity)
    folder = root.parent / "prepared"
    pixels = ArrayDataset(filepath=str(folder / "prepared_images.npy"))
    stored = StoredArraysDataset(filepath=str(folder)).load()
    prepared, undecodable = prepare_images(readable, Preparation(width=16, height=16), stored)
    pixels.save(prepared)
    quarantine = list_quarantine(readable, unreadable, undecodable)
    return drop_undecodable(readable, quarantine, integrity), quarantine, pixels.load()
