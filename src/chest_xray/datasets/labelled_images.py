"""Labelled images of another site: folders named after the classes in any usual spelling, or a table."""

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
from kedro.io import DatasetError

from chest_xray.core.files import ListedFile
from chest_xray.core.libraries import pd
from chest_xray.core.types import DataFrame
from chest_xray.datasets.image_files import list_new_files, read_table
from chest_xray.datasets.single_file import ReadOnlyDataset
from chest_xray.images.kermany import CLASSES, parse_name

logger = logging.getLogger(__name__)
COMMAND = "`kedro run --pipelines=external --params external_root=PATH`"
# Names of folders and labels, letters and digits alone.
SPELLINGS = (
    re.compile(r"0|normals?|healthy|negatives?|(no|non|not)(pneumonia|finding|findings|disease)|control(s)?"),
    re.compile(r"1|positives?|(bacterial|viral)?pneumonias?|pneumonia(bacteria|virus|bacterial|viral)|bacteria|virus"),
)


class LabelledImagesDataset(ReadOnlyDataset):
    """Lists labelled images.

    Args:
        path: A folder, in which the nearest folder above an image that is named after a class is its label; or a
            `.csv` or `.parquet` table with the columns `path` (from the folder of the table) and `label`, and if known
            `patient`.
        metadata: See `single_file`.
    """

    def __init__(self, *, path: str | None, metadata: dict[str, Any] | None = None):
        self._path, self.metadata = path, metadata

    def load(self) -> DataFrame:
        """Return one row per file: the fields of `ListedFile`; `label` (1: PNEUMONIA; missing: unknown), and `group`.

        `group` is the patient, or the path where the name has none.

        Raises:
            DatasetError: Nothing is named or found, a column is missing, or no file has a label.
        """
        if not self._path:
            raise DatasetError(f"no labelled images are named. Expected a folder or a table: {COMMAND}.")
        is_table = self._path.endswith((".csv", ".parquet"))
        rows = list(_read_table(self._path) if is_table else _read_folder(self._path))
        files = pd.DataFrame(rows, columns=[*ListedFile._fields, "label", "group"])
        num_unknown = int(files["label"].isna().sum())
        if num_unknown == len(files):
            raise DatasetError(
                f"none of {len(files)} files at {self._path} has a label. Expected folders named NORMAL and PNEUMONIA "
                "(or healthy, bacterial pneumonia and the like), or a table with the columns path and label: "
                f"{COMMAND}."
            )
        if num_unknown:
            first = files.loc[files["label"].isna(), "name"].iloc[0]
            message = "%d of %d files have no known label and are left out of all metrics; first: %s"
            logger.warning(message, num_unknown, len(files), first)
        return files.astype({"label": "Int64"})

    def _exists(self) -> bool:
        return bool(self._path) and Path(str(self._path)).exists()

    def _describe(self) -> dict[str, Any]:
        return {"path": self._path}


def read_label(text: str) -> int | None:
    """Return 0 for NORMAL, 1 for PNEUMONIA, None for other names, of a folder name or a label in any usual spelling."""
    letters = re.sub(r"[^a-z0-9]", "", text.lower())
    return next((label for label, names in enumerate(SPELLINGS) if names.fullmatch(letters)), None)


def _read_folder(path: str) -> Iterator[tuple[Any, ...]]:
    root = fsspec.core.url_to_fs(path)[1]
    for file in list_new_files(path):
        folders = file.path.partition(root)[2].strip("/").split("/")[:-1]
        label = next((label for label in map(read_label, reversed(folders)) if label is not None), None)
        yield *file, label, _find_patient(file.path, label)


def _read_table(path: str) -> Iterator[tuple[Any, ...]]:
    if not Path(path).is_file():
        raise DatasetError(f"no table at {path}. Expected a folder, or a table with path and label: {COMMAND}.")
    for row in read_table(path, ["path", "label"]).astype("str").fillna("").to_dict("records"):
        name = str(Path(path).parent / row["path"])  # An absolute path stays as it is.
        label = read_label(row["label"])
        group = row.get("patient") or _find_patient(name, label)
        for file in list_new_files(name) or [ListedFile(name, name, 0, "", "no such file")]:
            yield *file, label, group


def _find_patient(path: str, label: int | None) -> str:
    """Return the patient by the names of the Kermany set, below the class and not its spelling; else the path."""
    name = path.rsplit("/", 1)[-1]
    folder = "" if label is None else CLASSES[label]
    group = parse_name(f"{folder}/{name}").group
    return path if group == f"{folder}/{name}" else group
