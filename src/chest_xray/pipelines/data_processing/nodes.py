"""Index the images, hold out validation patients, prepare the pixels once, and show what the classes look like."""

import logging
import os
from typing import Annotated

from pydantic import Field

from chest_xray.options import InputError, Options
from chest_xray.radiographs import CLASSES, parse_name, read_header, read_pixels
from chest_xray.types import Array, DataFrame, Figure

logger = logging.getLogger(__name__)

NUM_THREADS = 2 * (os.cpu_count() or 1)  # Reading waits for the disk half of the time.


class HoldOut(Options):
    """How many of the train patients validate, and which."""

    share: Annotated[float, Field(ge=0.05, le=0.5)]
    seed: Annotated[int, Field(ge=0, lt=2**31)]


class Preparation(Options):
    """The size of a prepared image, in pixels."""

    width: Annotated[int, Field(ge=16, le=1024)]
    height: Annotated[int, Field(ge=16, le=1024)]


def index_images(train_images: DataFrame, test_images: DataFrame) -> DataFrame:
    """Describe every image by one row, from its path and its header alone.

    Args:
        train_images: `path` and `bytes` of each file of the train split; the folder a file lies in is its class.
        test_images: The same of the test split.

    Returns:
        One row an image: `path`, `bytes`, `split` ("train", "test"), `label` (0 healthy, 1 diseased), `group` (the
        patient as far as the name tells), `aetiology`, `width` and `height` (pixels), `mode` (Pillow's name).

    Raises:
        InputError: A class folder is missing from a split, or holds no readable image.
    """
    import pandas as pd
    from tqdm.contrib.concurrent import thread_map

    files = pd.concat([train_images.assign(split="train"), test_images.assign(split="test")], ignore_index=True)
    parts = files["path"].str.rsplit("/", n=2)
    files["label"] = parts.str[-2].map({name: label for label, name in enumerate(CLASSES)})
    names = pd.DataFrame([parse_name(path) for path in files["path"]])
    headers = thread_map(
        read_header, files["path"], max_workers=NUM_THREADS, disable=None, desc="Indexing", unit="image"
    )
    index = pd.concat([files, names, pd.DataFrame(headers)], axis="columns")
    _warn_of_left_out(index)
    index = index.dropna(subset=["label", "width"]).astype({"label": "int8", "width": "int32", "height": "int32"})
    _require_both_classes(index, files)
    return index.reset_index(drop=True)


def _warn_of_left_out(index: DataFrame) -> None:
    for reason, rows in (
        ("lie in neither NORMAL/ nor PNEUMONIA/", index[index["label"].isna()]),
        ("are no readable images", index[index["label"].notna() & index["width"].isna()]),
    ):
        if len(rows):
            logger.warning("%d files %s and are left out; first: %s", len(rows), reason, rows["path"].iloc[0])


def _require_both_classes(index: DataFrame, files: DataFrame) -> None:
    for split in ("train", "test"):
        for label, name in enumerate(CLASSES):
            if not ((index["split"] == split) & (index["label"] == label)).any():
                paths = files.loc[files["split"] == split, "path"].str.rsplit("/", n=2)
                root = paths.str[0].iloc[0] if len(paths) else split
                found = ", ".join(f"{folder}/ ({number} files)" for folder, number in paths.str[1].value_counts().items())
                raise InputError(
                    f"no readable image of class {name} in the {split} split: {root} has {found}; expected NORMAL/ and "
                    f"PNEUMONIA/, each with images. Put the missing folder in place, or name another folder with "
                    f"--params data_root=DIR."
                )


def hold_out_validation(image_index: DataFrame, hold_out: HoldOut) -> DataFrame:
    """Take validation patients out of train, so that no patient is on both sides and every aetiology is on either.

    Args:
        image_index: One row an image.
        hold_out: Share of the train groups, and the seed that picks them.

    Returns:
        The index with a column `subset`: "train", "validation" or "test".

    Raises:
        InputError: Train has too few patient groups of some aetiology to share them out.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    train = image_index[image_index["split"] == "train"]
    num_folds = round(1 / hold_out.share)
    num_groups = train.groupby("aetiology")["group"].nunique()
    if num_groups.min() < num_folds:
        raise InputError(
            f"cannot hold out one group in {num_folds}: train has only {num_groups.min()} patient groups of aetiology "
            f"{num_groups.idxmin()!r}. Add images, or raise hold_out.share from {hold_out.share}."
        )
    folds = StratifiedGroupKFold(num_folds, shuffle=True, random_state=hold_out.seed)
    _, held_out = next(folds.split(train, y=train["aetiology"], groups=train["group"]))
    subset = image_index["split"].copy()
    subset[train.index[held_out]] = "validation"
    return image_index.assign(subset=subset)


def prepare_images(image_index: DataFrame, preparation: Preparation) -> Array:
    """Decode every image once, to what the network will read.

    Args:
        image_index: One row an image.
        preparation: Width and height in pixels. The image is stretched to them: padding would show its shape, which
            tells the class.

    Returns:
        Grey values, uint8 in [0, 255], of shape (images, height, width), in the order of the index. They become float32 in
        [0, 1] batch by batch, in `chest_xray.batches`.
    """
    import numpy as np
    from tqdm.contrib.concurrent import thread_map

    pixels = np.empty((len(image_index), preparation.height, preparation.width), np.uint8)

    def prepare(row: int) -> None:
        pixels[row] = read_pixels(image_index["path"].iloc[row], preparation.width, preparation.height)

    thread_map(
        prepare, range(len(pixels)), max_workers=NUM_THREADS, disable=None, desc="Preparing", unit="image"
    )
    return pixels


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


def draw_example_radiographs(image_index: DataFrame, data_source: str) -> Figure:
    """Show two healthy and two diseased pairs of lungs side by side, in their own proportions.

    Args:
        image_index: One row an image.
        data_source: Printed below the pictures.

    Returns:
        Four pictures: of each class, the train images of median width, from two patients.
    """
    from chest_xray.figures import new_figure, show_image

    figure, axes = new_figure(data_source, columns=4, width=13, height=4)
    for label, name in enumerate(CLASSES):
        rows = image_index[(image_index["split"] == "train") & (image_index["label"] == label)]
        rows = rows.drop_duplicates("group").sort_values(["width", "path"])
        middle = max(len(rows) // 2 - 1, 0)
        for place, row in enumerate(rows.iloc[middle : middle + 2].itertuples()):
            scale = min(1.0, 480 / row.width)
            pixels = read_pixels(row.path, round(row.width * scale), round(row.height * scale))
            title = name if row.aetiology in ("none", "unknown") else f"{name} ({row.aetiology})"
            show_image(axes[2 * label + place], pixels, f"{title}\n{row.group}, {row.width} × {row.height} px")
    return figure
