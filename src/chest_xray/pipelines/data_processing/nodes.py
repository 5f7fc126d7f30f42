"""All nodes of data_processing: index, audit, split by patient, prepare and corrupt."""

import logging
from itertools import product
from typing import Any

from chest_xray.core.arrays import StoredArray, StoredArrays, compute_rows
from chest_xray.core.types import Array, DataFrame, Figure
from chest_xray.images.corruptions import (
    SWAPPED,
    Robustness,
    ValidationCorruptions,
    compute_pictures,
    corrupt,
    draw_combined,
    list_corrupted_test,
    list_corrupted_validation,
)
from chest_xray.images.decoding import read_pixels
from chest_xray.images.index import (
    FEATURES,
    REFUSED,
    Audit,
    AuditSummary,
    ClassCount,
    Integrity,
    QuarantineSummary,
    compare_splits,
    describe_images,
    drop_refused,
    read_feature,
    read_file_facts,
    select_class,
    summarise_duplicates,
    summarise_groups,
)
from chest_xray.images.kermany import CLASSES
from chest_xray.images.preprocessing import Preparation, fingerprint_files
from chest_xray.images.splitting import (
    DIGEST_BYTES,
    Duplicates,
    HoldOut,
    apply_own_split,
    draw_validation,
    find_close_pairs,
    require_no_leaks,
)
from chest_xray.metrics.metadata_baseline import fit_rules
from chest_xray.reporting import data_figures as figures
from chest_xray.reporting.report_contents import gather

logger = logging.getLogger(__name__)


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
    facts = pd.DataFrame(read_file_facts(files, integrity), columns=["width", "height", "mode", "reason", "detail"])
    files = files.drop(columns="problem").join(facts)
    readable = files["reason"].isna()
    refused = files.loc[~readable, REFUSED].reset_index(drop=True)
    return describe_images(files[readable].drop(columns=["reason", "detail"])), refused


def drop_unreadable(indexed_images: DataFrame, unreadable_files: DataFrame, integrity: Integrity) -> DataFrame:
    """Return the images, unless too many files are unreadable: known from headers, before any is decoded.

    Args:
        indexed_images: One row an image.
        unreadable_files: `path`, `reason`, `detail` of each file that is none.
        integrity: How many of these are tolerated; junk of operating systems does not count.

    Returns:
        The images.

    Raises:
        InputError: More files are set aside than tolerated, or a class has no image left in a split.
    """
    return drop_refused(indexed_images, unreadable_files, integrity)


def drop_undecodable(readable_images: DataFrame, quarantine: DataFrame, integrity: Integrity) -> DataFrame:
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
    return drop_refused(readable_images, quarantine, integrity)


def prepare_images(
    readable_images: DataFrame, preparation: Preparation, stored_arrays: StoredArrays
) -> tuple[StoredArray, DataFrame]:
    """Decode every image once, to what the network will read.

    Args:
        readable_images: One row an image.
        preparation: Width and height in pixels, and geometry: "stretch", "crop" (the centre) or "pad" (with black).
        stored_arrays: What earlier runs have prepared.

    Returns:
        Grey values, uint8 in [0, 255], of shape (images, height, width), in the order of the rows; they become float32
        in [0, 1] batch by batch, in `chest_xray.models.input_pipeline`. And `row` and `detail` of what cannot be
        decoded.
    """
    import pandas as pd

    if preparation.geometry == "pad":
        logger.warning(
            "padding shows the shape of each image in its bars, and the shape tells the class: on the Kermany set "
            "a network scored 0.80 padded, 0.90 cropped, 0.91 stretched (accuracy on test, same recipe)."
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
    """List all files that no network will see.

    Args:
        readable_images: One row an image, in the order in which they were decoded.
        unreadable_files: `path`, `reason`, `detail` of files refused for their header or their place.
        undecodable_rows: `row` and `detail` of images that turned out damaged when they were decoded.

    Returns:
        One row a file: `path`, `reason`, `detail`.
    """
    import pandas as pd

    paths = readable_images["path"].iloc[undecodable_rows["row"].astype(int)].to_numpy()
    damaged = undecodable_rows.assign(path=paths, reason="undecodable")[REFUSED]
    return pd.concat([unreadable_files, damaged], ignore_index=True)


def hash_images(prepared_images: Array, comparison: Duplicates, stored_arrays: StoredArrays) -> StoredArray:
    """Compute a short code for each picture, by which alike pictures are found without comparing pixels.

    Args:
        prepared_images: uint8 of shape (images, height, width).
        comparison: Side of the perceptual hash, in bits.
        stored_arrays: What earlier runs have computed.

    Returns:
        uint8 of shape (images, hash_size**2 / 8 + 16): the bits of the perceptual hash (the signs of the lowest
        frequencies of a cosine transform; Zauner 2010, section 3.2.1), then a digest of the pixels themselves.
    """
    import hashlib

    import imagehash
    import numpy as np
    from PIL import Image

    def compute(row: int) -> Array:
        bits = imagehash.phash(Image.fromarray(prepared_images[row]), hash_size=comparison.hash_size).hash
        digest = hashlib.blake2b(prepared_images[row].tobytes(), digest_size=DIGEST_BYTES).digest()
        return np.concatenate([np.packbits(bits), np.frombuffer(digest, np.uint8)])

    content = hashlib.sha256(comparison.model_dump_json().encode())
    for start in range(0, len(prepared_images), 1024):
        content.update(prepared_images[start : start + 1024].tobytes())
    width = comparison.hash_size**2 // 8 + DIGEST_BYTES
    shape = (len(prepared_images), width)
    return compute_rows("Hashing", content.hexdigest()[:32], shape, compute, stored_arrays.get("image_hashes"))


def find_duplicates(image_index: DataFrame, image_hashes: Array, comparison: Duplicates) -> DataFrame:
    """List pairs of pictures that are the same or nearly so.

    Args:
        image_index: One row an image.
        image_hashes: What `hash_images` gives, in the same order.
        comparison: The distance up to which two pictures count as nearly the same.

    Returns:
        One row a pair: `first`, `second` (paths), `kind` ("exact": the same prepared pixels and the same original size;
        "near": another size, or other pixels), `distance` (bits of the perceptual hash that differ), and whether
        the two have the same `split`, `class` and `group` (`same_split`, `same_label`, `same_group`). Of a picture that
        occurs k times there are k - 1 exact pairs, each with the first.
    """
    import numpy as np
    import pandas as pd

    digests = pd.DataFrame(np.ascontiguousarray(image_hashes[:, -DIGEST_BYTES:]).view("u8"))
    keys = digests.assign(width=image_index["width"], height=image_index["height"])
    _, first, same = np.unique(keys.groupby(list(keys)).ngroup(), return_index=True, return_inverse=True)
    copies = np.setdiff1d(np.arange(len(keys)), first)
    originals = np.sort(first)
    near = originals[
        find_close_pairs(np.ascontiguousarray(image_hashes[originals, :-DIGEST_BYTES]), comparison.max_distance)
    ]
    rows = np.concatenate([np.stack([first[same[copies]], copies], axis=1), near])
    left, right = (image_index.iloc[rows[:, side]].reset_index(drop=True) for side in (0, 1))
    bits = image_hashes[rows[:, 0], :-DIGEST_BYTES] ^ image_hashes[rows[:, 1], :-DIGEST_BYTES]
    kinds = np.repeat(["exact", "near"], [len(copies), len(near)])
    pairs = pd.DataFrame({"first": left["path"], "second": right["path"], "kind": kinds})
    pairs["distance"] = np.bitwise_count(bits).sum(axis=1, dtype=np.int64)
    return pairs.assign(**{f"same_{name}": left[name] == right[name] for name in ("split", "label", "group")})


def assign_subsets(image_index: DataFrame, duplicates: DataFrame, own_split: DataFrame, hold_out: HoldOut) -> DataFrame:
    """Draw validation patients from train, or apply the user's split; no patient is in two subsets.

    Args:
        image_index: One row an image.
        duplicates: `first`, `second` (paths) and `kind` of pictures that occur twice.
        own_split: `path` and `subset` of every image, or no rows to have the validation patients drawn.
        hold_out: Share of the train images in each class and aetiology, the largest patient to take, and the seed.

    Returns:
        The index with a column `subset`: "train", "validation" or "test".

    Raises:
        InputError: A patient, or the same picture, is in two subsets; a class and aetiology has too few patients; or
            the split of the user does not fit the index.
    """
    subset = (
        apply_own_split(image_index, own_split)
        if len(own_split)
        else draw_validation(image_index, duplicates, hold_out)
    )
    image_split = image_index.assign(subset=subset)
    require_no_leaks(image_split, duplicates)
    return image_split


def corrupt_validation(
    image_split: DataFrame,
    corruptions: ValidationCorruptions,
    preparation: Preparation,
    stored_arrays: StoredArrays,
) -> StoredArray:
    """Corrupt the validation images, and prepare them as the network will read them.

    Args:
        image_split: One row an image; those of validation are corrupted.
        corruptions: Seed, and the strongest of each kind, of which the combined condition draws shares.
        preparation: Width and height in pixels, and the geometry.
        stored_arrays: What earlier runs have computed.

    Returns:
        uint8 of shape (rows, height, width), in the order of the rows.
    """
    import numpy as np

    table = list_corrupted_validation(image_split, corruptions)
    conditions = table[["kind", "strength", "label"]].to_numpy()

    def take(row: int, picture: Array) -> Array:
        kind, strength, label = conditions[row]
        if kind == SWAPPED:
            kind = "narrower" if label else "wider"
        rng = np.random.default_rng([corruptions.seed, row])
        for each, how_much in draw_combined(corruptions, rng) if kind == "combined" else [(kind, strength)]:
            picture = corrupt(picture, each, how_much, rng)
        return picture

    stored = stored_arrays.get("corrupted_validation_images")
    return compute_pictures(table, corruptions, preparation, take, stored)


def corrupt_test(
    image_split: DataFrame, robustness: Robustness, preparation: Preparation, stored_arrays: StoredArrays
) -> StoredArray:
    """Corrupt the test images, and prepare them as the network will read them.

    What is drawn (direction, place, noise) is drawn for each image once and is the same at all strengths, so that
    conditions differ in strength alone.

    Args:
        image_split: One row an image; those of test are corrupted.
        robustness: The conditions, and the seed.
        preparation: Width and height in pixels, and the geometry.
        stored_arrays: What earlier runs have computed.

    Returns:
        uint8 of shape (rows, height, width), in the order of the rows.
    """
    import numpy as np

    table = list_corrupted_test(image_split, robustness)
    conditions = table[["kind", "strength"]].to_numpy()
    num_conditions = len(robustness.conditions())

    def take(row: int, picture: Array) -> Array:
        kind, strength = conditions[row]
        return corrupt(picture, kind, strength, np.random.default_rng([robustness.seed, row // num_conditions]))

    stored = stored_arrays.get("corrupted_test_images")
    return compute_pictures(table, robustness, preparation, take, stored)


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
        values = read_feature(select_class(image_index, split, label), feature)
        quantiles = np.percentile(values, [0, 5, 50, 95, 100]).round(3)
        rows.append((feature, split, name, len(values), *quantiles))
    columns = ["feature", "split", "class", "images", "minimum", "p5", "median", "p95", "maximum"]
    return pd.DataFrame(rows, columns=columns)


def audit_images(image_split: DataFrame, duplicates: DataFrame, quarantine: DataFrame, audit: Audit) -> AuditSummary:
    """Sum the data set up.

    Args:
        image_split: One row an image.
        duplicates: One row a pair of pictures that are the same or nearly so.
        quarantine: One row a file set aside.
        audit: From which width / height on an image counts as wide.
    """
    return AuditSummary(
        counts=[ClassCount.model_validate(row) for row in count_classes(image_split).to_dict("records")],
        groups={str(name): summarise_groups(rows) for name, rows in image_split.groupby("subset")},
        duplicates=summarise_duplicates(duplicates),
        modes={
            f"{split}/{name}": select_class(image_split, split, label)["mode"].value_counts().to_dict()
            for split, (label, name) in product(("train", "test"), enumerate(CLASSES))
        },
        shift={name: compare_splits(image_split, label, audit) for label, name in enumerate(CLASSES)},
        quarantine=QuarantineSummary(files=len(quarantine), reasons=quarantine["reason"].value_counts().to_dict()),
    )


def draw_data(
    image_index: DataFrame, metadata_baseline: dict[str, Any], data_source: str
) -> tuple[Figure, dict[str, Figure]]:
    """Draw what the data set looks like.

    Args:
        image_index: One row an image.
        metadata_baseline: From `fit_rules`.
        data_source: Printed below each figure.

    Returns:
        Two healthy and two diseased pairs of lungs; and by name the distributions of what the headers hold, and how
        well each ranks the test images.
    """
    return figures.draw_example_radiographs(image_index, data_source), {
        "header_figure": figures.draw_headers(image_index, data_source),
        "metadata_baseline_figure": figures.draw_metadata_baseline(image_index, metadata_baseline, data_source),
    }


def fit_metadata_baseline(image_split: DataFrame) -> dict[str, Any]:
    """Fit the best threshold on each feature of the headers; see `chest_xray.metrics.metadata_baseline.fit_rules`."""
    return fit_rules(image_split)


def gather_evidence(**found: Any) -> dict[str, Any]:
    """Gather what the report shows of the data.

    Args:
        **found: Tables, figures (PNG) and plain values by name.
    """
    return gather(found)
