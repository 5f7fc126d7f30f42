"""Storage: files on any fsspec filesystem, written completely or not at all, and arrays computed row by row.

An array has a fingerprint of all that determines its values, so that it is not computed again needlessly.
"""

import errno
import logging
import os
import re
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from chest_xray.core.libraries import np
from chest_xray.core.types import Array, InputError

logger = logging.getLogger(__name__)
PART = ".part-"  # prefix of folders in which files are written before they are renamed
REMEDIES = {
    errno.ENOSPC: "Make room on the disk",
    errno.EDQUOT: "Make room within your quota",
    errno.EFBIG: "Choose a disk that takes larger files",
    errno.EROFS: "Make the disk writable",
    errno.EACCES: "Get permission to write there",
    errno.EPERM: "Get permission to write there",
}
NUM_THREADS = 2 * (os.cpu_count() or 1)  # Reading waits for the disk half of the time.
TASK = 8  # rows; one task per row would add a fortieth to the time of decoding


@contextmanager
def atomic_path(filepath: str) -> Iterator[Path]:
    """Yield a local path to write to, and move the file to `filepath` once it is complete.

    The yielded path has the same name, in a temporary folder beside the target where that is local. An existing file
    stays untouched until then, and where writing fails.

    Raises:
        DatasetError: The disk is full or read-only, or permission is missing.
    """
    try:
        import fsspec

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
    except OSError as error:
        # NumPy does not report why it could not write a whole array; the cause is a full disk.
        is_cut_off = error.errno is None and re.search(r"\d+ requested and \d+ written", str(error))
        code = errno.ENOSPC if is_cut_off else error.errno
        if code not in REMEDIES:
            raise
        from kedro.io import DatasetError  # Prediction without a project does without Kedro.

        raise DatasetError(
            f"cannot write {filepath}: {os.strerror(code)}. The old file is untouched. {REMEDIES[code]}, "
            "or name another folder in conf/base/globals.yml (data_dir), and run again."
        ) from error


def replace_text(path: Path, text: str) -> None:
    """Write a small local file so that readers find the old text or the new one."""
    temporary = path.with_name(f"{path.name}.new")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def open_file(path: str) -> Any:
    """Open a local path or fsspec address for reading bytes.

    Raises:
        InputError: It is a pipe, a device or a socket, or a link to one: reading it might never end.
    """
    if "://" in path:  # For a local file fsspec takes three times as long as `open`.
        import fsspec

        return fsspec.open(path, "rb")
    if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116
        raise InputError("not a regular file but a folder, a pipe or a device; expected a file or a link to one")
    return open(path, "rb")  # noqa: PTH123


class ListedFile(NamedTuple):
    """A file to be predicted."""

    name: str  # the path, in an archive the path of the archive and that inside it
    path: str  # a local path or fsspec address
    size: int  # bytes
    modified: str  # time of the last change; empty where unknown
    problem: str  # why it cannot be opened; empty for most


class Shard(NamedTuple):
    """Some rows of a table that is stored shard by shard."""

    key: str  # hexadecimal digest of all that determines the rows
    rows: Any  # a table of pyarrow, of the same schema for all shards


class ShardOrder(NamedTuple):
    """The keys of all shards, in the order of the table; saved last."""

    keys: list[str]


@dataclass(frozen=True)
class StoredArray:
    """An array with its fingerprint."""

    values: Array  # uint8, rows first
    fingerprint: str  # hexadecimal digest; same fingerprint, same array
    failures: list[tuple[int, str]] = field(default_factory=list)  # index of each row left out of `values`, and why


StoredArrays = Mapping[str, StoredArray]  # by the name of the dataset


def compute_rows(
    title: str,
    fingerprint: str,
    shape: tuple[int, ...],
    compute: Callable[[int], Array],
    stored: StoredArray | None = None,
) -> StoredArray:
    """Return the stored array if it has the fingerprint, else compute one.

    Args:
        title: Shown beside the progress bar.
        fingerprint: Digest of all that determines the values.
        shape: Shape of the array, rows first.
        compute: Returns the uint8 values of one row, in several threads; InputError leaves the row out.
        stored: The result of an earlier run.

    Raises:
        InputError: No row could be computed.
    """
    from tqdm.contrib.concurrent import thread_map

    if stored is not None and stored.fingerprint == fingerprint:
        logger.info("%s: nothing has changed, %s rows are stored already.", title, f"{shape[0]:,}")
        return stored
    values = np.empty(shape, np.uint8)

    def fill(start: int) -> list[tuple[int, str]]:
        failed = []
        for row in range(start, min(start + TASK, shape[0])):
            try:
                values[row] = compute(row)
            except InputError as error:
                failed.append((row, str(error)))
        return failed

    starts, bar_options = range(0, shape[0], TASK), {"unit": "row", "unit_scale": TASK, "disable": None}
    failures = list(chain(*thread_map(fill, starts, max_workers=NUM_THREADS, desc=title, **bar_options)))
    if failures:
        if len(failures) == shape[0]:
            raise InputError(
                f"{title}: none of {shape[0]} images could be read; expected at least one. The first: {failures[0][1]}"
            )
        values = np.delete(values, [row for row, _ in failures], axis=0)
    return StoredArray(values, fingerprint, failures)
