"""Copies are found, different images are not."""

import itertools

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from chest_xray.core.types import Array, DataFrame
from chest_xray.images.duplicates import DuplicateSearch, find_close_pairs
from chest_xray.pipelines.data_processing.nodes import find_duplicates, hash_images

COMPARISON = DuplicateSearch(hash_size=16, max_distance=20)


def draw_pictures(number: int) -> Array:
    """Smooth pictures that have nothing in common, uint8 of shape (number, 64, 64)."""
    rng = np.random.default_rng(0)
    coarse = [Image.fromarray(rng.integers(0, 256, (12, 12), np.uint8)) for _ in range(number)]
    return np.stack([np.asarray(each.resize((64, 64), Image.Resampling.BICUBIC)) for each in coarse])


def compare(pictures: Array, index: DataFrame) -> DataFrame:
    return find_duplicates(index, hash_images(pictures, COMPARISON, {}).values, COMPARISON)


def build_index(number: int) -> DataFrame:
    names = [f"{row}.jpeg" for row in range(number)]
    facts = {"path": names, "split": "train", "label": 0, "group": names, "width": 640, "height": 480}
    return pd.DataFrame(facts)


def test_different_images_are_no_duplicates() -> None:
    assert len(compare(draw_pictures(30), build_index(30))) == 0


def test_an_image_three_times_gives_two_exact_pairs_with_the_first() -> None:
    pictures = draw_pictures(6)
    pictures[3] = pictures[5] = pictures[1]
    pairs = compare(pictures, build_index(6))
    assert pairs[["first", "second", "kind", "distance"]].to_numpy().tolist() == [
        ["1.jpeg", "3.jpeg", "exact", 0],
        ["1.jpeg", "5.jpeg", "exact", 0],
    ]


def test_the_same_pixels_at_another_size_are_near() -> None:
    pictures = draw_pictures(4)
    pictures[2] = pictures[0]
    index = build_index(4)
    index.loc[2, "width"] = 320
    assert compare(pictures, index)[["first", "second", "kind"]].to_numpy().tolist() == [["0.jpeg", "2.jpeg", "near"]]


@pytest.mark.parametrize("change", ["brighter", "noisier", "smaller"])
def test_a_changed_copy_is_near(change: str) -> None:
    pictures = draw_pictures(4)
    copy = Image.fromarray(pictures[0])
    if change == "smaller":
        pictures[3] = np.asarray(copy.resize((40, 40), Image.Resampling.LANCZOS).resize((64, 64)))
    elif change == "noisier":
        noise = np.random.default_rng(1).normal(0, 4, (64, 64))
        pictures[3] = (pictures[0] + noise).clip(0, 255).astype(np.uint8)
    else:
        pictures[3] = (pictures[0] * 0.8 + 20).astype(np.uint8)
    pairs = compare(pictures, build_index(4))
    assert pairs[["first", "second", "kind"]].to_numpy().tolist() == [["0.jpeg", "3.jpeg", "near"]]
    assert pairs["distance"].item() <= 20


def test_pairs_across_splits_classes_and_patients_are_marked() -> None:
    pictures = draw_pictures(3)
    pictures[2] = pictures[0]
    index = build_index(3)
    index = index.assign(split=["train", "train", "test"], label=[0, 0, 1])
    pair = compare(pictures, index).iloc[0]
    assert not pair[["same_split", "same_label", "same_group"]].any()


def test_close_pairs_equal_those_of_a_comparison_of_all_pairs() -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 256, (60, 4), np.uint8)
    codes[30:] = codes[:30] ^ (rng.random((30, 4, 8)) < 0.1).astype(np.uint8).dot(1 << np.arange(8)).astype(np.uint8)
    codes[59] = codes[0] ^ np.packbits(np.isin(np.arange(32), [0, 7, 14, 20, 26]))  # One bit in each fifth.
    expected = [
        pair
        for pair in itertools.combinations(range(60), 2)
        if np.bitwise_count(codes[pair[0]] ^ codes[pair[1]]).sum() <= 5
    ]
    assert 10 < len(expected) < 40
    assert (0, 59) in expected
    assert [tuple(pair) for pair in find_close_pairs(codes, 5).tolist()] == expected


def test_the_fingerprint_changes_with_pixels_and_hash_size() -> None:
    pictures = draw_pictures(3)
    other = pictures.copy()
    other[2, 0, 0] ^= 1
    fingerprints = {
        hash_images(pictures, COMPARISON, {}).fingerprint,
        hash_images(other, COMPARISON, {}).fingerprint,
        hash_images(pictures, DuplicateSearch(hash_size=8, max_distance=20), {}).fingerprint,
    }
    assert len(fingerprints) == 3
    assert hash_images(pictures.copy(), COMPARISON, {}).fingerprint in fingerprints
