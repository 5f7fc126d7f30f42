"""No patient and no image in two subsets, every aetiology in its share, and a user's own split."""

from typing import Any

import pandas as pd
import pytest

from chest_xray.core.types import DataFrame, InputError
from chest_xray.images.audit import Audit, DuplicateSearch
from chest_xray.images.splitting import Blocks, HoldOut, assign_blocks
from chest_xray.pipelines.data_processing.nodes import assign_subsets

NO_DUPLICATES = pd.DataFrame(columns=["first", "second", "kind"])
NO_SPLIT = pd.DataFrame(columns=["path", "subset"])
OPTIONS = {"share": 0.25, "max_group_images": 5, "seed": 0}


def build_index(images_a_patient: int = 2) -> DataFrame:
    """Twenty patients of each aetiology train, five test."""
    rows = []
    for split, first, last in (("train", 0, 20), ("test", 100, 105)):
        for aetiology in ("none", "bacterial", "viral"):
            for patient in range(first, last):
                for image in range(images_a_patient):
                    folder, group = ("NORMAL" if aetiology == "none" else "PNEUMONIA"), f"{patient}_{aetiology}"
                    path = f"/data/{split}/{folder}/{group}_{image}.jpeg"
                    rows.append((path, split, int(aetiology != "none"), group, aetiology))
    return pd.DataFrame(rows, columns=["path", "split", "label", "group", "aetiology"])


def split(index: DataFrame, duplicates: Any = NO_DUPLICATES, own: Any = NO_SPLIT, **options: Any) -> DataFrame:
    return assign_subsets(index, duplicates, {"split": own}, HoldOut(**{**OPTIONS, **options}))


def test_a_quarter_of_each_aetiology_validates_in_whole_patients() -> None:
    assigned = split(build_index())
    counts = assigned.groupby(["aetiology", "subset"]).size().unstack()
    assert counts["validation"].tolist() == [10, 10, 10]
    assert counts["train"].tolist() == [30, 30, 30]
    assert (assigned.groupby("group")["subset"].nunique() == 1).all()


def test_the_official_test_split_is_left_as_it_is() -> None:
    assigned = split(build_index())
    assert ((assigned["split"] == "test") == (assigned["subset"] == "test")).all()


def test_the_same_seed_draws_the_same_patients_and_another_seed_others() -> None:
    index = build_index()
    assert split(index).equals(split(index.copy()))
    assert not split(index).equals(split(index, seed=1))


def test_the_order_of_the_files_does_not_matter() -> None:
    index = build_index()
    shuffled = index.sample(frac=1, random_state=3)
    assert split(index)["subset"].equals(split(shuffled)["subset"].sort_index())


def test_large_patients_stay_in_train() -> None:
    index = build_index()
    index.loc[(index["aetiology"] == "viral") & (index["split"] == "train"), "group"] = "0_viral"
    index.loc[index["path"].str.contains("/7_viral"), "group"] = "7_viral"
    assigned = split(index, max_group_images=2)
    assert set(assigned.loc[(assigned["aetiology"] == "viral") & (assigned["subset"] == "validation"), "group"]) == {
        "7_viral"
    }


def test_of_two_patients_one_validates_though_that_is_more_than_the_share() -> None:
    index = build_index()
    pair = index[(index["aetiology"] != "viral") | index["group"].isin(["0_viral", "1_viral", "100_viral"])]
    assigned = split(pair)
    viral = assigned[(assigned["aetiology"] == "viral") & (assigned["split"] == "train")]
    assert viral.groupby("subset")["group"].nunique().to_dict() == {"train": 1, "validation": 1}


def test_patients_who_share_an_image_go_to_the_same_side() -> None:
    index = build_index()
    paths = [f"/data/train/NORMAL/{patient}_none_0.jpeg" for patient in range(8)]
    chain = pd.DataFrame({"first": paths[:-1], "second": paths[1:], "kind": "exact"})
    for seed in range(20):
        assigned = split(index, chain, seed=seed, max_group_images=50)
        shared = assigned.loc[assigned["group"].isin([f"{patient}_none" for patient in range(8)]), "subset"]
        assert shared.nunique() == 1


def test_too_few_patients_of_an_aetiology_are_named() -> None:
    index = build_index()
    lone = index[(index["aetiology"] != "viral") | (index["group"] == "0_viral")]
    with pytest.raises(
        InputError, match=r"cannot hold out 25% of class 1, aetiology 'viral': train has 1 patients of it"
    ):
        split(lone)


def test_only_large_patients_of_an_aetiology_are_named() -> None:
    with pytest.raises(InputError, match=r"train has 20 patients of it, 0 with at most 1 images; expected two or more"):
        split(build_index(), max_group_images=1)


def test_a_patient_in_train_and_test_stops_the_run() -> None:
    index = build_index()
    index.loc[index["group"] == "100_viral", "group"] = "3_viral"
    with pytest.raises(InputError, match=r"1 patients are in more than one of train, validation and test: 3_viral\."):
        split(index)


def test_of_many_patients_in_train_and_test_five_are_named() -> None:
    index = build_index(images_a_patient=2)
    index.loc[index["path"].str.fullmatch(r"/data/train/NORMAL/[0-5]_none_1\.jpeg"), "split"] = "test"
    told = r"^6 patients are in more than one of .*: 0_none, 1_none, 2_none, 3_none, 4_none\. A network"
    with pytest.raises(InputError, match=told):
        split(index)


def test_the_same_image_in_train_and_test_stops_the_run() -> None:
    pair = {"first": "/data/train/NORMAL/3_none_0.jpeg", "second": "/data/test/NORMAL/100_none_0.jpeg", "kind": "exact"}
    message = r"1 images are in more than one of train, validation and test: .*3_none_0\.jpeg and .*100_none_0\.jpeg"
    with pytest.raises(InputError, match=message):
        split(build_index(), pd.DataFrame([pair]))
    other = {"first": "/data/train/NORMAL/4_none_0.jpeg", "second": "/data/test/NORMAL/101_none_0.jpeg"}
    with pytest.raises(InputError, match=message.replace("1", "2", 1)):
        split(build_index(), pd.DataFrame([pair, {**other, "kind": "exact"}]))
    assert len(split(build_index(), pd.DataFrame([{**pair, "kind": "near"}])))  # Told in the audit, not forbidden.


def test_a_split_of_the_user_is_followed_wherever_the_data_lie() -> None:
    index = build_index()
    own = split(index, seed=5)[["path", "subset"]].sample(frac=1, random_state=1)
    moved = own.assign(path=own["path"].str.replace("/data/", "C:/elsewhere/"))
    assert split(index, own=moved)["subset"].equals(split(index, seed=5)["subset"])


def test_a_given_split_that_divides_a_patient_stops_the_run() -> None:
    own = split(build_index())[["path", "subset"]]
    own.loc[own["path"].str.endswith("/4_none_0.jpeg"), "subset"] = "test"
    with pytest.raises(InputError, match=r"1 patients are in more than one of .*: 4_none\."):
        split(build_index(), own=own)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda own: own.replace("validation", "val"), "received the subsets 'val'; expected train, validation, test"),
        (lambda own: own.iloc[1:], r"no row for 1 of 150 images; first: /data/train/NORMAL/0_none_0\.jpeg"),
        (lambda own: own.iloc[2:], r"no row for 2 of 150 images; first: /data/train/NORMAL/0_none_0\.jpeg"),
        (
            lambda own: pd.concat([own, own.iloc[:1]]),
            "names 1 images more than once; first: train/NORMAL/0_none_0.jpeg",
        ),
        (
            lambda own: pd.concat([own, own.iloc[:2]]),
            "names 2 images more than once; first: train/NORMAL/0_none_0.jpeg",
        ),
    ],
)
def test_a_split_of_the_user_that_does_not_fit_is_explained(change: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        split(build_index(), own=change(split(build_index())[["path", "subset"]]))


def test_a_patient_is_in_the_block_of_the_middle_of_their_images() -> None:
    index = build_index(images_a_patient=1)
    three = index[index["group"].isin(["0_none", "1_none", "2_none"])]
    found = assign_blocks(three, NO_DUPLICATES, Blocks(num_folds=2, max_group_images=5))
    assert found.tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    ("options", "name", "allowed", "refused"),
    [
        (HoldOut, "share", (0.05, 0.5), (0.049, 0.501, 0)),
        (HoldOut, "max_group_images", (1, 2), (0,)),
        (HoldOut, "seed", (0, 2**31 - 1), (-1, 2**31)),
        (Blocks, "num_folds", (2, 20), (1, 21)),
        (Blocks, "max_group_images", (1, 2), (0,)),
        (DuplicateSearch, "hash_size", (8, 16, 32), (0, 9, 40)),
        (DuplicateSearch, "max_distance", (0, 255), (-1, 256)),
        (Audit, "wide_aspect", (0.001, 1), (-0.001, 0)),
    ],
)
def test_an_option_takes_what_lies_within_its_limits(
    options: Any, name: str, allowed: tuple[float, ...], refused: tuple[float, ...]
) -> None:
    sound: dict[Any, dict[str, float]] = {
        HoldOut: OPTIONS,
        Blocks: {"num_folds": 5, "max_group_images": 5},
        DuplicateSearch: {"hash_size": 16, "max_distance": 20},
        Audit: {},
    }
    for value in allowed:
        assert getattr(options.model_validate({**sound[options], name: value}), name) == value
    for value in refused:
        with pytest.raises(InputError, match=f"{name}: received {value}"):
            options.model_validate({**sound[options], name: value})
