"""All nodes of download and of data_processing: index, audit, split by patient, prepare and corrupt.

The columns of the tables are described in docs/data.md. `prepared_images` is uint8 of shape (images, height, width),
one for each row of `readable_images`, `image_index` and `image_split`. `stored_arrays` are the results of earlier runs.
"""

import logging
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

from chest_xray.core.files import StoredArray, StoredArrays, compute_rows
from chest_xray.core.libraries import np, pd
from chest_xray.core.types import Array, DataFrame, Figure
from chest_xray.images import audit as data_audit
from chest_xray.images import kermany, splitting
from chest_xray.images.archives import Download, UnpackingLimits, fetch_archive, unpack
from chest_xray.images.audit import DIGEST_BYTES, DuplicateSearch, find_close_pairs, summarise_duplicates
from chest_xray.images.corruptions import (
    SWAPPED,
    Robustness,
    ValidationCorruptions,
    compute_corrupted,
    corrupt,
    draw_combined,
    list_corrupted,
)
from chest_xray.images.decoding import read_pixels
from chest_xray.images.kermany import CLASSES, Patients, compare_with_published
from chest_xray.images.preprocessing import Preparation, fingerprint_files
from chest_xray.metrics.metadata_baseline import fit_and_score_thresholds
from chest_xray.metrics.results import MetadataBaseline
from chest_xray.reporting import image_figures as figures
from chest_xray.reporting.report_contents import make_storable
from chest_xray.reporting.style import draw_in_languages

logger = logging.getLogger(__name__)


def locate_archive(download: Download) -> Download:
    """Return the download with the address of a preset; a `sha256` of its own has priority over that of the preset."""
    preset = download.presets.get(download.source)
    if preset is None:
        return download
    return download.model_copy(update={"source": preset.url, "sha256": download.sha256 or preset.sha256})


def download_archive(archive_source: Download, download_folder: Path) -> dict[str, str]:
    """Download the archive, or the rest of it, and return its `path`, `sha256` and `source`."""
    return fetch_archive(archive_source, download_folder)


def unpack_archive(image_archive: dict[str, str], unpacking: UnpackingLimits, image_folder: Path) -> dict[str, str]:
    """Unpack `train` and `test` unless that has been done, and return the archive with its `folder`."""
    unpack(image_archive, unpacking, image_folder)
    return {**image_archive, "folder": str(image_folder)}


def index_images(
    train_images: DataFrame,
    test_images: DataFrame,
    own_tables: dict[str, DataFrame],
    integrity: kermany.Integrity,
    patients: Patients,
) -> tuple[DataFrame, DataFrame]:
    """Index the files of both splits from paths, headers and last bytes; no pixel is decoded.

    Args:
        train_images: One row per file, from `ImageFolderDataset`: `path`, `bytes`, `modified`, `problem`. The folder of
            a file is its class.
        test_images: The same of the test split.
        own_tables: Its `patients` (`path`, `patient`), if it has rows, names the patient of each image.
        integrity: Limits beyond which a file is refused.
        patients: How names identify patients where `own_tables` does not.

    Returns:
        One row per image, with the columns of `image_index`; and one row per refused file, with those of `quarantine`.

    Raises:
        InputError: The patient table does not fit the images; see `look_up_patients`.
    """
    files = pd.concat([train_images.assign(split="train"), test_images.assign(split="test")], ignore_index=True)
    columns = ["width", "height", "mode", "reason", "detail"]
    facts = pd.DataFrame(kermany.read_file_facts(files, integrity), columns=columns)
    files = files.drop(columns="problem").join(facts)
    readable = files["reason"].isna()
    refused = files.loc[~readable, kermany.REFUSED].reset_index(drop=True)
    return kermany.describe_images(
        files[readable].drop(columns=["reason", "detail"]), patients, own_tables["patients"]
    ), refused


def drop_unreadable(indexed_images: DataFrame, unreadable_files: DataFrame, integrity: kermany.Integrity) -> DataFrame:
    """Return the images whose header can be read, before any is decoded.

    Raises:
        InputError: More files are unreadable than tolerated, or a class has no image left in a split.
    """
    return kermany.drop_refused(indexed_images, unreadable_files, integrity)


def drop_undecodable(readable_images: DataFrame, quarantine: DataFrame, integrity: kermany.Integrity) -> DataFrame:
    """Return the decoded images, in the order of the prepared ones; for errors see `drop_unreadable`."""
    return kermany.drop_refused(readable_images, quarantine, integrity)


def prepare_images(
    readable_images: DataFrame, preparation: Preparation, stored_arrays: StoredArrays
) -> tuple[StoredArray, DataFrame]:
    """Decode every image once: uint8 of shape (images, height, width), in the order of the rows.

    The second output has `row` and `detail` of the images that cannot be decoded.
    """
    if preparation.geometry == "pad":
        logger.warning(
            "padding shows the shape of each image, which depends on the class: on the Kermany set the accuracy "
            "on test was 0.80 padded, 0.90 cropped, 0.91 stretched (same recipe)."
        )
    paths = readable_images["path"].to_numpy()

    def compute(row: int) -> Array:
        return read_pixels(paths[row], preparation.width, preparation.height, preparation.geometry)

    prepared = compute_rows(
        "Preparing",
        fingerprint_files(readable_images[["path", "bytes", "modified"]], preparation),
        (len(paths), preparation.height, preparation.width),
        compute,
        stored_arrays.get("prepared_images"),
    )
    return prepared, pd.DataFrame(prepared.failures, columns=["row", "detail"])


def list_quarantine(readable_images: DataFrame, unreadable_files: DataFrame, undecodable_rows: DataFrame) -> DataFrame:
    """Return `path`, `reason` and `detail` of all files that are set aside."""
    paths = readable_images["path"].iloc[undecodable_rows["row"].astype(int)].to_numpy()
    damaged = undecodable_rows.assign(path=paths, reason="undecodable")[kermany.REFUSED]
    return pd.concat([unreadable_files, damaged], ignore_index=True)


def hash_images(prepared_images: Array, comparison: DuplicateSearch, stored_arrays: StoredArrays) -> StoredArray:
    """Compute a hash of each image, by which duplicates are found without comparing pixels.

    Returns:
        uint8 of shape (images, hash_size**2 / 8 + 16): the perceptual hash (signs of the lowest frequencies of a cosine
        transform; Zauner 2010, section 3.2.1), then a digest of the pixels.
    """
    import hashlib

    import imagehash
    from PIL import Image

    def compute(row: int) -> Array:
        bits = imagehash.phash(Image.fromarray(prepared_images[row]), hash_size=comparison.hash_size).hash
        digest = hashlib.blake2b(prepared_images[row].tobytes(), digest_size=DIGEST_BYTES).digest()
        return np.concatenate([np.packbits(bits), np.frombuffer(digest, np.uint8)])

    content = hashlib.sha256(comparison.model_dump_json().encode())
    for start in range(0, len(prepared_images), 1024):
        content.update(prepared_images[start : start + 1024].tobytes())
    shape = (len(prepared_images), comparison.hash_size**2 // 8 + DIGEST_BYTES)
    return compute_rows("Hashing", content.hexdigest()[:32], shape, compute, stored_arrays.get("image_hashes"))


def find_duplicates(image_index: DataFrame, image_hashes: Array, comparison: DuplicateSearch) -> DataFrame:
    """Return one row per pair of equal or nearly equal images (the table `duplicates`).

    An image with k copies is in k - 1 exact pairs, each with the first.
    """
    digests = pd.DataFrame(np.ascontiguousarray(image_hashes[:, -DIGEST_BYTES:]).view("u8"))
    keys = digests.assign(width=image_index["width"], height=image_index["height"])
    _, first, same = np.unique(keys.groupby(list(keys)).ngroup(), return_index=True, return_inverse=True)
    copies, originals = np.setdiff1d(np.arange(len(keys)), first), np.sort(first)
    codes = np.ascontiguousarray(image_hashes[originals, :-DIGEST_BYTES])
    near = originals[find_close_pairs(codes, comparison.max_distance)]
    rows = np.concatenate([np.stack([first[same[copies]], copies], axis=1), near])
    left, right = (image_index.iloc[rows[:, side]].reset_index(drop=True) for side in (0, 1))
    bits = image_hashes[rows[:, 0], :-DIGEST_BYTES] ^ image_hashes[rows[:, 1], :-DIGEST_BYTES]
    kinds = np.repeat(["exact", "near"], [len(copies), len(near)])
    pairs = pd.DataFrame({"first": left["path"], "second": right["path"], "kind": kinds})
    pairs["distance"] = np.bitwise_count(bits).sum(axis=1, dtype=np.int64)
    return pairs.assign(**{f"same_{name}": left[name] == right[name] for name in ("split", "label", "group")})


def assign_subsets(
    image_index: DataFrame, duplicates: DataFrame, own_tables: dict[str, DataFrame], hold_out: splitting.HoldOut
) -> DataFrame:
    """Return `image_index` with a column `subset`, drawn by patients or from the user's split if that has rows.

    Raises:
        InputError: A patient, or the same image, is in two subsets; a class and aetiology has too few patients; or the
            user's split does not match the index.
    """
    if len(own_tables["split"]):
        subset = splitting.apply_own_split(image_index, own_tables["split"])
    else:
        subset = splitting.draw_validation(image_index, duplicates, hold_out)
    image_split = image_index.assign(subset=subset)
    splitting.require_no_leaks(image_split, duplicates)
    return image_split


def corrupt_validation(
    image_split: DataFrame, corruptions: ValidationCorruptions, preparation: Preparation, stored_arrays: StoredArrays
) -> StoredArray:
    """Return the corrupted validation images, uint8 of shape (rows, height, width); see `list_corrupted`."""
    table = list_corrupted(image_split, "validation", corruptions)
    conditions = table[["kind", "strength", "label"]].to_numpy()

    def corrupt_row(row: int, image: Array) -> Array:
        kind, strength, label = conditions[row]
        if kind == SWAPPED:
            kind = "narrower" if label else "wider"
        rng = np.random.default_rng([corruptions.seed, row])
        for part, amount in draw_combined(corruptions, rng) if kind == "combined" else [(kind, strength)]:
            image = corrupt(image, part, amount, rng)
        return image

    stored = stored_arrays.get("corrupted_validation_images")
    return compute_corrupted(table, corruptions, preparation, corrupt_row, stored)


def corrupt_test(
    image_split: DataFrame, robustness: Robustness, preparation: Preparation, stored_arrays: StoredArrays
) -> StoredArray:
    """Return the corrupted test images, uint8 of shape (rows, height, width), in the order of `list_corrupted`.

    Direction, place and noise are drawn once an image, so that conditions differ in strength alone.
    """
    table = list_corrupted(image_split, "test", robustness)
    conditions = table[["kind", "strength"]].to_numpy()
    num_conditions = len(robustness.conditions())

    def corrupt_row(row: int, image: Array) -> Array:
        kind, strength = conditions[row]
        return corrupt(image, kind, strength, np.random.default_rng([robustness.seed, row // num_conditions]))

    stored = stored_arrays.get("corrupted_test_images")
    return compute_corrupted(table, robustness, preparation, corrupt_row, stored)


def count_classes(image_split: DataFrame) -> DataFrame:
    """Count `images` and `groups`, and the `share` of images, by `subset`, `class` and `aetiology`."""
    named = image_split.assign(**{"class": image_split["label"].map(dict(enumerate(CLASSES)))})
    counts = named.groupby(["subset", "class", "aetiology"])["group"].agg(images="size", groups="nunique")
    counts["share"] = (counts["images"] / counts.groupby("subset")["images"].transform("sum")).round(4)
    return counts.loc[["train", "validation", "test"]].reset_index()


def tabulate_headers(image_index: DataFrame) -> DataFrame:
    """Return quantiles of width, height, aspect and file size, by split and class."""
    rows = []
    for feature, split, (label, name) in product(kermany.FEATURES, ("train", "test"), enumerate(CLASSES)):
        values = kermany.read_feature(kermany.select_class(image_index, split, label), feature)
        quantiles = np.percentile(values, [0, 5, 50, 95, 100]).round(3)
        rows.append((feature, split, name, len(values), *quantiles))
    columns = ["feature", "split", "class", "images", "minimum", "p5", "median", "p95", "maximum"]
    return pd.DataFrame(rows, columns=columns)


def audit_images(
    image_split: DataFrame, duplicates: DataFrame, quarantine: DataFrame, audit: data_audit.Audit
) -> data_audit.AuditSummary:
    """Return the numbers of the audit."""
    reasons = quarantine["reason"].value_counts().to_dict()
    return data_audit.AuditSummary(
        counts=[data_audit.ClassCount.model_validate(row) for row in count_classes(image_split).to_dict("records")],
        groups={str(name): data_audit.summarise_groups(rows) for name, rows in image_split.groupby("subset")},
        unknown_patients=data_audit.summarise_unknown_patients(image_split),
        duplicates=summarise_duplicates(duplicates),
        modes={
            f"{split}/{name}": kermany.select_class(image_split, split, label)["mode"].value_counts().to_dict()
            for split, (label, name) in product(("train", "test"), enumerate(CLASSES))
        },
        shift={name: data_audit.compare_splits(image_split, label, audit) for label, name in enumerate(CLASSES)},
        quarantine=data_audit.QuarantineSummary(files=len(quarantine), reasons=reasons),
        published=compare_with_published(image_split),
    )


def draw_data(
    image_index: DataFrame, metadata_baseline: MetadataBaseline, data_source: str
) -> tuple[dict[str, Figure], dict[str, dict[str, Figure]]]:
    """Draw two radiographs of each class; and by name headers and the metadata baseline; each in each language."""
    baseline = partial(figures.draw_metadata_baseline, image_index, metadata_baseline)
    return draw_in_languages(partial(figures.draw_example_radiographs, image_index), data_source), {
        "header_figure": draw_in_languages(partial(figures.draw_headers, image_index), data_source),
        "metadata_baseline_figure": draw_in_languages(baseline, data_source),
    }


def fit_metadata_baseline(image_split: DataFrame) -> MetadataBaseline:
    """Fit the best threshold on each feature of the headers; see `fit_and_score_thresholds`."""
    return fit_and_score_thresholds(image_split)


def gather_evidence(**outputs: Any) -> dict[str, Any]:
    """Gather the tables, figures (PNG) and values that the report shows of the data, by name."""
    return make_storable(outputs)
