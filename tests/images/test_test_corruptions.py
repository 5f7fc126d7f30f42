"""Every test image is corrupted by one condition at a time, and no other image is."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from chest_xray.core.types import InputError
from chest_xray.images.corruptions import Robustness, corrupt, fit, list_corrupted, read_working_image
from chest_xray.images.preprocessing import Preparation
from chest_xray.pipelines.data_processing.nodes import corrupt_test
from tests.builders import make_split, save_images

CONDITIONS = [
    *(("none", 0.0), ("blur", 1.0), ("blur", 4.0), ("noise", 0.05), ("noise", 0.1), ("contrast", 0.5), ("gamma", 0.5)),
    *(("jpeg", 50.0), ("jpeg", 5.0), ("crop", 0.2), ("collimation", 0.25)),
]


def make_robustness(**changes: Any) -> Robustness:
    plain = {
        **{"seed": 1, "blur": [1.0, 4.0], "noise": [0.05, 0.1], "contrast": [0.5], "gamma": [0.5], "jpeg": [50, 5]},
        **{"tilt": [], "crop": [0.2], "collimation": [0.25]},
    }
    return Robustness.model_validate({**plain, **changes})


@pytest.fixture
def split(tmp_path: Path) -> pd.DataFrame:
    """Two test images that can be read, between others that cannot."""
    table = make_split([0, 1, 0, 1, 1], ["train", "test", "validation", "test", "train"])
    return save_images(table, (1, 3), tmp_path)


def test_conditions_are_none_and_each_kind_at_each_strength_and_an_empty_list_leaves_a_kind_out() -> None:
    assert make_robustness().conditions() == CONDITIONS


def test_each_test_image_is_listed_once_for_each_condition_and_no_other(split: pd.DataFrame) -> None:
    table = list_corrupted(split, "test", make_robustness())
    assert table["path"].tolist() == [split["path"][1]] * 11 + [split["path"][3]] * 11
    assert list(zip(table["kind"], table["strength"], strict=True)) == CONDITIONS * 2
    assert set(table["subset"]) == {"corrupted_test"}
    assert (table["label"][11], table["group"][11]) == (split["label"][3], split["group"][3])


def test_what_is_drawn_is_drawn_once_an_image_and_is_the_same_at_all_strengths(split: pd.DataFrame) -> None:
    table = list_corrupted(split, "test", make_robustness())
    pixels = corrupt_test(split, make_robustness(), Preparation(width=24, height=16), {}).values
    assert pixels.shape == (22, 16, 24)
    for row in range(22):
        picture = read_working_image(table["path"][row])
        again = corrupt(picture, *CONDITIONS[row % 11], np.random.default_rng([1, row // 11]))
        np.testing.assert_array_equal(pixels[row], fit(again, (24, 16), "stretch"))


def test_another_seed_or_strength_is_other_images(split: pd.DataFrame) -> None:
    def fingerprint(**changes: Any) -> str:
        options = make_robustness(**changes)
        return corrupt_test(split, options, Preparation(width=24, height=16), {}).fingerprint

    assert fingerprint() == fingerprint()
    assert len({fingerprint(), fingerprint(seed=2), fingerprint(jpeg=[50, 6])}) == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"jpeg": [101]}, "jpeg.0: received 101, but Input should be less than or equal to 100"),
        ({"crop": [1.0]}, "crop.0: received 1.0, but Input should be less than 1"),
        ({"blur": [0]}, "blur.0: received 0, but Input should be greater than 0"),
        ({"combined": 0.5}, "combined: received 0.5, but Extra inputs are not permitted"),
    ],
)
def test_impossible_conditions_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_robustness(**changes)
