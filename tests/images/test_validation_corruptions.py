"""Every validation image is corrupted under every condition, and no other image is."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from chest_xray.core.types import Array, InputError
from chest_xray.images.corruptions import ValidationCorruptions, draw_combined, list_corrupted
from chest_xray.images.preprocessing import Preparation
from chest_xray.pipelines.data_processing.nodes import corrupt_validation
from tests.builders import make_split, save_images

CONDITIONS = [
    *(("none", 0.0), ("contrast", 0.3), ("contrast", 0.6), ("gamma", 0.5), ("noise", 0.1), ("blur", 2.0)),
    *(("crop", 0.2), ("tilt", 8.0), ("collimation", 0.25), ("swapped_shape", 0.4), ("combined", 0.6)),
]


def make_corruptions(**changes: Any) -> ValidationCorruptions:
    plain = {
        **{"seed": 1, "contrast": [0.3, 0.6], "gamma": [0.5], "noise": [0.1], "blur": [2.0], "crop": [0.2]},
        **{"tilt": [8.0], "collimation": [0.25], "swapped_shape": [0.4], "combined": 0.6},
    }
    return ValidationCorruptions.model_validate({**plain, **changes})


@pytest.fixture
def split(tmp_path: Path) -> pd.DataFrame:
    """Two validation images that can be read, between others that cannot."""
    table = make_split([0, 1, 0, 1, 1], ["train", "validation", "test", "validation", "train"])
    return save_images(table, (1, 3), tmp_path)


def corrupt_all(split: pd.DataFrame, corruptions: ValidationCorruptions) -> tuple[pd.DataFrame, Array]:
    table = list_corrupted(split, "validation", corruptions)
    return table, corrupt_validation(split, corruptions, Preparation(width=24, height=16), {}).values


def test_conditions_are_none_each_kind_at_each_strength_and_all_together() -> None:
    assert make_corruptions().conditions() == CONDITIONS


def test_every_kind_is_drawn_up_to_the_stated_share_of_its_greatest_strength() -> None:
    drawn = [draw_combined(make_corruptions(), np.random.default_rng(seed)) for seed in range(50)]
    greatest = {"contrast": 0.6, "gamma": 0.5, "noise": 0.1, "blur": 2.0, "crop": 0.2, "tilt": 8.0, "collimation": 0.25}
    for strengths in drawn:
        assert [kind for kind, _ in strengths] == list(greatest)
    for kind, most in greatest.items():
        assert 0.5 * most < max(dict(strengths)[kind] for strengths in drawn) <= 0.6 * most


def test_each_validation_image_is_listed_once_for_each_condition_and_no_other(split: pd.DataFrame) -> None:
    table = list_corrupted(split, "validation", make_corruptions())
    assert table["path"].tolist() == [split["path"][1]] * 11 + [split["path"][3]] * 11
    assert list(zip(table["kind"], table["strength"], strict=True)) == CONDITIONS * 2
    assert set(table["subset"]) == {"corrupted_validation"}
    assert (table["label"][11], table["group"][11]) == (split["label"][3], split["group"][3])
    assert set(split["subset"]) == {"train", "validation", "test"}  # The split itself is not changed.


def test_images_come_in_the_order_of_the_list_and_of_the_prepared_size(split: pd.DataFrame) -> None:
    table, pixels = corrupt_all(split, make_corruptions())
    assert pixels.shape == (len(table), 16, 24)
    assert pixels.dtype == np.uint8
    for place in (0, 11):  # unaltered
        with Image.open(table["path"][place]) as image:
            plain = np.asarray(image.resize((24, 16), Image.Resampling.BILINEAR), float)
        differences = np.abs(pixels.astype(float) - plain).mean(axis=(1, 2))
        assert differences.argmin() == place
        assert differences[place] < 3  # resized twice instead of once


def test_each_condition_gives_another_image(split: pd.DataFrame) -> None:
    _, pixels = corrupt_all(split, make_corruptions())
    assert len(np.unique(pixels.reshape(len(pixels), -1), axis=0)) == len(pixels)


def test_less_contrast_is_less_contrast(split: pd.DataFrame) -> None:
    _, pixels = corrupt_all(split, make_corruptions())
    deviations = pixels[:3].std(axis=(1, 2))
    np.testing.assert_allclose(deviations[1:] / deviations[0], [0.7, 0.4], atol=0.03)


def test_shapes_are_swapped_by_cutting_normal_images_wide_and_pneumonia_narrow(split: pd.DataFrame) -> None:
    # Left and right are dark, above and below too: what is cut off is what is not seen any more.
    framed = np.pad(np.full((160, 240), 200, np.uint8), ((20, 20), (30, 30)))
    split.loc[3, "label"] = 0
    for row in (1, 3):
        Image.fromarray(framed).save(split["path"][row])
    table, pixels = corrupt_all(split, make_corruptions(swapped_shape=[0.2]))
    pneumonia, normal = pixels[table["kind"] == "swapped_shape"]
    assert (pneumonia[8, :] > 150).all()  # nothing dark at the left and the right
    assert pneumonia[0, 12] < 50
    assert (normal[:, 12] > 150).all()
    assert normal[8, 0] < 50


def test_one_seed_gives_the_same_images_and_another_others(split: pd.DataFrame) -> None:
    first, again, other = (corrupt_all(split, make_corruptions(seed=seed))[1] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    np.testing.assert_array_equal(first[0], other[0])  # What is not altered has no chance in it.


def test_a_corruption_is_drawn_for_each_image(split: pd.DataFrame) -> None:
    same = split.copy()
    with Image.open(split["path"][1]) as image:
        image.save(split["path"][3])
    table, pixels = corrupt_all(same, make_corruptions())
    for place in table.index[table["kind"].isin(["noise", "combined"])][:2]:
        assert (pixels[place] != pixels[place + 11]).any()
    np.testing.assert_array_equal(pixels[0], pixels[11])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"noise": [0.0]}, r"noise.0: received 0.0, but Input should be greater than 0"),
        ({"combined": 1.5}, "combined: received 1.5, but Input should be less than or equal to 1"),
        ({"stretch": [0.5]}, r"stretch: received \[0.5\], but Extra inputs are not permitted"),
    ],
)
def test_impossible_conditions_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_corruptions(**changes)
