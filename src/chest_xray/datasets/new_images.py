"""Files to be predicted: one, a folder, a pattern or an archive."""

import shutil
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import fsspec
from kedro.io import AbstractDataset, DatasetError

from chest_xray.datasets.image_folder import list_files
from chest_xray.integrity import tell_junk
from chest_xray.unpacking import Unpacking, extract, extract_tar

COMMAND = "`kedro run --pipelines=prediction --params images=PATH`"


class NewFile(NamedTuple):
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


class NewImagesDataset(AbstractDataset[NoReturn, list[NewFile]]):
    """Lists files, whatever they are; junk of operating systems is left out.

    Args:
        path: A file, a folder (with all below it), a pattern such as `a/**/*.dcm`, or a zip or tar archive.
        unpacked: A local folder of its own for what an archive holds; it keeps that of the last one.
        limits: `max_gigabytes`, `max_files` and `max_ratio` (unpacked over packed) of an archive.
        metadata: For plugins such as Kedro-Viz.
    """

    def __init__(
        self, *, path: str | None, unpacked: str, limits: dict[str, float], metadata: dict[str, Any] | None = None
    ):
        self._path, self._unpacked, self._limits = path, Path(unpacked), limits
        self.metadata = metadata

    def load(self) -> list[NewFile]:
        """Give every file, in order of path.

        Raises:
            DatasetError: There is no such file, or the archive is refused; the message says what to do.
        """
        if not self._path:
            raise DatasetError(f"no images are named. Expected a file, folder, pattern or archive: {COMMAND}.")
        path = str(self._path)
        filesystem, root = fsspec.core.url_to_fs(path)
        if "://" not in path and Path(path).is_file() and (zipfile.is_zipfile(path) or tarfile.is_tarfile(path)):
            files = self._list_archive(Path(path))
        else:
            files = _list(filesystem, root, remote="://" in path)
        found = sorted(files)
        if not found:
            raise DatasetError(f"no file at {path}. Expected a file, folder, pattern or archive: {COMMAND}.")
        return found

    def _list_archive(self, archive: Path) -> Iterator[NewFile]:
        state = archive.stat()
        folder = self._unpacked / f"{archive.name}-{state.st_size}-{state.st_mtime_ns}"
        if not folder.exists():
            shutil.rmtree(self._unpacked, ignore_errors=True)
            part = self._unpacked / ".part"
            part.mkdir(parents=True)
            plan = Unpacking({"path": str(archive)}, **self._limits)  # type: ignore[arg-type]
            (extract if zipfile.is_zipfile(archive) else extract_tar)(plan, part)
            part.rename(folder)
        filesystem, root = fsspec.core.url_to_fs(str(folder))
        for file in _list(filesystem, root, remote=False):
            yield file._replace(name=f"{archive}{file.path.removeprefix(root)}", modified=str(state.st_mtime_ns))

    def save(self, data: NoReturn) -> NoReturn:
        """Refuse: images are read, never written."""
        raise DatasetError(f"received {type(data).__name__} to save, but {type(self).__name__} is read-only.")

    def _describe(self) -> dict[str, Any]:
        return {"path": self._path, "unpacked": str(self._unpacked)}


def _list(filesystem: Any, root: str, *, remote: bool) -> Iterator[NewFile]:
    if filesystem.isdir(root):
        folders, single = [root], []
    elif filesystem.exists(root):
        folders, single = [], [root]
    else:
        matches = filesystem.glob(root)
        folders, single = [], [each for each in matches if not filesystem.isdir(each)]
    for folder in folders:
        for path, size, modified, problem in list_files(filesystem, folder):
            if not tell_junk(path.removeprefix(folder).lstrip("/")):
                yield _describe(filesystem, path, (size, modified, problem), remote=remote)
    for path in single:
        facts = filesystem.info(path)
        yield _describe(filesystem, path, (facts["size"] or 0, str(facts.get("mtime") or ""), ""), remote=remote)


def _describe(filesystem: Any, path: str, facts: tuple[int, str, str], *, remote: bool) -> NewFile:
    address = str(filesystem.unstrip_protocol(path)) if remote else path
    return NewFile(address, address, *facts)
