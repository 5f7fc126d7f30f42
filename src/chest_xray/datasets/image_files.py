"""Datasets that list image files: split folders, phantoms and new images; and the tables of a user."""

import glob
import logging
import os
import shutil
import tarfile
import zipfile
from collections.abc import Iterator
from hashlib import file_digest
from pathlib import Path
from typing import Any

import fsspec
from kedro.io import DatasetError

from chest_xray.core.files import ListedFile
from chest_xray.core.libraries import pd
from chest_xray.core.types import DataFrame
from chest_xray.datasets.single_file import FileDataset, ReadOnlyDataset, exists
from chest_xray.images.archives import UnpackingLimits, extract, extract_tar
from chest_xray.images.validation import is_junk

logger = logging.getLogger(__name__)
REMEDY = (
    "Expected a folder `train` and a folder `test`, each with NORMAL/ and PNEUMONIA/. Fetch the chest X-ray set with "
    "`kedro run --pipelines=download`, or name its folder with --params data_root=DIR. No data? "
    "`kedro run --env=demo` draws synthetic phantoms and runs on them."
)
ZIP_SIGNATURES = (b"PK\3\4", b"PK\5\6", b"PK\7\10")  # with files, empty, in several parts
# In zip archives that are Office Open XML, OpenDocument, EPUB and Java files.
DOCUMENT_PARTS = {"[Content_Types].xml", "META-INF/manifest.xml", "META-INF/container.xml", "META-INF/MANIFEST.MF"}
COMMAND = "`kedro run --pipelines=prediction --params images=PATH`"
TABLES = {"split": ("subset", "split_table"), "patients": ("patient", "patient_table")}  # column and parameter of each


class ImageFolderDataset(FileDataset, ReadOnlyDataset):
    """Lists every file below the folder of a split, `path`: a local folder or an fsspec address that ends in its name.

    Where there is no such folder, one of that name one or two levels below its parent is read: archives unpacked by
    hand are often in `chest_xray/chest_xray`.
    """

    def __init__(self, *, path: str, metadata: dict[str, Any] | None = None):
        super().__init__(filepath=path.rstrip("/"), metadata=metadata)

    def load(self) -> DataFrame:
        """Return one row for each file, in order of path: all of `ListedFile` but the name, with `bytes` for the size.

        Raises:
            DatasetError: There is no such folder, several that may be meant, or no file in it.
        """
        filesystem, root = fsspec.core.url_to_fs(self._filepath)
        rows = []
        for file in list_files(filesystem, _find_split(filesystem, root, self._filepath)):
            # No table can hold a path that is not valid UTF-8; its odd bytes are shown as escapes.
            shown = file.path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
            rows.append((file if shown == file.path else file._replace(path=shown, problem="name is not UTF-8"))[1:])
        if not rows:
            raise DatasetError(f"{self._filepath} holds no files. {REMEDY}")
        files = pd.DataFrame(sorted(rows), columns=["path", "bytes", "modified", "problem"])
        if "://" in self._filepath:
            files["path"] = files["path"].map(filesystem.unstrip_protocol)
        return files

    def _exists(self) -> bool:
        filesystem, root = fsspec.core.url_to_fs(self._filepath)
        return bool(filesystem.isdir(root))


def list_files(filesystem: Any, folder: str) -> Iterator[ListedFile]:
    """Yield every file below a folder, and unlike fsspec's `find`, folders that cannot be listed.

    Links to folders are followed once, and not to what is listed anyway.
    """
    waiting, root = [folder], os.path.realpath(folder)
    followed: set[str] = set()
    while waiting:
        current = waiting.pop()
        try:
            entries = filesystem.ls(current, detail=True)
        except OSError as error:  # Such as a path that is too long for the system.
            problem = "no permission" if isinstance(error, PermissionError) else str(error.strerror or error)
            yield ListedFile(current, current, 0, "", problem)
            continue
        for entry in entries:
            path, is_link = entry["name"], entry.get("islink")
            if entry["type"] == "directory":
                waiting.append(path)
            elif is_link and filesystem.isdir(path):
                target = os.path.realpath(path)
                if target in followed or f"{target}/".startswith(f"{root}/") or root.startswith(f"{target}/"):
                    yield ListedFile(path, path, 0, "", "link to a folder that is listed already")
                else:
                    followed.add(target)
                    waiting.append(path)
            else:
                modified = entry.get("mtime") or entry.get("LastModified") or entry.get("ETag") or ""
                # Reading a pipe or a device might never end.
                problem = "not a regular file" if entry["type"] == "other" and not is_link else ""
                yield ListedFile(path, path, entry["size"] or 0, str(modified), problem)


def _find_split(filesystem: Any, root: str, path: str) -> str:
    parent, name = root.rsplit("/", 1)
    nested: list[str] = []
    literal = glob.escape(parent)  # It may hold [brackets].
    for pattern in (f"{literal}/*/{name}", f"{literal}/*/*/{name}"):
        nested = nested or sorted(
            path for path in filesystem.glob(pattern) if "__MACOSX" not in path and filesystem.isdir(path)
        )
    if filesystem.isdir(root):
        folder = root
        for copy in nested:
            logger.info("%s is left out: the archive of the Kaggle mirror holds the set twice.", copy)
    elif len(nested) == 1:
        folder = nested[0]
        logger.info("%s is read, since there is no %s.", folder, path)
    else:
        several = f", but several below: {', '.join(nested)}" if nested else ""
        archive = parent if filesystem.isfile(parent) else next(iter(sorted(filesystem.glob(f"{literal}/*.zip"))), "")
        unpack = archive and (
            f" {archive} is not unpacked: unpack it, or leave that to `kedro run --pipelines=download --params "
            f'download.source="{archive}"`.'
        )
        raise DatasetError(f"no image folder at {path}{several}.{unpack} {REMEDY}")
    val = f"{folder.rsplit('/', 1)[0]}/val"
    if name == "train" and filesystem.isdir(val):
        message = (
            "%s (%d files) is left out: the 16 images that the Kaggle mirror puts there are too few to choose a model "
            "by. Validation images come from train, by whole patients."
        )
        logger.info(message, val, sum(1 for _ in list_files(filesystem, val)))
    return folder


class PhantomFolderDataset(ImageFolderDataset):
    """Lists a local folder of phantoms, with `num_images` of each class, which is created if it does not exist.

    Raises:
        DatasetError: `data_root` is not null: phantoms are never drawn into a folder of real data.
    """

    def __init__(
        self, *, path: str, num_images: dict[str, int], seed: int, data_root: str | None = None, metadata: Any = None
    ):
        if data_root is not None:
            raise DatasetError(
                f"received data_root={data_root}, but this environment runs on synthetic phantoms. "
                "Leave out --env to run on your data, or leave out data_root to run on phantoms."
            )
        super().__init__(path=path, metadata=metadata)
        self._num_images, self._seed = num_images, seed

    def load(self) -> DataFrame:
        """Return one row for each image, as `ImageFolderDataset` does; draws all if there is no such folder."""
        from chest_xray.images.phantoms import draw_phantom_folder

        if not Path(self._filepath).is_dir():
            draw_phantom_folder(Path(self._filepath), self._num_images, self._seed)
        return super().load()

    def _exists(self) -> bool:
        return True


class NewImagesDataset(ReadOnlyDataset):
    """Lists files of any kind, except junk of operating systems.

    Args:
        path: A file, a folder (with all below it), a pattern such as `a/**/*.dcm`, or a zip or tar archive.
        unpacked: Its `path` is a local folder that archives are unpacked to, each to a folder named after its digest,
            which stays.
        limits: `max_gigabytes`, `max_files` and `max_ratio` as in `UnpackingLimits`.
        metadata: See `single_file`.
    """

    def __init__(self, *, path: str | None, unpacked: dict[str, str], limits: dict[str, float], metadata: Any = None):
        self._path, self._unpacked, self.metadata = path, Path(unpacked["path"]), metadata
        self._limits = UnpackingLimits.model_validate(limits)

    def load(self) -> list[ListedFile]:
        """Return the files, in order of path.

        Raises:
            DatasetError: There is no file, or the archive is refused.
        """
        if not self._path:
            raise DatasetError(f"no images are named. Expected a file, folder, pattern or archive: {COMMAND}.")
        path = str(self._path)
        if "://" not in path and Path(path).is_file() and (_is_zip(Path(path)) or _is_tar(Path(path))):
            files = self._list_archive(Path(path))
        else:
            files = list_new_files(path)
        if not files:
            raise DatasetError(f"no file at {path}. Expected a file, folder, pattern or archive: {COMMAND}.")
        return sorted(files)

    def _list_archive(self, archive: Path) -> list[ListedFile]:
        from filelock import FileLock

        with archive.open("rb") as file:
            digest = file_digest(file, "sha256").hexdigest()[:32]
        folder = self._unpacked / digest
        self._unpacked.mkdir(parents=True, exist_ok=True)
        # A folder is renamed once it is complete, and never changed afterwards: other runs may be reading it.
        with FileLock(self._unpacked / f".{digest}.lock"):
            if not folder.exists():
                part = self._unpacked / f".{digest}.part"
                shutil.rmtree(part, ignore_errors=True)  # of a run that was killed
                part.mkdir()
                try:
                    (extract if _is_zip(archive) else extract_tar)(str(archive), self._limits, part)
                    part.rename(folder)
                finally:
                    shutil.rmtree(part, ignore_errors=True)
        root = fsspec.core.url_to_fs(str(folder))[1]
        return [
            file._replace(name=f"{archive}{file.path.removeprefix(root)}", modified=digest)
            for file in list_new_files(str(folder))
        ]

    def _describe(self) -> dict[str, Any]:
        return {"path": self._path, "unpacked": str(self._unpacked)}


def _is_zip(path: Path) -> bool:
    """Check the start of a file, since `zipfile` checks the end, where a tar may hold a zip; refuse documents."""
    with path.open("rb") as file:
        if file.read(4) not in ZIP_SIGNATURES:
            return False
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
    if parts := sorted(names & DOCUMENT_PARTS):
        raise DatasetError(
            f"{path} is a document or a program (it holds {parts[0]}); expected a zip or tar archive of images. "
            "Extract the images first."
        )
    return True


def _is_tar(path: Path) -> bool:
    """Check for a tar archive with a file in it: to `tarfile`, zeros are an empty one."""
    with path.open("rb") as file:
        return any(file.read(tarfile.BLOCKSIZE)) and tarfile.is_tarfile(path)


def list_new_files(path: str) -> list[ListedFile]:
    """List a file, all files below a folder except junk, or those of a pattern."""
    filesystem, root = fsspec.core.url_to_fs(path)
    if filesystem.isdir(root):
        files = [file for file in list_files(filesystem, root) if not is_junk(file.path.removeprefix(root).lstrip("/"))]
    else:
        paths = [root]
        if not filesystem.exists(root):  # A pattern; [brackets] of folders that exist are part of their names.
            parts = root.split("/")
            number = next(n for n in range(len(parts) - 1, -1, -1) if filesystem.isdir("/".join(parts[:n]) or "/"))
            paths = filesystem.glob("/".join([glob.escape("/".join(parts[:number])), *parts[number:]]))
        entries = [(file, filesystem.info(file)) for file in paths if not filesystem.isdir(file)]
        files = [ListedFile(file, file, each["size"] or 0, str(each.get("mtime") or ""), "") for file, each in entries]
    if "://" not in path:
        return files
    addresses = [str(filesystem.unstrip_protocol(file.path)) for file in files]
    return [file._replace(name=address, path=address) for file, address in zip(files, addresses, strict=True)]


class UserTablesDataset(ReadOnlyDataset):
    """Loads the optional tables of a user: `split` (columns `path`, `subset`) and `patients` (`path`, `patient`).

    The `path` of each is a `.csv` or `.parquet` file, such as the stored `image_split.parquet`, or null for none.
    """

    def __init__(
        self,
        *,
        split: dict[str, str | None] | None = None,
        patients: dict[str, str | None] | None = None,
        metadata: dict[str, Any] | None = None,
    ):
        tables = {"split": split, "patients": patients}
        self._paths = {name: table["path"] if table else None for name, table in tables.items()}
        self.metadata = metadata

    def load(self) -> dict[str, DataFrame]:
        """Return both tables by name, with their two columns (str); without rows where there is no table.

        Raises:
            DatasetError: A file is missing, or lacks a column.
        """
        return {name: _read_pairs(path, *TABLES[name]) for name, path in self._paths.items()}

    def _exists(self) -> bool:
        return all(not path or exists(path) for path in self._paths.values())

    def _describe(self) -> dict[str, Any]:
        return dict(self._paths)


def _read_pairs(path: str | None, column: str, parameter: str) -> DataFrame:
    columns = ["path", column]
    if not path:
        return pd.DataFrame(columns=columns, dtype="str")
    if not exists(path):
        raise DatasetError(f"no {parameter.replace('_', ' ')} at {path}; name another with --params {parameter}=FILE.")
    return read_table(path, columns)[columns].dropna().astype("str")


def read_table(path: str, columns: list[str]) -> DataFrame:
    """Read a `.parquet` or `.csv` table of a user, the latter as text: patients may be numbers with zeros before them.

    Raises:
        DatasetError: One of `columns` is missing.
    """
    table = pd.read_parquet(path) if path.endswith(".parquet") else pd.read_csv(path, dtype="str")
    if not set(columns) <= set(table):
        received, expected = ", ".join(table.columns), " and ".join(columns)
        raise DatasetError(f"{path} has the columns {received}; expected {expected}. Rename them.")
    return table
