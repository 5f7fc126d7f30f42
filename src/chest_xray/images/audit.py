"""The audit of the data set: counts, patients, duplicates, and how train and test differ."""

from typing import Annotated

from pydantic import ConfigDict, Field

from chest_xray.core.options import Options, Result
from chest_xray.core.types import DataFrame
from chest_xray.images.duplicates import DuplicateSummary
from chest_xray.images.index import FEATURES, read_feature, select_class
from chest_xray.images.kermany import Published, find_unknown_patients


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
    published: Published


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
    from scipy.stats import ks_2samp

    train, test = (select_class(images, split, label) for split in ("train", "test"))
    distances = {
        f"{feature}_distance": float(
            ks_2samp(read_feature(train, feature), read_feature(test, feature), method="asymp").statistic
        )
        for feature in FEATURES
    }
    wide_train, wide_test = (
        float((read_feature(rows, "aspect") >= audit.wide_aspect).mean()) for rows in (train, test)
    )
    return SplitDifferences(**distances, wide_train=wide_train, wide_test=wide_test)
