"""Describe every file of the image folders by a row of the index, or by the reason why it has none."""

import logging
import os
import warnings
from typing import Annotated, Any

from pydantic import Field

from chest_xray.core.options import InputError, Options
from chest_xray.core.types import DataFrame
from chest_xray.images.kermany import CLASSES, parse_name
from chest_xray.images.validation import read_header, tell_misplaced

logger = logging.getLogger(__name__)

NUM_THREADS = 2 * (os.cpu_count() or 1)  # Reading waits for the disk half of the time.
BLOCK = 256  # files a task: a task for each would cost more than reading its header.
REFUSED = ["path", "reason", "detail"]
UNCOUNTED = ("junk",)  # Expected in any folder that was unpacked by hand.


class Integrity(Options):
    """Which files are refused, and how many before the run stops."""

    max_megabytes: Annotated[float, Field(gt=0)]
    max_megapixels: Annotated[float, Field(gt=0, le=1000)]
    max_refused_files: Annotated[int, Field(ge=0)]


def index_images(train_images: DataFrame, test_images: DataFrame, integrity: Integrity) -> tuple[DataFrame, DataFrame]:
    """Describe every image by one row, from its path, its header and its last bytes.

    Args:
        train_images: `path`, `bytes`, `modified` and `problem` of each file of the train split; the folder a file lies
            in is its class.
        test_images: The same of the test split.
        integrity: The largest file and the largest image that are read.

    Returns:
        One row an image: `path`, `bytes`, `modified`, `split` ("train", "test"), `label` (0 healthy, 1 diseased),
        `group` (the patient as far as the name tells), `aetiology`, `width` and `height` (pixels, upright), `mode`
        (Pillow's name). One row a file that is none: `path`, `reason`, `detail`.
    """
    import pandas as pd

    files = pd.concat([train_images.assign(split="train"), test_images.assign(split="test")], ignore_index=True)
    facts = pd.DataFrame(_read_facts(files, integrity), columns=["width", "height", "mode", "reason", "detail"])
    files = files.drop(columns="problem").join(facts)
    readable = files["reason"].isna()
    refused = files.loc[~readable, REFUSED].reset_index(drop=True)
    return _describe_images(files[readable].drop(columns=["reason", "detail"])), refused


def keep_readable(indexed_images: DataFrame, unreadable_files: DataFrame, integrity: Integrity) -> DataFrame:
    """Go on with the images, unless too many files are unreadable: told by headers, before hours of decoding.

    Args:
        indexed_images: One row an image.
        unreadable_files: `path`, `reason`, `detail` of each file that is none.
        integrity: How many of these are tolerated; junk of operating systems does not count.

    Returns:
        The images.

    Raises:
        InputError: More files are set aside than tolerated, or a class has no image left in a split.
    """
    return _keep_accepted(indexed_images, unreadable_files, integrity)


def keep_decodable(readable_images: DataFrame, quarantine: DataFrame, integrity: Integrity) -> DataFrame:
    """Leave out the images that turned out damaged, unless there are too many.

    Args:
        readable_images: One row an image.
        quarantine: `path`, `reason`, `detail` of each file set aside, by its header or when it was decoded.
        integrity: How many of these are tolerated; junk of operating systems does not count.

    Returns:
        The images that could be decoded, in their order, which is that of the prepared images.

    Raises:
        InputError: More files are set aside than tolerated, or a class has no image left in a split.
    """
    return _keep_accepted(readable_images, quarantine, integrity)


def _keep_accepted(images: DataFrame, refused_files: DataFrame, integrity: Integrity) -> DataFrame:
    counted = refused_files[~refused_files["reason"].isin(UNCOUNTED)]
    if len(refused_files):
        logger.warning("set aside: %s", _summarise(refused_files))
    if len(counted) > integrity.max_refused_files:
        raise InputError(
            f"{len(counted)} files are set aside ({_summarise(counted)}); at most {integrity.max_refused_files} are "
            "tolerated. Mend or remove them (unreadable_files.csv in 02_intermediate lists all), "
            "or raise integrity.max_refused_files."
        )
    accepted = images[~images["path"].isin(refused_files["path"])].reset_index(drop=True)
    _require_both_classes(accepted, refused_files)
    return accepted


def _read_facts(files: DataFrame, integrity: Integrity) -> list[dict[str, Any]]:
    from itertools import chain

    from tqdm.contrib.concurrent import thread_map

    def read(path: str, size: int, problem: str) -> dict[str, Any]:
        if problem:
            return {"reason": problem, "detail": "cannot be opened for reading"}
        if size > integrity.max_megabytes * 1e6:
            detail = f"{size / 1e6:,.0f} MB; files of at most {integrity.max_megabytes:g} MB are opened"
            return {"reason": "too large", "detail": detail}
        return tell_misplaced(path) or read_header(path, integrity.max_megapixels)

    def read_block(start: int) -> list[dict[str, Any]]:
        rows = files.iloc[start : start + BLOCK]
        facts = zip(rows["path"], rows["bytes"], rows["problem"], strict=True)
        return [read(path, size, problem) for path, size, problem in facts]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's doubts about single files; what matters becomes a reason.
        starts, show = range(0, len(files), BLOCK), {"unit": "image", "unit_scale": BLOCK, "disable": None}
        return list(chain(*thread_map(read_block, starts, max_workers=NUM_THREADS, desc="Indexing", **show)))


def _describe_images(images: DataFrame) -> DataFrame:
    import pandas as pd

    labels = images["path"].str.rsplit("/", n=2).str[-2].str.upper().map({name: i for i, name in enumerate(CLASSES)})
    names = pd.DataFrame(
        [parse_name(path) for path in images["path"]], index=images.index, columns=["group", "aetiology"]
    )
    columns = ["path", "bytes", "modified", "split", "label", "group", "aetiology", "width", "height", "mode"]
    index = images.assign(label=labels).join(names).reset_index(drop=True)[columns]
    return index.astype({"label": "int8", "width": "int32", "height": "int32"})


def _summarise(refused_files: DataFrame) -> str:
    """Count by reason, with the first names of each."""
    parts = []
    for reason, rows in refused_files.groupby("reason"):
        names = ", ".join(repr(path.rsplit("/", 1)[-1]) for path in rows["path"].iloc[:3])
        parts.append(f"{len(rows)} {reason} ({names}{', ...' if len(rows) > 3 else ''})")
    return "; ".join(parts)


def _require_both_classes(images: DataFrame, refused_files: DataFrame) -> None:
    for split in ("train", "test"):
        for label, name in enumerate(CLASSES):
            if not ((images["split"] == split) & (images["label"] == label)).any():
                found = images.loc[images["split"] == split, "label"].map(dict(enumerate(CLASSES))).value_counts()
                counts = ", ".join(f"{number} of {each}" for each, number in found.items()) or "none at all"
                raise InputError(
                    f"no readable image of class {name} in the {split} split: found {counts}, set aside "
                    f"{_summarise(refused_files) or 'nothing'}; expected NORMAL/ and PNEUMONIA/, each with images. "
                    f"Put the missing folder in place, or name another folder with --params data_root=DIR."
                )
