"""What the data set is made of, where it repeats itself, and how far test lies from train."""

from itertools import product
from typing import Annotated, Any

from pydantic import Field

from chest_xray.core.options import Options
from chest_xray.core.types import Array, DataFrame, Figure
from chest_xray.images.kermany import CLASSES
from chest_xray.pipelines.data_processing.header_rule import FEATURES, read_feature


class Audit(Options):
    """What counts as a wide image."""

    wide_aspect: Annotated[float, Field(gt=0)]


def count_classes(image_split: DataFrame) -> DataFrame:
    """Count images and patient groups.

    Args:
        image_split: One row an image.

    Returns:
        One row for each `subset`, `class` and `aetiology`: `images`, `groups`, and `share`, the part in [0, 1] of the
        subset's images.
    """
    named = image_split.assign(**{"class": image_split["label"].map(dict(enumerate(CLASSES)))})
    counts = named.groupby(["subset", "class", "aetiology"])["group"].agg(images="size", groups="nunique")
    counts["share"] = (counts["images"] / counts.groupby("subset")["images"].transform("sum")).round(4)
    return counts.loc[["train", "validation", "test"]].reset_index()


def tabulate_headers(image_index: DataFrame) -> DataFrame:
    """Describe widths, heights, aspects and file sizes.

    Args:
        image_index: One row an image.

    Returns:
        One row for each `feature`, `split` and `class`: `images`, and the `minimum`, `p5`, `median`, `p95` and
        `maximum`.
    """
    import numpy as np
    import pandas as pd

    rows = []
    for feature, split, (label, name) in product(FEATURES, ("train", "test"), enumerate(CLASSES)):
        values = read_feature(_choose(image_index, split, label), feature)
        quantiles = np.percentile(values, [0, 5, 50, 95, 100]).round(3)
        rows.append((feature, split, name, len(values), *quantiles))
    columns = ["feature", "split", "class", "images", "minimum", "p5", "median", "p95", "maximum"]
    return pd.DataFrame(rows, columns=columns)


def audit_images(image_split: DataFrame, duplicates: DataFrame, quarantine: DataFrame, audit: Audit) -> dict[str, Any]:
    """Sum the data set up.

    Args:
        image_split: One row an image.
        duplicates: One row a pair of pictures that are the same or nearly so.
        quarantine: One row a file set aside.
        audit: From which width / height on an image counts as wide.

    Returns:
        `counts`, `groups`, `duplicates`, `modes`, `shift` (between the official train and test, by class) and
        `quarantine`, of plain numbers.
    """
    return {
        "counts": count_classes(image_split).to_dict("records"),
        "groups": {name: _describe_groups(rows) for name, rows in image_split.groupby("subset")},
        "duplicates": _describe_duplicates(duplicates),
        "modes": {
            f"{split}/{name}": _choose(image_split, split, label)["mode"].value_counts().to_dict()
            for split, (label, name) in product(("train", "test"), enumerate(CLASSES))
        },
        "shift": {name: _describe_shift(image_split, label, audit) for label, name in enumerate(CLASSES)},
        "quarantine": {"files": len(quarantine), "reasons": quarantine["reason"].value_counts().to_dict()},
    }


def draw_headers(image_index: DataFrame, data_source: str) -> Figure:
    """Show how width, height, aspect and file size differ between splits and classes.

    Args:
        image_index: One row an image.
        data_source: Printed below.

    Returns:
        One plot a feature: the cumulative share of images for each split and class.
    """
    import numpy as np

    from chest_xray.reporting.style import BLUE, ORANGE, PAGE_WIDTH, head_figure, label_axes, new_figure

    figure, axes = new_figure(data_source, columns=2, rows=2, width=PAGE_WIDTH, height=6.4)
    for place, (feature, unit) in zip(axes.flat, FEATURES.items(), strict=True):
        for split, (label, name) in product(("train", "test"), enumerate(CLASSES)):
            values = np.sort(read_feature(_choose(image_index, split, label), feature))
            style = {"color": (BLUE, ORANGE)[label], "linestyle": "-" if split == "train" else "--"}
            place.plot(values, np.linspace(0, 1, len(values)), label=f"{split} {name}: n = {len(values):,}", **style)
        place.locator_params(axis="x", nbins=6)  # so that long numbers stand apart
        label_axes(place, feature, [unit, "share of images up to here"])
    head_figure(figure, "What the header of a file tells, before a pixel is read")
    return figure


def _choose(images: DataFrame, split: str, label: int) -> DataFrame:
    return images[(images["split"] == split) & (images["label"] == label)]


def _describe_groups(images: DataFrame) -> dict[str, int]:
    sizes = images.groupby("group").size()
    several = sizes[sizes > 1]
    return {
        "groups": len(sizes),
        "largest": int(sizes.max()),
        "groups_of_several": len(several),
        "images_in_groups_of_several": int(several.sum()),
    }


def _describe_duplicates(duplicates: DataFrame) -> dict[str, Any]:
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


def _describe_shift(images: DataFrame, label: int, audit: Audit) -> dict[str, Any]:
    """Distances of the cumulative shares of train and test (Kolmogorov-Smirnov), and the shares of wide images."""
    train, test = (_choose(images, split, label) for split in ("train", "test"))
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
