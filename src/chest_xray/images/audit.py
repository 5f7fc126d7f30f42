"""The audit of the data set: counts, patients (joined if they share an image), duplicates, train against test."""

from typing import Annotated

from pydantic import ConfigDict, Field

from chest_xray.core.libraries import np, pd
from chest_xray.core.types import Array, DataFrame, Options, Result, Series
from chest_xray.images.kermany import FEATURES, Published, find_unknown_patients, read_feature, select_class

DIGEST_BYTES = 16  # BLAKE2b; two different images among a million agree with a chance of 1e-27.


class DuplicateSearch(Options):
    """Size of the perceptual hash, and the distance in bits up to which images are near duplicates."""

    hash_size: Annotated[int, Field(ge=8, le=32, multiple_of=8)]
    max_distance: Annotated[int, Field(ge=0, le=255)]


def find_close_pairs(codes: Array, max_distance: int) -> Array:
    """Return all pairs of rows of uint8 `codes` that differ in at most `max_distance` bits, of shape (pairs, 2).

    Such codes agree in at least one of `max_distance` + 1 segments (pigeonhole principle), so only rows that agree in a
    segment are compared.
    """
    close_pairs = [np.empty((0, 2), np.int64)]
    for segment in np.array_split(np.unpackbits(codes, axis=1), max_distance + 1, axis=1):
        order = np.lexsort(segment.T)
        sorted_segment = segment[order]
        for step in range(1, len(order)):
            agree = (sorted_segment[step:] == sorted_segment[:-step]).all(axis=1)
            if not agree.any():
                break
            pairs = np.stack([order[:-step][agree], order[step:][agree]], axis=1)
            distance = np.bitwise_count(codes[pairs[:, 0]] ^ codes[pairs[:, 1]]).sum(axis=1)
            close_pairs.append(np.sort(pairs[distance <= max_distance], axis=1))
    return np.unique(np.concatenate(close_pairs), axis=0)


def join_patients(images: DataFrame, duplicates: DataFrame) -> Series:
    """Return the patient of each image, where patients who share an image count as one."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    codes, names = images["group"].factorize(sort=True)
    code_by_path = dict(zip(images["path"], codes, strict=True))
    exact = duplicates[duplicates["kind"] == "exact"]
    exact = exact[exact["first"].isin(code_by_path) & exact["second"].isin(code_by_path)]
    links = (exact["first"].map(code_by_path).to_numpy(int), exact["second"].map(code_by_path).to_numpy(int))
    graph = coo_array((np.ones(len(exact)), links), shape=(len(names), len(names)))
    _, component = connected_components(graph, directed=False)
    return pd.Series(component[codes], index=images.index)


class DuplicateCounts(Result):
    """Pairs of images that are alike, and how many of them cross splits, classes or patients."""

    pairs: int
    pictures: int
    across_splits: int
    across_classes: int
    across_groups: int


class DuplicateSummary(Result):
    """Duplicates of each kind."""

    exact: DuplicateCounts
    near: DuplicateCounts


def summarise_duplicates(duplicates: DataFrame) -> DuplicateSummary:
    """Count exact and near duplicates, and how many of them cross splits, classes or patients."""
    counts = {}
    for kind in ("exact", "near"):
        pairs = duplicates[duplicates["kind"] == kind]
        counts[kind] = DuplicateCounts(
            pairs=len(pairs),
            pictures=int(pairs["first"].nunique()),
            across_splits=int((~pairs["same_split"]).sum()),
            across_classes=int((~pairs["same_label"]).sum()),
            across_groups=int((~pairs["same_group"]).sum()),
        )
    return DuplicateSummary(**counts)


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
    differences = {}
    for feature in FEATURES:
        first, second = (read_feature(rows, feature) for rows in (train, test))
        differences[f"{feature}_distance"] = float(ks_2samp(first, second, method="asymp").statistic)
    for split, rows in (("train", train), ("test", test)):
        differences[f"wide_{split}"] = float((read_feature(rows, "aspect") >= audit.wide_aspect).mean())
    return SplitDifferences(**differences)
