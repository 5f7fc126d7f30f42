"""What the data set is made of, where it repeats itself, and how far test lies from train."""

from typing import Annotated, Any

from pydantic import Field

from chest_xray.core.options import Options
from chest_xray.core.types import Array, DataFrame
from chest_xray.images.index import FEATURES, read_feature


class Audit(Options):
    """What counts as a wide image."""

    wide_aspect: Annotated[float, Field(gt=0)]


def select_class(images: DataFrame, split: str, label: int) -> DataFrame:
    """Return the images of one class in one official split."""
    return images[(images["split"] == split) & (images["label"] == label)]


def summarise_groups(images: DataFrame) -> dict[str, int]:
    """Count patients, and those with several images."""
    sizes = images.groupby("group").size()
    several = sizes[sizes > 1]
    return {
        "groups": len(sizes),
        "largest": int(sizes.max()),
        "groups_of_several": len(several),
        "images_in_groups_of_several": int(several.sum()),
    }


def summarise_duplicates(duplicates: DataFrame) -> dict[str, Any]:
    """Count exact and near duplicates, and how many of them cross splits, classes or patients."""
    summary = {}
    for kind in ("exact", "near"):
        pairs = duplicates[duplicates["kind"] == kind]
        summary[kind] = {
            "pairs": len(pairs),
            "pictures": int(pairs["first"].nunique()),
            "across_splits": int((~pairs["same_split"]).sum()),
            "across_classes": int((~pairs["same_label"]).sum()),
            "across_groups": int((~pairs["same_group"]).sum()),
        }
    return summary


def compare_splits(images: DataFrame, label: int, audit: Audit) -> dict[str, Any]:
    """Compare train with test in one class: Kolmogorov-Smirnov distances, and the shares of wide images."""
    train, test = (select_class(images, split, label) for split in ("train", "test"))
    shift: dict[str, Any] = {
        f"{feature}_distance": _distance(read_feature(train, feature), read_feature(test, feature))
        for feature in FEATURES
    }
    for split, rows in (("train", train), ("test", test)):
        shift[f"wide_{split}"] = float((read_feature(rows, "aspect") >= audit.wide_aspect).mean())
    return shift


def _distance(first: Array, second: Array) -> float:
    import numpy as np

    values = np.union1d(first, second)
    shares = [np.searchsorted(np.sort(each), values, side="right") / len(each) for each in (first, second)]
    return float(np.abs(shares[0] - shares[1]).max())
