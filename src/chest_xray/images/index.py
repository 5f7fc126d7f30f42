"""The index of the image folders: a row for each image, and a reason for each refused file."""

import logging
import warnings
from itertools import chain, product
from typing import Annotated, Any

from pydantic import Field

from chest_xray.core.files import NUM_THREADS
from chest_xray.core.types import Array, DataFrame, InputError, Options
from chest_xray.images.kermany import (
    CLASSES,
    ParsedName,
    Patients,
    find_unknown_patients,
    look_up_patients,
    parse_name,
    short_path,
)
from chest_xray.images.validation import ImageFacts, Refusal, find_misplacement, read_header

logger = logging.getLogger(__name__)
BLOCK = 256  # files a task: a task for each would cost more than reading its header.
REFUSED = ["path", "reason", "detail"]
FEATURES = {"width": "pixels", "height": "pixels", "aspect": "width / height", "bytes": "bytes"}


class Integrity(Options):
    """Limits beyond which a file is refused, and how many refused files stop the run."""

    max_megabytes: Annotated[float, Field(gt=0)]
    max_megapixels: Annotated[float, Field(gt=0, le=1000)]
    max_refused_files: Annotated[int, Field(ge=0)]


def drop_refused(images: DataFrame, refused_files: DataFrame, integrity: Integrity) -> DataFrame:
    """Return the images that were not refused.

    Raises:
        InputError: Too many files are refused, or a split has no image of a class.
    """
    counted = refused_files[refused_files["reason"] != "junk"]  # Expected in any folder that was unpacked by hand.
    if len(refused_files):
        logger.warning("set aside: %s", _summarise(refused_files))
    if len(counted) > integrity.max_refused_files:
        raise InputError(
            f"{len(counted)} files are set aside ({_summarise(counted)}); at most {integrity.max_refused_files} are "
            "allowed. Correct or remove them (unreadable_files.csv in 02_intermediate lists all), "
            "or raise integrity.max_refused_files."
        )
    accepted = images[~images["path"].isin(refused_files["path"])].reset_index(drop=True)
    for split, (label, name) in product(("train", "test"), enumerate(CLASSES)):
        rows = accepted[accepted["split"] == split]
        if not (rows["label"] == label).any():
            class_counts = rows["label"].map(dict(enumerate(CLASSES))).value_counts()
            counts = ", ".join(f"{number} of {class_}" for class_, number in class_counts.items()) or "none at all"
            raise InputError(
                f"no readable image of class {name} in the {split} split: found {counts}, set aside "
                f"{_summarise(refused_files) or 'nothing'}; expected NORMAL/ and PNEUMONIA/, each with images. "
                f"Put the missing folder in place, or name another folder with --params data_root=DIR."
            )
    return accepted


def read_file_facts(files: DataFrame, integrity: Integrity) -> list[dict[str, Any]]:
    """Read size and mode from the header of each file, or why it is refused; in threads."""
    from tqdm.contrib.concurrent import thread_map

    def read(path: str, size: int, problem: str) -> ImageFacts | Refusal:
        if problem:
            return Refusal(problem, "cannot be opened for reading")
        if size > integrity.max_megabytes * 1e6:
            detail = f"{size / 1e6:,.0f} MB; files of at most {integrity.max_megabytes:g} MB are opened"
            return Refusal("too large", detail)
        return find_misplacement(path) or read_header(path, integrity.max_megapixels)

    def read_block(start: int) -> list[dict[str, Any]]:
        rows = files.iloc[start : start + BLOCK]
        return [read(*row)._asdict() for row in zip(rows["path"], rows["bytes"], rows["problem"], strict=True)]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, about single files; what matters becomes a reason.
        starts, bar_options = range(0, len(files), BLOCK), {"unit": "image", "unit_scale": BLOCK, "disable": None}
        return list(chain(*thread_map(read_block, starts, max_workers=NUM_THREADS, desc="Indexing", **bar_options)))


def describe_images(images: DataFrame, patients: Patients, patient_table: DataFrame) -> DataFrame:
    """Add label, patient and aetiology, from the path or from a table of patients (no rows for none)."""
    import pandas as pd

    labels = images["path"].str.rsplit("/", n=2).str[-2].str.upper().map({name: i for i, name in enumerate(CLASSES)})
    parsed = (parse_name(path, patients) for path in images["path"])
    names = pd.DataFrame(parsed, index=images.index, columns=ParsedName._fields)
    if len(patient_table) and len(images):
        names["group"] = look_up_patients(images["path"], patient_table).fillna(short_path(images["path"], 2))
    columns = ["path", "bytes", "modified", "split", "label", "group", "aetiology", "width", "height", "mode"]
    index = images.assign(label=labels).join(names).reset_index(drop=True)[columns]
    unknown = find_unknown_patients(index)
    if unknown.any():
        logger.warning(
            "%d of %d images (%.0f%%) have no known patient, such as %s: each counts as a patient of its own, and one "
            "person may be in train and in validation. Set patients.pattern, or name a table with --params "
            "patient_table=FILE.",
            unknown.sum(),
            len(index),
            100 * unknown.mean(),
            repr(index.loc[unknown, "path"].iloc[0]),
        )
    return index.astype({"label": "int8", "width": "int32", "height": "int32"})


def _summarise(refused_files: DataFrame) -> str:
    """Count by reason, with the first names of each."""
    summaries = []
    for reason, rows in refused_files.groupby("reason"):
        names = ", ".join(repr(path.rsplit("/", 1)[-1]) for path in rows["path"].iloc[:3])
        summaries.append(f"{len(rows)} {reason} ({names}{', ...' if len(rows) > 3 else ''})")
    return "; ".join(summaries)


def read_feature(images: DataFrame, feature: str) -> Array:
    """Return one of `FEATURES` of each image, float64 of shape (images,), in the unit that `FEATURES` gives."""
    if feature == "aspect":
        return (images["width"] / images["height"]).to_numpy(float)
    return images[feature].to_numpy(float)


def select_class(images: DataFrame, split: str, label: int) -> DataFrame:
    """Return the images of one class in one official split."""
    return images[(images["split"] == split) & (images["label"] == label)]
