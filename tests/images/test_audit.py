"""Counts, patients, duplicates and distribution shift are those worked by hand."""

import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from chest_xray.core.types import Array, DataFrame
from chest_xray.images.audit import Audit, AuditSummary, DuplicateSearch, find_close_pairs
from chest_xray.pipelines.data_processing.nodes import (
    audit_images,
    count_classes,
    find_duplicates,
    hash_images,
    tabulate_headers,
)
from chest_xray.reporting.image_figures import draw_headers
from chest_xray.reporting.style import Labels

COMPARISON = DuplicateSearch(hash_size=16, max_distance=20)
IMAGES = pd.DataFrame(
    [
        ("train", "train", 0, "a", "none", 100, 100),
        ("train", "train", 0, "a", "none", 120, 100),
        ("train", "validation", 1, "b", "viral", 150, 100),
        ("train", "train", 1, "c", "bacterial", 140, 100),
        ("test", "test", 0, "d", "none", 160, 100),
        ("test", "test", 0, "e", "none", 110, 100),
        ("test", "test", 1, "f", "viral", 200, 100),
    ],
    columns=["split", "subset", "label", "group", "aetiology", "width", "height"],
).assign(bytes=1000, mode="L", path=[f"train/NORMAL/{name}" for name in "1234567"])
DUPLICATES = pd.DataFrame(
    [
        ("1", "2", "exact", True, True, True),
        ("1", "3", "exact", False, True, False),
        ("4", "5", "near", True, False, False),
    ],
    columns=["first", "second", "kind", "same_split", "same_label", "same_group"],
)
QUARANTINE = pd.DataFrame({"path": ["x", "y", "z"], "reason": ["empty", "junk", "empty"], "detail": ""})


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


@pytest.fixture(scope="module")
def audit() -> AuditSummary:
    return audit_images(IMAGES, DUPLICATES, QUARANTINE, Audit(wide_aspect=1.5))


def test_images_and_groups_are_counted_by_subset_class_and_aetiology() -> None:
    counts = count_classes(IMAGES)
    assert counts["subset"].tolist() == ["train", "train", "validation", "test", "test"]
    assert counts["images"].tolist() == [2, 1, 1, 2, 1]
    assert counts["groups"].tolist() == [1, 1, 1, 2, 1]
    assert counts["share"].tolist() == [0.6667, 0.3333, 1.0, 0.6667, 0.3333]


def test_patients_with_several_images_are_counted(audit: AuditSummary) -> None:
    assert audit.groups["train"].model_dump() == {
        "groups": 2,
        "largest": 2,
        "groups_of_several": 1,
        "images_in_groups_of_several": 2,
    }
    assert audit.groups["test"].groups_of_several == 0


def test_images_without_a_known_patient_are_counted() -> None:
    images = IMAGES.assign(group=["NORMAL/1", "NORMAL/2", *IMAGES["group"][2:]])
    found = audit_images(images, DUPLICATES, QUARANTINE, Audit(wide_aspect=1.5))
    assert found.unknown_patients.model_dump() == {"images": 2, "share": pytest.approx(2 / 7)}


def test_duplicates_are_counted_across_splits_classes_and_groups(audit: AuditSummary) -> None:
    exact = {"pairs": 2, "pictures": 1, "across_splits": 1, "across_classes": 0, "across_groups": 1}
    near = {"pairs": 1, "pictures": 1, "across_splits": 0, "across_classes": 1, "across_groups": 1}
    assert audit.duplicates.model_dump() == {"exact": exact, "near": near}


def test_modes_and_quarantine_are_counted(audit: AuditSummary) -> None:
    assert audit.modes["train/NORMAL"] == {"L": 2}
    assert audit.quarantine.model_dump() == {"files": 3, "reasons": {"empty": 2, "junk": 1}}


def test_the_shift_is_the_largest_distance_of_the_cumulative_shares(audit: AuditSummary) -> None:
    normal = audit.shift["NORMAL"]
    assert normal.width_distance == pytest.approx(0.5)  # At 100: 1/2 of train, none of test.
    assert normal.height_distance == 0
    assert (normal.wide_train, normal.wide_test) == (0, 0.5)
    pneumonia = audit.shift["PNEUMONIA"]
    assert pneumonia.width_distance == 1
    assert (pneumonia.wide_train, pneumonia.wide_test) == (0.5, 1)  # 150 x 100 is as wide as the limit, and counts


def test_the_header_table_has_a_row_a_feature_split_and_class() -> None:
    table = tabulate_headers(IMAGES)
    assert len(table) == 16
    assert table.iloc[0].tolist() == ["width", "train", "NORMAL", 2, 100, 101, 110, 119, 120]
    aspect = table[(table["feature"] == "aspect") & (table["split"] == "test") & (table["class"] == "PNEUMONIA")]
    assert aspect["median"].tolist() == [2]


def test_the_figure_has_a_plot_a_feature_and_names_its_data() -> None:
    figure: Any = draw_headers(IMAGES, Labels("phantoms"))
    assert [axes.get_title() for axes in figure.axes] == ["width", "height", "width over height", "bytes"]
    assert len(figure.axes[0].lines) == 4
    assert figure.get_supxlabel() == "Data: phantoms"
