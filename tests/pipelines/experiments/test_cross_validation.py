"""Folds are blocks of file numbers, and a recipe is scored at one threshold for all conditions and folds."""

import numpy as np
import pandas as pd
import pytest

from chest_xray.images.splitting import Blocks, assign_blocks
from chest_xray.pipelines.experiments.nodes import measure_recipe, split_folds
from tests.builders import make_predictions

NO_DUPLICATES = pd.DataFrame({"kind": [], "first": [], "second": []}, dtype=str)
TWO = Blocks(num_folds=2, max_group_images=3)


def make_index(*groups: str, split: str = "train") -> pd.DataFrame:
    label = [int(group.startswith("person")) for group in groups]
    paths = [f"{group}/{number}.jpeg" for number, group in enumerate(groups)]
    aetiology = ["viral" if each else "none" for each in label]
    return pd.DataFrame({"path": paths, "group": groups, "label": label, "aetiology": aetiology, "split": split})


def test_blocks_are_contiguous_numbers_of_each_series() -> None:
    index = make_index("IM-0009", "IM-0010", "IM-0002", "NORMAL2-IM-0011", "NORMAL2-IM-0001", "IM-0115")
    # IM: 2 and 9 before 10 and 115, sorted as numbers and not as text; NORMAL2: 1 before 11.
    assert assign_blocks(index, NO_DUPLICATES, TWO).tolist() == [0, 1, 0, 1, 0, 1]


def test_images_of_a_patient_stay_together_and_blocks_are_balanced_by_images() -> None:
    index = make_index("IM-1", "IM-2", "IM-2", "IM-2", "IM-3", "IM-4")
    # The middles of the patients are at 0.5, 2.5, 4.5 and 5.5 of 6 images.
    assert assign_blocks(index, NO_DUPLICATES, TWO).tolist() == [0, 0, 0, 0, 1, 1]


def test_patients_who_share_an_image_are_in_one_block() -> None:
    index = make_index("IM-1", "IM-2", "IM-3", "IM-4")
    shared = pd.DataFrame({"kind": ["exact"], "first": [index["path"][0]], "second": [index["path"][3]]})
    blocks = assign_blocks(index, shared, TWO)
    assert blocks[0] == blocks[3]
    assert set(blocks) == {0, 1}


def test_patients_with_many_images_and_images_of_test_are_in_no_block() -> None:
    index = pd.concat([make_index(*["IM-1"] * 4, "IM-2", "IM-3"), make_index("IM-9", split="test")], ignore_index=True)
    assert assign_blocks(index, NO_DUPLICATES, TWO).tolist() == [-1, -1, -1, -1, 0, 1, -1]


def test_series_with_too_few_patients_are_pooled() -> None:
    index = make_index("alpha", "delta", "beta", "gamma")
    assert assign_blocks(index, NO_DUPLICATES, TWO).tolist() == [0, 1, 0, 1]


def test_every_train_image_is_validated_in_one_fold_and_test_is_unchanged() -> None:
    train = make_index(*(f"IM-{n}" for n in range(10)), *(f"person{n}_virus" for n in range(10)))
    index = pd.concat([train, make_index("IM-99", "person99_virus", split="test")], ignore_index=True)
    folds = split_folds(index, NO_DUPLICATES, Blocks(num_folds=5, max_group_images=3))
    validates = np.stack([fold["subset"] == "validation" for fold in folds])
    assert validates.sum(axis=0).tolist() == [1] * 20 + [0] * 2
    for fold in folds:
        assert (fold["subset"] == "validation").sum() == 4
        assert fold["subset"][20:].tolist() == ["test"] * 2
        assert fold["path"].tolist() == index["path"].tolist()


def make_scores(probabilities: list[float], kind: str = "none") -> pd.DataFrame:
    return make_predictions([0, 0, 1, 1], probabilities).assign(kind=kind, strength=0.0)


def test_one_threshold_is_chosen_for_the_worst_condition() -> None:
    # Each condition alone has an error-free threshold, 0.3 to 0.5 and 0.7 to 0.8; no threshold is error-free for both.
    plain, bright = make_scores([0.1, 0.2, 0.5, 0.6]), make_scores([0.55, 0.65, 0.8, 0.9], "bright")
    found = measure_recipe(a=pd.concat([plain, bright]), b=pd.concat([plain, bright]))
    assert found.auc_by_condition == {"none 0.0": 1.0, "bright 0.0": 1.0}
    assert found.worst_auc == 1
    # At 0.6, sensitivity and specificity are 1/2 and 2/2 for plain, and 2/2 and 1/2 for bright.
    assert found.threshold == pytest.approx(0.6)
    assert found.worst_condition == found.worst_fold == 0.75
    assert found.num_images == 16


def test_scores_of_different_folds_are_not_ranked_against_each_other() -> None:
    low, high = make_scores([0.1, 0.2, 0.3, 0.4]), make_scores([0.6, 0.7, 0.8, 0.9])
    found = measure_recipe(a=low, b=high)
    assert found.auc == 1
    assert found.worst_fold < 1
