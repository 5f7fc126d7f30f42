"""Image files: the folders of a split, phantoms, files to be predicted, and a split of the user's."""

import logging
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
from chest_xray.core.types import DataFrame
from chest_xray.images.archives import Unpacking, extract, extract_tar
from chest_xray.images.validation import is_junk

logger = logging.getLogger(__name__)
REMEDY = (
    "Expected a folder `train` and a folder `test`, each with NORMAL/ and PNEUMONIA/. Fetch the chest X-ray set with "
    "`kedro run --pipelines=download`, or name its place with --params data_root=DIR. No data at hand? "
    "`kedro run --env=demo` draws synthetic phantoms and runs on them."
)
# Of one with files, of one without, and of one in several parts.
ZIP_BEGINNINGS = (b"PK\3\4", b"PK\5\6", b"PK\7\10")
# What Office Open XML, OpenDocument, EPUB and Java have in their archives.
DOCUMENT_PARTS = {"[Content_Types].xml", "META-INF/manifest.xml", "META-INF/container.xml", "META-INF/MANIFEST.MF"}
COMMAND = "`kedro run --pipelines=prediction --params images=PATH`"
COLUMNS = ["path", "subset"]


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


class PhantomFolderDataset(ImageFolderDataset):
    """Stands in for a folder of radiographs where there are none: same layout, same kind of file names.

    Args:
        path: A local folder; created, with all its images, if it does not exist.
        num_images: Images of each class, for example `{NORMAL: 40, PNEUMONIA: 100}`.
        seed: Same seed, same images.
        data_root: Must stay null: phantoms are never drawn into a folder of real data.
        metadata: For plugins such as Kedro-Viz.

    Raises:
        DatasetError: `data_root` was given.
    """

    def __init__(
        self,
        *,
        path: str,
        num_images: dict[str, int],
        seed: int,
        data_root: str | None = None,
        metadata: dict[str, Any] | None = None,
    ):
        if data_root is not None:
            raise DatasetError(
                f"received data_root={data_root}, but this environment runs on synthetic phantoms. "
                "Leave out --env to run on your data, or leave out data_root to run on phantoms."
            )
        super().__init__(path=path, metadata=metadata)
        self._num_images = num_images
        self._seed = seed

    def load(self) -> DataFrame:
        """Draw the images where they are missing, then list them."""
        if not Path(self._path).is_dir():
            from chest_xray.images.phantoms import draw_phantom_folder

            draw_phantom_folder(Path(self._path), self._num_images, self._seed)
        return super().load()

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"path": self._path, "num_images": self._num_images, "seed": self._seed}


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


class SplitTableDataset(AbstractDataset[NoReturn, DataFrame]):
    """Reads a table that says which image trains, validates or tests; without one, the project draws its own split.

    Args:
        filepath: A `.csv` or `.parquet` file, local or an fsspec address, such as the project's own
            `image_split.parquet` of an earlier run; null for no table.
        metadata: For plugins such as Kedro-Viz.
    """

    def __init__(self, *, filepath: str | None = None, metadata: dict[str, Any] | None = None):
        self._filepath = filepath
        self.metadata = metadata

    def load(self) -> DataFrame:
        """Return the columns `path` and `subset` (str); no rows where there is no table.

        Raises:
            DatasetError: The file is missing, or lacks a column.
        """
        import pandas as pd

        if self._filepath is None:
            return pd.DataFrame(columns=COLUMNS, dtype="str")
        if not self._exists():
            raise DatasetError(f"no split table at {self._filepath}; name another file with --params split_table=FILE.")
        table = pd.read_parquet(self._filepath) if self._filepath.endswith(".parquet") else pd.read_csv(self._filepath)
        if not set(COLUMNS) <= set(table):
            raise DatasetError(
                f"{self._filepath} has the columns {', '.join(table.columns)}; expected path and subset."
            )
        return table[COLUMNS].astype("str")

    def save(self, data: NoReturn) -> NoReturn:
        """Refuse: the table belongs to the user."""
        raise DatasetError(f"received {type(data).__name__} to save, but {type(self).__name__} is read-only.")

    def _exists(self) -> bool:
        if self._filepath is None:
            return True
        filesystem, path = fsspec.core.url_to_fs(self._filepath)
        return bool(filesystem.exists(path))

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath}
