"""Files on any fsspec filesystem: opened for reading, and written whole or not at all."""

import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import fsspec
from kedro.io import DatasetError

from chest_xray.core.options import InputError

PART = ".part-"  # how the name of a folder begins in which a file is written before it is put in place
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
    with tempfile.TemporaryDirectory(dir=Path(target).parent if local else None, prefix=PART) as folder:
        part = Path(folder) / Path(target).name
        yield part
        if local:
            part.replace(target)
        else:
            filesystem.put_file(str(part), target)


def replace_text(path: Path, text: str) -> None:
    """Write a small file in one step: a reader finds the old text or the new one."""
    temporary = path.with_name(f"{path.name}.new")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def open_file(path: str) -> Any:
    """Open a file for reading bytes.

    Args:
        path: A local path or fsspec address; fsspec's own way to a local file takes three times as long.

    Raises:
        InputError: It is a pipe, a device or a socket, or a link to one: reading it might never end.
    """
    if "://" in path:
        return fsspec.open(path, "rb")
    if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116
        raise InputError("not a regular file but a folder, a pipe or a device; expected a file or a link to one")
    return open(path, "rb")  # noqa: PTH123


class ListedFile(NamedTuple):
    """A file to be predicted.

    Args:
        name: What to call it in the table; in an archive its place there.
        path: Where to read it, a local path or fsspec address.
        size: In bytes.
        modified: When it was changed last; empty where the storage does not tell.
        problem: Why it cannot be opened at all; empty for all others.
    """

    name: str
    path: str
    size: int
    modified: str
    problem: str
