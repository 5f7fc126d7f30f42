"""Assign whole patients to train, validation and test, stratified by aetiology, and no image to two subsets."""

from typing import Annotated, Any

from pydantic import Field

from chest_xray.core.libraries import np, pd
from chest_xray.core.types import DataFrame, InputError, Options, Seed, Series
from chest_xray.images.audit import join_patients
from chest_xray.images.kermany import NumberedName, short_path, split_at_number

SUBSETS = ("train", "validation", "test")


class HoldOut(Options):
    """The share of train images that validate, and the seed that draws their patients."""

    share: Annotated[float, Field(ge=0.05, le=0.5)]
    max_group_images: Annotated[int, Field(ge=1)]
    seed: Seed


def draw_validation(image_index: DataFrame, duplicates: DataFrame, hold_out: HoldOut) -> Series:
    """Draw validation patients from train in random order, in each class and aetiology until the share is reached.

    Patients who share an image, by `duplicates` from `find_duplicates`, are drawn together.

    Returns:
        The subset ("train", "validation", "test") of each row of `image_index`.

    Raises:
        InputError: A class and aetiology has fewer than two patients, or none with few enough images.
    """
    train = image_index[image_index["split"] == "train"]
    train = train.assign(patient=join_patients(train, duplicates))
    by_patient = train.groupby("patient")
    patients = by_patient.agg(label=("label", "first"), aetiology=("aetiology", "first"), images=("path", "size"))
    rng = np.random.default_rng(hold_out.seed)
    drawn: list[Any] = []
    for (label, aetiology), stratum in patients.groupby(["label", "aetiology"]):
        small = stratum[stratum["images"] <= hold_out.max_group_images]
        if not len(small) or len(stratum) < 2:
            raise InputError(
                f"cannot hold out {hold_out.share:.0%} of class {label}, aetiology {aetiology!r}: train has "
                f"{len(stratum)} patients of it, {len(small)} with at most {hold_out.max_group_images} images; "
                "expected two or more. Add images, or raise hold_out.max_group_images."
            )
        shuffled = small.iloc[rng.permutation(len(small))]
        number = int((shuffled["images"].cumsum() <= hold_out.share * stratum["images"].sum()).sum())
        drawn.extend(shuffled.index[: max(number, 1)])
    subset = image_index["split"].copy()
    subset[train.index[train["patient"].isin(drawn)]] = "validation"
    return subset


class Blocks(Options):
    """Folds for cross-validation: contiguous blocks of file numbers."""

    num_folds: Annotated[int, Field(ge=2, le=20)]
    max_group_images: Annotated[int, Field(ge=1)]


def assign_blocks(image_index: DataFrame, duplicates: DataFrame, blocks: Blocks) -> Series:
    """Return the block of each image, from 0; -1 for images of test, and of patients with too many images.

    A series is the patients of one class and aetiology whose names differ in their number alone, such as "IM-0115". Its
    patients are cut into blocks of about the same number of images, in the order of their numbers. A series with fewer
    patients than blocks is cut together with the others of its class and aetiology that are as short.
    """
    train = image_index[image_index["split"] == "train"]
    names = pd.DataFrame(map(split_at_number, train["group"]), train.index, columns=NumberedName._fields)
    images = train.assign(patient=join_patients(train, duplicates), number=names["number"])
    images["series"] = names["before"] + "#" + names["after"]
    by_patient = images.sort_values(["number", "group"]).groupby("patient", sort=False)
    patients = by_patient.agg(
        label=("label", "first"), aetiology=("aetiology", "first"), series=("series", "first"), images=("path", "size")
    )
    patients = patients[patients["images"] <= blocks.max_group_images]
    stratum = ["label", "aetiology", "series"]
    is_short = patients.groupby(stratum)["images"].transform("count") < blocks.num_folds
    patients = patients.assign(series=patients["series"].mask(is_short, ""))
    in_series = patients.groupby(stratum)["images"]
    middles = (in_series.cumsum() - patients["images"] / 2) / in_series.transform("sum")
    block_of = (middles * blocks.num_folds).astype(int)
    return images["patient"].map(block_of).reindex(image_index.index).fillna(-1).astype(int)


def apply_own_split(image_index: DataFrame, own_split: DataFrame) -> Series:
    """Return the subset of every image from the user's table.

    Raises:
        InputError: The table does not fit the index.
    """
    own = own_split["subset"].set_axis(short_path(own_split["path"]))
    if unknown := sorted(set(own) - set(SUBSETS)):
        raise InputError(
            f"received the subsets {', '.join(map(repr, unknown))}; expected {', '.join(SUBSETS)}. Correct the column "
            "`subset` of the split table."
        )
    repeated = own.index[own.index.duplicated()]
    if len(repeated):
        raise InputError(
            f"the split table names {len(repeated)} images more than once; first: {repeated[0]}. Keep one row each."
        )
    subset = short_path(image_index["path"]).map(own)
    missing = image_index.loc[subset.isna(), "path"]
    if len(missing):
        raise InputError(
            f"the split table has no row for {len(missing)} of {len(subset)} images; first: {missing.iloc[0]}. "
            "Expected a column `path` that ends in train/NORMAL/name.jpeg, and a column `subset`."
        )
    return subset


def require_no_leaks(image_split: DataFrame, duplicates: DataFrame) -> None:
    """Check that no patient and no image is in two subsets.

    Raises:
        InputError: One is; the message names some.
    """
    subsets = image_split.groupby("group")["subset"].nunique()
    leaking = subsets.index[subsets > 1]
    if len(leaking):
        raise InputError(
            f"{len(leaking)} patients are in more than one of train, validation and test: {', '.join(leaking[:5])}. "
            "A network would be tested on patients that it was trained on. Move all images of a patient to one side, "
            "in the folders or in the split table."
        )
    subset_of = image_split.set_index("path")["subset"]
    exact = duplicates[duplicates["kind"] == "exact"]
    shared = exact[exact["first"].map(subset_of) != exact["second"].map(subset_of)]
    if len(shared):
        raise InputError(
            f"{len(shared)} images are in more than one of train, validation and test: {shared['first'].iloc[0]} and "
            f"{shared['second'].iloc[0]} are the same. Remove one of each pair."
        )
