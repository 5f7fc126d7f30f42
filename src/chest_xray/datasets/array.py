"""Arrays on a local disk, read by memory map, with their fingerprint and a digest of their bytes."""

import logging
from collections.abc import Iterator, Mapping
from hashlib import blake2b, file_digest
from pathlib import Path

from kedro.io import DatasetError
from pydantic import BaseModel, ValidationError

from chest_xray.core.arrays import StoredArray, StoredArrays
from chest_xray.core.files import atomic_path, replace_text
from chest_xray.core.types import Array
from chest_xray.datasets.single_file import LocalDataset, ReadOnlyDataset

logger = logging.getLogger(__name__)


class About(BaseModel):
    """The content of the `.json` file beside an array."""

    fingerprint: str
    digest: str
    failures: list[tuple[int, str]]


class ArrayDataset(LocalDataset):
    """Saves a computed array to a `.npy` file, and its `About` to a `.npy.json` file; loads the values."""

    def load(self) -> Array:
        """Return the values, uint8, memory-mapped, read-only.

        Raises:
            DatasetError: The array is damaged.
        """
        import numpy as np

        try:
            return np.load(self._path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise DatasetError(
                f"{self._path} is damaged ({error}); expected an array as it was written. Run "
                "`kedro run --pipelines=data_processing` to compute it again."
            ) from error

    def save(self, data: StoredArray) -> None:
        """Write the array whole or not at all, unless it was read from there."""
        import numpy as np

        if isinstance(data.values, np.memmap) and Path(str(data.values.filename)) == self._path.absolute():
            return
        with atomic_path(str(self._path)) as path, path.open("wb") as file:
            np.save(file, data.values, allow_pickle=False)
        about = About(fingerprint=data.fingerprint, digest=_digest(self._path), failures=data.failures)
        replace_text(_about(self._path), about.model_dump_json())


class StoredArraysDataset(LocalDataset, ReadOnlyDataset):
    """Loads the arrays that `ArrayDataset` has saved to a local folder, each under the name of its dataset."""

    def load(self) -> StoredArrays:
        """Return the arrays by name; each is read, and its digest checked, on access."""
        return _Stored(self._path)


class _Stored(Mapping[str, StoredArray]):
    def __init__(self, folder: Path):
        self._folder = folder

    def __getitem__(self, name: str) -> StoredArray:
        import numpy as np

        path = self._folder / f"{name}.npy"
        try:
            about = About.model_validate_json(_about(path).read_bytes())
            if about.digest != _digest(path):
                raise ValueError("its bytes are not those that were written")
            values = np.load(path.absolute(), mmap_mode="r", allow_pickle=False)
        except FileNotFoundError:
            raise KeyError(name) from None
        except (OSError, ValueError, EOFError, ValidationError) as error:
            logger.warning("%s is damaged and will be computed again: %s", path, error)
            raise KeyError(name) from error
        return StoredArray(values, about.fingerprint, about.failures)

    def __iter__(self) -> Iterator[str]:
        return (path.stem for path in sorted(self._folder.glob("*.npy")))

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _about(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, blake2b).hexdigest()
