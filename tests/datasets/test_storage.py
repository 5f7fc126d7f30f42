"""Files are written atomically."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from kedro.io import DatasetError

from chest_xray.core.files import atomic_path
from chest_xray.datasets.single_file import FileDataset


class Page(FileDataset):
    """The smallest dataset of one file."""

    def load(self) -> str:
        """Give the text."""
        return Path(self._local()).read_text()

    def save(self, data: str) -> None:
        """Write the text."""
        with atomic_path(self._filepath) as path:
            path.write_text(data)


@pytest.fixture(params=["local", "memory"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where to write: a file in a folder that does not exist yet, on two filesystems."""
    if request.param == "local":
        yield str(tmp_path / "new" / "folder" / "page.txt")
    else:
        yield f"memory://{tmp_path.name}/folder/page.txt"
        fsspec.filesystem("memory").store.clear()


def read(address: str) -> str:
    with fsspec.open(address, "r") as file:
        return str(file.read())


def write_half(address: str) -> None:
    with atomic_path(address) as path:
        path.write_text("ha")
        raise OSError("no space left on device")


def test_a_file_appears_only_when_it_is_complete(address: str) -> None:
    filesystem, target = fsspec.core.url_to_fs(address)
    with atomic_path(address) as path:
        path.write_text("whole")
        assert path.name == "page.txt"
        assert not filesystem.exists(target)
    assert read(address) == "whole"


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_else(address: str) -> None:
    with atomic_path(address) as path:
        path.write_text("old")
    with pytest.raises(OSError, match="no space left"):
        write_half(address)
    assert read(address) == "old"
    filesystem, target = fsspec.core.url_to_fs(address)
    assert filesystem.ls(filesystem._parent(target), detail=False) == [target]


def test_a_second_write_replaces_the_first(address: str) -> None:
    for text in ("first", "second"):
        with atomic_path(address) as path:
            path.write_text(text)
    assert read(address) == "second"


def test_a_dataset_exists_once_its_file_does(address: str) -> None:
    dataset = Page(filepath=address, metadata={"layer": "raw"})
    assert not dataset.exists()
    dataset.save("here")
    assert dataset.exists()
    assert dataset.load() == "here"
    assert address in str(dataset)
    assert dataset.metadata == {"layer": "raw"}


def test_a_rewritten_remote_file_is_read_again() -> None:
    dataset = Page(filepath="memory://again/page.txt")
    for text in ("first", "second"):
        dataset.save(text)
        assert dataset.load() == text
    fsspec.filesystem("memory").store.clear()


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (
            errno.ENOSPC,
            r"cannot write .*page\.txt: No space left on device\. The old file .* Make room on the disk, or",
        ),
        (errno.EROFS, r"cannot write .*page\.txt: Read-only file system\. .* Make the disk writable, or name another"),
    ],
)
def test_an_unwritable_disk_gives_a_one_sentence_error(address: str, number: int, message: str) -> None:
    with pytest.raises(DatasetError, match=message), atomic_path(address):
        raise OSError(number, os.strerror(number))


def test_an_array_that_is_cut_off_gives_the_error_of_a_full_disk(address: str) -> None:
    message = r"cannot write .*page\.txt: No space left on device\. The old file .* Make room on the disk, or"
    with pytest.raises(DatasetError, match=message), atomic_path(address):
        raise OSError("1105920 requested and 294784 written")  # What NumPy's `tofile` raises.
    with pytest.raises(OSError, match="another"), atomic_path(address):
        raise OSError("another")
