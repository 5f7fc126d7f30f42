"""Files to be predicted: one, a folder, a pattern or an archive."""

import shutil
import tarfile
import zipfile
from collections.abc import Iterator
from hashlib import file_digest
from pathlib import Path
from typing import Any, NoReturn

import fsspec
from filelock import FileLock
from kedro.io import AbstractDataset, DatasetError

from chest_xray.core.files import ListedFile
from chest_xray.datasets.image_folder import list_files
from chest_xray.images.archives import Unpacking, extract, extract_tar
from chest_xray.images.validation import is_junk

# Of one with files, of one without, and of one in several parts.
ZIP_BEGINNINGS = (b"PK\3\4", b"PK\5\6", b"PK\7\10")
# What Office Open XML, OpenDocument, EPUB and Java have in their archives.
DOCUMENT_PARTS = {"[Content_Types].xml", "META-INF/manifest.xml", "META-INF/container.xml", "META-INF/MANIFEST.MF"}
COMMAND = "`kedro run --pipelines=prediction --params images=PATH`"


class NewImagesDataset(AbstractDataset[NoReturn, list[ListedFile]]):
    """Lists files, whatever they are; junk of operating systems is left out.

    Args:
        path: A file, a folder (with all below it), a pattern such as `a/**/*.dcm`, or a zip or tar archive.
        unpacked: A local folder of its own for what archives hold: for each a folder named after the digest of its
            bytes, which stays until somebody removes it.
        limits: `max_gigabytes`, `max_files` and `max_ratio` (unpacked over packed) of an archive.
        metadata: For plugins such as Kedro-Viz.
    """

    def __init__(
        self, *, path: str | None, unpacked: str, limits: dict[str, float], metadata: dict[str, Any] | None = None
    ):
        self._path, self._unpacked, self._limits = path, Path(unpacked), limits
        self.metadata = metadata

    def load(self) -> list[ListedFile]:
        """Return every file, in order of path.

        Raises:
            DatasetError: There is no such file, or the archive is refused; the message says what to do.
        """
        if not self._path:
            raise DatasetError(f"no images are named. Expected a file, folder, pattern or archive: {COMMAND}.")
        path = str(self._path)
        filesystem, root = fsspec.core.url_to_fs(path)
        if "://" not in path and Path(path).is_file() and (_is_zip(Path(path)) or tarfile.is_tarfile(path)):
            files = self._list_archive(Path(path))
        else:
            files = _list(filesystem, root, remote="://" in path)
        found = sorted(files)
        if not found:
            raise DatasetError(f"no file at {path}. Expected a file, folder, pattern or archive: {COMMAND}.")
        return found

    def _list_archive(self, archive: Path) -> Iterator[ListedFile]:
        with archive.open("rb") as file:
            digest = file_digest(file, "sha256").hexdigest()[:32]
        folder = self._unpacked / digest
        self._unpacked.mkdir(parents=True, exist_ok=True)
        # A folder is complete once it has its name, and no run ever changes one: others may be reading it.
        with FileLock(self._unpacked / f".{digest}.lock"):
            if not folder.exists():
                part = self._unpacked / f".{digest}.part"
                shutil.rmtree(part, ignore_errors=True)  # of a run that was killed
                part.mkdir()
                plan = Unpacking({"path": str(archive)}, **self._limits)  # type: ignore[arg-type]
                try:
                    (extract if _is_zip(archive) else extract_tar)(plan, part)
                    part.rename(folder)
                finally:
                    shutil.rmtree(part, ignore_errors=True)
        filesystem, root = fsspec.core.url_to_fs(str(folder))
        for unpacked in _list(filesystem, root, remote=False):
            yield unpacked._replace(name=f"{archive}{unpacked.path.removeprefix(root)}", modified=digest)

    def save(self, data: NoReturn) -> NoReturn:
        """Refuse: images are read, never written."""
        raise DatasetError(f"received {type(data).__name__} to save, but {type(self).__name__} is read-only.")

    def _describe(self) -> dict[str, Any]:
        return {"path": self._path, "unpacked": str(self._unpacked)}


def _is_zip(path: Path) -> bool:
    """Check by its beginning whether a file is a zip archive: `zipfile` looks at the end, where a tar may hold one.

    Raises:
        DatasetError: It is an office document or a program, which are zip archives too.
    """
    with path.open("rb") as file:
        if file.read(4) not in ZIP_BEGINNINGS:
            return False
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
    if found := sorted(names & DOCUMENT_PARTS):
        raise DatasetError(
            f"{path} is a document or a program (it holds {found[0]}); expected a zip or tar archive of pictures. "
            "Take the pictures out of it first."
        )
    return True


def _list(filesystem: Any, root: str, *, remote: bool) -> Iterator[ListedFile]:
    if filesystem.isdir(root):
        folders, single = [root], []
    elif filesystem.exists(root):
        folders, single = [], [root]
    else:
        matches = filesystem.glob(root)
        folders, single = [], [each for each in matches if not filesystem.isdir(each)]
    for folder in folders:
        for path, size, modified, problem in list_files(filesystem, folder):
            if not is_junk(path.removeprefix(folder).lstrip("/")):
                yield _describe(filesystem, path, (size, modified, problem), remote=remote)
    for path in single:
        facts = filesystem.info(path)
        yield _describe(filesystem, path, (facts["size"] or 0, str(facts.get("mtime") or ""), ""), remote=remote)


def _describe(filesystem: Any, path: str, facts: tuple[int, str, str], *, remote: bool) -> ListedFile:
    address = str(filesystem.unstrip_protocol(path)) if remote else path
    return ListedFile(address, address, *facts)
