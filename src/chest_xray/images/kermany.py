"""The image folders of the Kermany set: their classes, and an index with a row for each image.

Patient and aetiology are from the name of an image, a pattern or a table; each refused file has a reason.
"""

import logging
import re
import warnings
from itertools import chain, product
from typing import Annotated, Any, NamedTuple, Self

from pydantic import Field, model_validator

from chest_xray.core.files import NUM_THREADS
from chest_xray.core.libraries import pd
from chest_xray.core.types import Array, DataFrame, InputError, Options, Result, Series
from chest_xray.images.validation import ImageFacts, Refusal, is_junk, read_header

logger = logging.getLogger(__name__)
CLASSES = ("NORMAL", "PNEUMONIA")  # The label is the position.
NAMES = (  # of versions 2 and 3 of the archive; each bacterial and viral patient and each series is numbered separately
    re.compile(r"(?P<patient>person\d+_(?P<aetiology>bacteria|virus))_"),
    re.compile(r"(?P<patient>(?:NORMAL2-)?IM-\d+)"),
    re.compile(r"(?P<patient>(?P<aetiology>BACTERIA|VIRUS|NORMAL)-\d+)-\d+(?=\.|$)", re.IGNORECASE),
)
# Width in pixels and size in bytes of some files as they were published, by the end of the path.
PUBLISHED = {
    "train/NORMAL/IM-0214-0001.jpeg": (1522, 453672),
    "train/NORMAL/IM-0491-0001.jpeg": (2304, 980577),
    "train/NORMAL/NORMAL2-IM-0529-0001.jpeg": (1388, 380325),
    "train/NORMAL/NORMAL2-IM-0952-0001.jpeg": (1554, 516996),
    "train/PNEUMONIA/person1003_virus_1685.jpeg": (1008, 53328),
    "train/PNEUMONIA/person1476_bacteria_3843.jpeg": (1072, 81698),
    "train/PNEUMONIA/person305_bacteria_1435.jpeg": (1024, 34123),
    "train/PNEUMONIA/person597_virus_1150.jpeg": (1528, 115683),
}
AETIOLOGIES = {"bact": "bacterial", "vir": "viral"}  # by their first letters
BLOCK = 256  # files a task: a task for each would cost more than reading its header.
REFUSED = ["path", "reason", "detail"]
FEATURES = {"width": "pixels", "height": "pixels", "aspect": "width / height", "bytes": "bytes"}


class Published(Result):
    """How the files compare with those that were published.

    `as_published` is True if some files of `PUBLISHED` are there and all of these have the published number of bytes.
    `scale` is the median of their widths over the published ones, None if none is there.
    """

    as_published: bool
    scale: float | None


class Patients(Options):
    """A regular expression that finds the patient in `<class>/<name>`; null for the names of the Kermany set.

    It has a group named `patient`, and may have one named `aetiology`.
    """

    pattern: str | None = None

    @model_validator(mode="after")
    def _require_patient(self) -> Self:
        try:
            groups = re.compile(self.pattern).groupindex if self.pattern else {"patient": 1}
        except re.error as error:
            raise ValueError(f"the pattern is no regular expression: {error}. Correct patients.pattern") from error
        if "patient" not in groups:
            raise ValueError("the pattern has no group `patient`; expected one such as (?P<patient>\\d+)")
        return self


class ParsedName(NamedTuple):
    """The patient (`group`) and the aetiology of an image.

    `group` is such as "person12_virus", "NORMAL2-IM-0012" or "BACTERIA-7422"; or "<class>/<name>", a patient of its
    own, where the name has none. `aetiology` is "bacterial", "viral", "none" for NORMAL, or "unknown".
    """

    group: str
    aetiology: str


def parse_name(path: str, patients: Patients | None = None) -> ParsedName:
    """Parse patient and aetiology from the path of an image, `.../<class>/<name>`.

    `patients` describes names other than those of the Kermany set.
    """
    folder, name = path.split("/")[-2:]
    pattern = patients.pattern if patients else None
    match = re.search(pattern, f"{folder}/{name}") if pattern else _match_name(name)
    groups = {key: value for key, value in match.groupdict().items() if value} if match else {}
    stated = groups.get("aetiology", "").lower()
    aetiology = next((value for start, value in AETIOLOGIES.items() if stated.startswith(start)), "unknown")
    if folder.upper() == CLASSES[0]:
        aetiology = "none"
    return ParsedName(groups.get("patient") or f"{folder}/{name}", aetiology)


def _match_name(name: str) -> re.Match[str] | None:
    return next(filter(None, (pattern.match(name) for pattern in NAMES)), None)


class NumberedName(NamedTuple):
    """A name split at its last number, which is 0 if there is none."""

    before: str
    number: int
    after: str


def split_at_number(name: str) -> NumberedName:
    """Split a name such as "person12_virus" at its last number; numbers were given in the order of recording."""
    before, number, after = re.findall(r"^(.*?)(\d*)(\D*)$", name, re.DOTALL)[0]
    return NumberedName(before, int(number or 0), after)


def parse_series(path: str) -> tuple[str, int]:
    """Parse the series of an image and its number there from its path.

    It is the number of the patient in names of the Kermany set, such as ("person_virus", 12) or ("NORMAL2-IM", 12), and
    the last number in others. A name without a number is a series of its own.
    """
    name = path.rsplit("/", 1)[-1]
    match = _match_name(name)
    split = split_at_number(match["patient"] if match else name.rsplit(".", 1)[0])
    return f"{split.before.rstrip('-_')}{split.after}", split.number


def short_path(paths: Series, num_parts: int = 3) -> Series:
    """Return split, class and name: what stays when a data set moves to another folder."""
    return paths.str.rsplit("/", n=num_parts).str[-num_parts:].str.join("/")


def compare_with_published(images: DataFrame) -> Published:
    """Compare the files of `PUBLISHED` that are among the images, whose columns are `path`, `width` and `bytes`."""
    table = images.assign(name=short_path(images["path"]))
    table = table[table["name"].isin(list(PUBLISHED))]
    if table.empty:
        return Published(as_published=False, scale=None)
    widths, sizes = map(list, zip(*table["name"].map(PUBLISHED), strict=True))
    return Published(
        as_published=bool((table["bytes"] == sizes).all()), scale=float((table["width"] / widths).median())
    )


def look_up_patients(paths: Series, patient_table: DataFrame) -> Series:
    """Return the patient of each image from a table; missing where it has no row.

    `patient_table` has `patient` and `path`, of which only split, class and name are compared.

    Raises:
        InputError: It has several patients for an image, or a row for none of the images.
    """
    table = patient_table.assign(path=short_path(patient_table["path"])).drop_duplicates(["path", "patient"])
    repeated = table.loc[table["path"].duplicated(), "path"]
    if len(repeated):
        raise InputError(
            f"the patient table gives {len(repeated)} images several patients; first: {repeated.iloc[0]}. Expected one "
            "patient an image: correct or remove the other rows."
        )
    patients = short_path(paths).map(table.set_index("path")["patient"])
    if not patients.notna().any():
        raise InputError(
            f"the patient table has no row for any of the {len(paths)} images; first: {paths.iloc[0]}. "
            "Expected a column `path` that ends in train/NORMAL/name.jpeg, and a column `patient`."
        )
    return patients


def find_unknown_patients(images: DataFrame) -> Series:
    """Return which images have no known patient: each counts as a patient of its own."""
    return images["group"] == short_path(images["path"], 2)


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


def find_misplacement(path: str) -> Refusal | None:
    """Refuse a file in the wrong place as "junk" or for its "unknown class folder"."""
    folders = path.split("/")[:-1]
    if is_junk(path):
        return Refusal("junk", "left behind by an operating system")
    if not folders or folders[-1].upper() not in CLASSES:
        return Refusal("unknown class folder", f"is in {'/'.join(folders[-1:])}/; expected {' or '.join(CLASSES)}")
    return None


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
    labels = images["path"].str.rsplit("/", n=2).str[-2].str.upper().map({name: i for i, name in enumerate(CLASSES)})
    parsed = (parse_name(path, patients) for path in images["path"])
    names = pd.DataFrame(parsed, index=images.index, columns=ParsedName._fields)
    if len(patient_table) and len(images):
        names["group"] = look_up_patients(images["path"], patient_table).fillna(short_path(images["path"], 2))
    columns = ["path", "bytes", "modified", "split", "label", "group", "aetiology", "width", "height", "mode"]
    index = images.assign(label=labels).join(names).reset_index(drop=True)[columns]
    unknown = find_unknown_patients(index)
    if unknown.any():
        message = (
            "%d of %d images (%.0f%%) have no known patient, such as %r: each counts as a patient of its own, and one "
            "person may be in train and in validation. Set patients.pattern, or name a table with --params "
            "patient_table=FILE."
        )
        first = index.loc[unknown, "path"].iloc[0]
        logger.warning(message, unknown.sum(), len(index), 100 * unknown.mean(), first)
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
