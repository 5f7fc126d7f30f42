"""What the datasets of this project share; `metadata` is for plugins such as Kedro-Viz."""

from pathlib import Path
from typing import Any, NoReturn

import fsspec
from kedro.io import AbstractDataset, DatasetError


class FileDataset(AbstractDataset[Any, Any]):
    """A dataset at one local path or fsspec address, which ends in one of `suffixes` where a class has them.

    Raises:
        DatasetError: `filepath` has another suffix.
    """

    suffixes: tuple[str, ...] = ()

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None):
        if self.suffixes and not filepath.endswith(self.suffixes):
            expected = " or ".join(", ".join(self.suffixes).rsplit(", ", 1))
            raise DatasetError(
                f"received filepath {filepath!r}; expected one that ends in {expected}. Correct the catalog."
            )
        self._filepath, self.metadata = filepath, metadata

    def _local(self) -> str:
        """Return a local path of the same name to read from; a remote file is fetched whole, as it is now."""
        if "://" not in self._filepath:
            return self._filepath
        filesystem, path = fsspec.core.url_to_fs(self._filepath)
        # A shared cache would keep returning its first copy. This one lasts as long as it is referred to.
        self._fetched = fsspec.filesystem("simplecache", fs=filesystem, same_names=True, skip_instance_cache=True)
        with self._fetched.open(path) as file:
            return str(file.name)

    def _exists(self) -> bool:
        filesystem, path = fsspec.core.url_to_fs(self._filepath)
        return bool(filesystem.exists(path))

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath}


class LocalDataset(FileDataset):
    """A dataset at one path of a local disk.

    Raises:
        DatasetError: The path is an address of remote storage.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None):
        if "://" in filepath:
            raise DatasetError(
                f"received {filepath!r}; expected a local path for {type(self).__name__}. Correct the catalog."
            )
        super().__init__(filepath=filepath, metadata=metadata)
        self._path = Path(filepath)


class ReadOnlyDataset(AbstractDataset[NoReturn, Any]):
    """A dataset that nodes do not write."""

    def save(self, data: NoReturn) -> NoReturn:
        """Refuse to save."""
        raise DatasetError(
            f"received {type(data).__name__} to save, but {type(self).__name__} is read-only. Remove it from "
            "the outputs of the node."
        )
