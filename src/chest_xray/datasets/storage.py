"""One file of any kind: found, fetched, and written whole or not at all, on any fsspec filesystem."""

import errno
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fsspec
from kedro.io import AbstractDataset, DatasetError

REMEDIES = {  # of errors of a disk
    errno.ENOSPC: "Make room on the disk",
    errno.EDQUOT: "Make room within your quota",
    errno.EFBIG: "Choose a disk that takes larger files",
    errno.EROFS: "Make the disk writable",
    errno.EACCES: "Get permission to write there",
    errno.EPERM: "Get permission to write there",
}


@contextmanager
def atomic_path(filepath: str) -> Iterator[Path]:
    """Offer a local path to write to, and put what was written in place once it is complete.

    What stood at `filepath` before stays untouched until then, and stays for good where writing fails.

    Args:
        filepath: Where the file goes: a local path or an fsspec address.

    Yields:
        A path of the same name in a temporary folder, beside the target where that is local.

    Raises:
        DatasetError: The disk is full, or nothing may be written there.
    """
    try:
        with _atomic_path(filepath) as part:
            yield part
    except OSError as error:
        if error.errno not in REMEDIES:
            raise
        raise DatasetError(
            f"cannot write {filepath}: {error.strerror}. What was there before is untouched. {REMEDIES[error.errno]}, "
            "or name another folder in conf/base/globals.yml (data_dir), and run again."
        ) from error


@contextmanager
def _atomic_path(filepath: str) -> Iterator[Path]:
    filesystem, target = fsspec.core.url_to_fs(filepath)
    filesystem.makedirs(target.rsplit("/", 1)[0], exist_ok=True)
    local = "file" in filesystem.protocol
    with tempfile.TemporaryDirectory(dir=Path(target).parent if local else None, prefix=".part-") as folder:
        part = Path(folder) / Path(target).name
        yield part
        if local:
            part.replace(target)
        else:
            filesystem.put_file(str(part), target)


class FileDataset(AbstractDataset[Any, Any]):
    """What the datasets of a single file share.

    Args:
        filepath: A local path or an fsspec address.
        metadata: For plugins such as Kedro-Viz.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None):
        self._filepath = filepath
        self.metadata = metadata

    def _local(self) -> str:
        """Give a local path of the same name to read from; a remote file is fetched whole, as it is now."""
        if "://" not in self._filepath:
            return self._filepath
        filesystem, path = fsspec.core.url_to_fs(self._filepath)
        # A cache that all loads share would go on giving what it fetched first. It lasts as long as it is referred to.
        self._fetched = fsspec.filesystem("simplecache", fs=filesystem, same_names=True, skip_instance_cache=True)
        with self._fetched.open(path) as file:
            return str(file.name)

    def _exists(self) -> bool:
        filesystem, path = fsspec.core.url_to_fs(self._filepath)
        return bool(filesystem.exists(path))

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath}
