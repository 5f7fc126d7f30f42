"""The files of one split, listed and handed out as paths."""

import logging
from collections.abc import Iterator
from typing import Any, NoReturn

import fsspec
from kedro.io import AbstractDataset, DatasetError

from chest_xray.core.types import DataFrame

logger = logging.getLogger(__name__)

REMEDY = (
    "Expected a folder `train` and a folder `test`, each with NORMAL/ and PNEUMONIA/. Fetch the chest X-ray set with "
    "`kedro run --pipelines=download`, or name its place with --params data_root=DIR. No data at hand? "
    "`kedro run --env=demo` draws synthetic phantoms and runs on them."
)


class ImageFolderDataset(AbstractDataset[NoReturn, DataFrame]):
    """Lists every file below the folder of a split, whatever it is; the index decides what is an image.

    Where there is no such folder, one of that name one or two levels below its parent is taken: archives unpacked by
    hand often lie in `chest_xray/chest_xray`.

    Args:
        path: A local folder or an fsspec address that ends in the name of the split.
        metadata: For plugins such as Kedro-Viz.
    """

    def __init__(self, *, path: str, metadata: dict[str, Any] | None = None):
        self._path = path.rstrip("/")
        self.metadata = metadata

    def load(self) -> DataFrame:
        """Return one row a file, in order of path.

        Returns:
            `path` (str, for fsspec), `bytes` (int64), `modified` (str, empty where the storage does not tell),
            `problem` (str): why a file or a folder cannot be opened at all, empty for all others.

        Raises:
            DatasetError: There is no such folder, several that may be meant, or no file in it; the message says what
                was found and what to do.
        """
        import pandas as pd

        filesystem, root = fsspec.core.url_to_fs(self._path)
        folder = _find_split(filesystem, root, self._path)
        rows = sorted(_refuse_odd_name(*file) for file in list_files(filesystem, folder))
        if not rows:
            raise DatasetError(f"{self._path} holds no files. {REMEDY}")
        files = pd.DataFrame(rows, columns=["path", "bytes", "modified", "problem"])
        if "://" in self._path:
            files["path"] = files["path"].map(filesystem.unstrip_protocol)
        return files

    def save(self, data: NoReturn) -> NoReturn:
        """Refuse: raw images are read, never written."""
        raise DatasetError(f"received {type(data).__name__} to save, but {type(self).__name__} is read-only.")

    def _exists(self) -> bool:
        filesystem, root = fsspec.core.url_to_fs(self._path)
        return bool(filesystem.isdir(root))

    def _describe(self) -> dict[str, Any]:
        return {"path": self._path}


def list_files(filesystem: Any, folder: str) -> Iterator[tuple[str, int, str, str]]:
    """Walk a folder, however deep; a folder that cannot be listed becomes a row itself, which fsspec's `find` omits.

    Yields:
        Path, bytes, time of the last change and why it cannot be opened (empty for most), of each file.
    """
    waiting = [folder]
    while waiting:
        current = waiting.pop()
        try:
            entries = filesystem.ls(current, detail=True)
        except PermissionError:
            yield current, 0, "", "no permission"
            continue
        except OSError as error:  # Such as a path that is too long for the system.
            yield current, 0, "", str(error.strerror or error)
            continue
        for entry in entries:
            if entry["type"] == "directory":
                waiting.append(entry["name"])
            else:
                modified = entry.get("mtime") or entry.get("LastModified") or entry.get("ETag") or ""
                # A pipe or a device would hang or feed a reader for ever.
                special = entry["type"] == "other" and not entry.get("islink")
                yield entry["name"], entry["size"] or 0, str(modified), "not a regular file" if special else ""


def _refuse_odd_name(path: str, size: int, modified: str, problem: str) -> tuple[str, int, str, str]:
    """Set a file aside whose path is not valid UTF-8, which no table can hold; odd bytes are shown as escapes."""
    shown = path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return shown, size, modified, problem if shown == path else "name is not UTF-8"


def _find_split(filesystem: Any, root: str, asked: str) -> str:
    parent, name = root.rsplit("/", 1)
    below = _nested(filesystem, parent, name)
    if filesystem.isdir(root):
        for copy in below:
            logger.info("%s is left out: the archive of the Kaggle mirror holds the set twice.", copy)
        _explain_val(filesystem, parent, name)
        return root
    if len(below) > 1:
        raise DatasetError(f"no image folder at {asked}, but several below: {', '.join(below)}. {REMEDY}")
    if not below:
        raise DatasetError(f"no image folder at {asked}. {REMEDY}")
    logger.info("%s is taken, since there is no %s.", below[0], asked)
    _explain_val(filesystem, below[0].rsplit("/", 1)[0], name)
    return below[0]


def _nested(filesystem: Any, parent: str, name: str) -> list[str]:
    """Folders of a split's name one level below the parent, or else two levels below."""
    for pattern in (f"{parent}/*/{name}", f"{parent}/*/*/{name}"):
        found = [each for each in filesystem.glob(pattern) if "__MACOSX" not in each and filesystem.isdir(each)]
        if found:
            return sorted(found)
    return []


def _explain_val(filesystem: Any, parent: str, name: str) -> None:
    if name == "train" and filesystem.isdir(f"{parent}/val"):
        logger.info(
            "%s/val (%d files) is left out: the 16 images that the Kaggle mirror puts there are too few to choose "
            "a model by. Validation images come from train, by whole patients.",
            parent,
            sum(1 for _ in list_files(filesystem, f"{parent}/val")),
        )
