"""The index of the image folders: a row for each image, a reason for each refused file, and summaries."""

import logging
import warnings
from itertools import chain, product
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from chest_xray.core.arrays import NUM_THREADS
from chest_xray.core.options import InputError, Options, Result
from chest_xray.core.types import Array, DataFrame
from chest_xray.images.duplicates import DuplicateSummary
from chest_xray.images.kermany import CLASSES, Patients, find_unknown_patients, look_up_patients, parse_name, short_path
from chest_xray.images.validation import find_misplacement, read_header

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
            found = rows["label"].map(dict(enumerate(CLASSES))).value_counts()
            counts = ", ".join(f"{number} of {each}" for each, number in found.items()) or "none at all"
            raise InputError(
                f"no readable image of class {name} in the {split} split: found {counts}, set aside "
                f"{_summarise(refused_files) or 'nothing'}; expected NORMAL/ and PNEUMONIA/, each with images. "
                f"Put the missing folder in place, or name another folder with --params data_root=DIR."
            )
    return accepted


def read_file_facts(files: DataFrame, integrity: Integrity) -> list[dict[str, Any]]:
    """Read size and mode from the header of each file, or why it is refused; in threads."""
    from tqdm.contrib.concurrent import thread_map

    def read(path: str, size: int, problem: str) -> dict[str, Any]:
        if problem:
            return {"reason": problem, "detail": "cannot be opened for reading"}
        if size > integrity.max_megabytes * 1e6:
            detail = f"{size / 1e6:,.0f} MB; files of at most {integrity.max_megabytes:g} MB are opened"
            return {"reason": "too large", "detail": detail}
        return find_misplacement(path) or read_header(path, integrity.max_megapixels)

    def read_block(start: int) -> list[dict[str, Any]]:
        rows = files.iloc[start : start + BLOCK]
        return [read(*row) for row in zip(rows["path"], rows["bytes"], rows["problem"], strict=True)]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, about single files; what matters becomes a reason.
        starts, show = range(0, len(files), BLOCK), {"unit": "image", "unit_scale": BLOCK, "disable": None}
        return list(chain(*thread_map(read_block, starts, max_workers=NUM_THREADS, desc="Indexing", **show)))


def describe_images(images: DataFrame, patients: Patients, patient_table: DataFrame) -> DataFrame:
    """Add label, patient and aetiology, from the path or from a table of patients (no rows for none)."""
    import pandas as pd

    labels = images["path"].str.rsplit("/", n=2).str[-2].str.upper().map({name: i for i, name in enumerate(CLASSES)})
    parsed = (parse_name(path, patients) for path in images["path"])
    names = pd.DataFrame(parsed, index=images.index, columns=["group", "aetiology"])
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
            *(unknown.sum(), len(index), 100 * unknown.mean(), repr(index.loc[unknown, "path"].iloc[0])),
        )
    return index.astype({"label": "int8", "width": "int32", "height": "int32"})


def _summarise(refused_files: DataFrame) -> str:
    """Count by reason, with the first names of each."""
    parts = []
    for reason, rows in refused_files.groupby("reason"):
        names = ", ".join(repr(path.rsplit("/", 1)[-1]) for path in rows["path"].iloc[:3])
        parts.append(f"{len(rows)} {reason} ({names}{', ...' if len(rows) > 3 else ''})")
    return "; ".join(parts)


def read_feature(images: DataFrame, feature: str) -> Array:
    """Return one of `FEATURES` of each image, float64 of shape (images,), in the unit that `FEATURES` gives."""
    if feature == "aspect":
        return (images["width"] / images["height"]).to_numpy(float)
    return images[feature].to_numpy(float)


class Audit(Options):
    """The aspect (width / height) from which an image counts as wide."""

    wide_aspect: Annotated[float, Field(gt=0)]


class ClassCount(Result):
    """Images and patients of one class and aetiology in a subset; `share` is that of the subset's images."""

    model_config = ConfigDict(serialize_by_alias=True)

    subset: str
    class_: Annotated[str, Field(alias="class")]
    aetiology: str
    images: int
    groups: int
    share: float


class GroupSummary(Result):
    """Patients, images of the largest, and patients with several images."""

    groups: int
    largest: int
    groups_of_several: int
    images_in_groups_of_several: int


class UnknownPatients(Result):
    """Images whose patient is not known, and their share."""

    images: int
    share: float


class SplitDifferences(Result):
    """How train and test differ in one class: Kolmogorov-Smirnov distances, and shares of wide images."""

    width_distance: float
    height_distance: float
    aspect_distance: float
    bytes_distance: float
    wide_train: float
    wide_test: float


class QuarantineSummary(Result):
    """Files set aside, and how many for each reason."""

    files: int
    reasons: dict[str, int]


class AuditSummary(Result):
    """The audit of the data set: `groups` by subset, `modes` by split and class, `shift` by class."""

    counts: list[ClassCount]
    groups: dict[str, GroupSummary]
    unknown_patients: UnknownPatients
    duplicates: DuplicateSummary
    modes: dict[str, dict[str, int]]
    shift: dict[str, SplitDifferences]
    quarantine: QuarantineSummary


def select_class(images: DataFrame, split: str, label: int) -> DataFrame:
    """Return the images of one class in one official split."""
    return images[(images["split"] == split) & (images["label"] == label)]


def summarise_groups(images: DataFrame) -> GroupSummary:
    """Count patients, and those with several images."""
    sizes = images.groupby("group").size()
    several = sizes[sizes > 1]
    return GroupSummary(
        groups=len(sizes),
        largest=int(sizes.max()),
        groups_of_several=len(several),
        images_in_groups_of_several=int(several.sum()),
    )


def summarise_unknown_patients(images: DataFrame) -> UnknownPatients:
    """Count the images whose patient is not known, and their share in [0, 1]."""
    unknown = find_unknown_patients(images)
    return UnknownPatients(images=int(unknown.sum()), share=float(unknown.mean()))


def compare_splits(images: DataFrame, label: int, audit: Audit) -> SplitDifferences:
    """Compute how train and test differ in one class: Kolmogorov-Smirnov distances, and shares of wide images."""
    train, test = (select_class(images, split, label) for split in ("train", "test"))
    distances = {
        f"{feature}_distance": _ks_distance(read_feature(train, feature), read_feature(test, feature))
        for feature in FEATURES
    }
    wide_train, wide_test = (
        float((read_feature(rows, "aspect") >= audit.wide_aspect).mean()) for rows in (train, test)
    )
    return SplitDifferences(**distances, wide_train=wide_train, wide_test=wide_test)


def _ks_distance(first: Array, second: Array) -> float:
    from scipy.stats import ks_2samp

    return float(ks_2samp(first, second, method="asymp").statistic)
