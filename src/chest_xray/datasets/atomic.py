"""Values, tables and arrays in files that are written whole or not at all, so that a later run can build on them.

The datasets of kedro-datasets lose the old file on a full disk. Arrays are on a local disk and read by memory map, with
their fingerprint and a digest of their bytes; the table of predictions is stored shard by shard.
"""

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from hashlib import blake2b, file_digest, sha256
from pathlib import Path
from typing import Any, ClassVar

from kedro.io import AbstractDataset, DatasetError
from kedro.utils import load_obj
from kedro_datasets import pandas
from pydantic import BaseModel, ValidationError

from chest_xray.core.files import Shard, ShardOrder, StoredArray, StoredArrays, atomic_path, replace_text
from chest_xray.core.libraries import np, pd
from chest_xray.core.types import Array, DataFrame
from chest_xray.datasets.single_file import JSONPreview, LocalDataset, ReadOnlyDataset, TextDataset

logger = logging.getLogger(__name__)


class AtomicDataset(AbstractDataset[Any, Any]):
    """Saves with a plain dataset beside the file, and then replaces it; loads and previews as the plain one."""

    plain: ClassVar[Callable[..., AbstractDataset[Any, Any]]]

    def __init__(self, *, filepath: str, **arguments: Any):
        super().__init__(filepath=filepath, **arguments)  # type: ignore[call-arg]  # of the plain dataset
        self._address = filepath
        self._arguments = {name: arguments[name] for name in ("save_args", "fs_args") if name in arguments}

    def save(self, data: Any) -> None:
        with atomic_path(self._address) as part:
            try:
                self.plain(filepath=str(part), **self._arguments).save(data)
            except DatasetError as error:
                raise (error.__cause__ if isinstance(error.__cause__, OSError) else error) from None
        self.release()  # the cached state of the old file


class CSVDataset(AtomicDataset, pandas.CSVDataset):
    """A table in a CSV file."""

    plain = pandas.CSVDataset


class ParquetDataset(AtomicDataset, pandas.ParquetDataset):
    """A table in a Parquet file."""

    plain = pandas.ParquetDataset


class JSONDataset(TextDataset):
    """Plain values in a JSON file; `save_args` are those of `json.dumps`."""

    def __init__(
        self, *, filepath: str, save_args: dict[str, Any] | None = None, metadata: dict[str, Any] | None = None
    ):
        super().__init__(filepath=filepath, metadata=metadata)
        self._save_args = save_args or {}

    def load(self) -> Any:
        return json.loads(super().load())

    def save(self, data: Any) -> None:
        super().save(json.dumps(data, **self._save_args))

    def preview(self) -> JSONPreview:
        return JSONPreview(TextDataset.load(self))


class ResultDataset(JSONDataset):
    """A typed result in a JSON file, checked when it is read: a `chest_xray.core.types.Result`, by its dotted name."""

    def __init__(self, *, filepath: str, result: str, **arguments: Any):
        super().__init__(filepath=filepath, **arguments)
        self._result = result

    def load(self) -> Any:
        """Return the result.

        Raises:
            DatasetError: The file holds something else, such as what an older version wrote.
        """
        try:
            return load_obj(self._result).model_validate(super().load())
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise DatasetError(
                f"{self._filepath} is not a {self._result.rpartition('.')[2]} "
                f"({'.'.join(map(str, first['loc']))}: {first['msg']}). Run the pipeline that writes it again."
            ) from error

    def save(self, data: Any) -> None:
        super().save(data.model_dump(mode="json"))


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
        try:
            return np.load(self._path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise DatasetError(
                f"{self._path} is damaged ({error}); expected an array as it was written. Run "
                "`kedro run --pipelines=data_processing` to compute it again."
            ) from error

    def save(self, data: StoredArray) -> None:
        """Write the array whole or not at all, unless it was read from there."""
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


class ShardedTableDataset(LocalDataset):
    """Saves each shard to `shards/<key>.parquet`, and joins them to `all.parquet` and `all.csv` in a given order.

    A shard is removed when a table without it is complete, and when it has rows whose `column` has the `value` of
    `retry`: they failed for a passing reason, such as a disk, and the next run computes them again.
    """

    def __init__(self, *, filepath: str, retry: dict[str, str], metadata: dict[str, Any] | None = None):
        super().__init__(filepath=filepath, metadata=metadata)
        self._retry = retry

    def load(self) -> DataFrame:
        return pd.read_parquet(self._path / "all.parquet")

    def save(self, data: Shard | ShardOrder) -> None:
        """Store a shard, or join all of them."""
        import pyarrow.parquet as pq

        if isinstance(data, Shard):
            with atomic_path(str(self._shard(data.key))) as path:
                pq.write_table(data.rows, path)
            return
        state = sha256(" ".join(data.keys).encode()).hexdigest()
        if self._exists() and (self._path / "current").read_text("utf-8") == state:
            return
        counts = self._join([self._shard(key) for key in data.keys])
        num_failed = sum(counts.values())
        replace_text(self._path / "current", "" if num_failed else state)
        if num_failed:
            logger.warning("%d rows are %s; the next run tries them again.", num_failed, self._retry["value"])
        for path in (self._path / "shards").glob("*.parquet"):
            if counts.get(path, 1):
                path.unlink()

    def _join(self, shards: list[Path]) -> dict[Path, int]:
        """Write both files, with one shard in memory at a time; return the number of rows to retry of each."""
        import pyarrow.compute as pc
        import pyarrow.parquet as pq
        from pyarrow.csv import CSVWriter

        schema, counts = pq.read_schema(shards[0]), {}
        with (
            atomic_path(str(self._path / "all.parquet")) as parquet,
            atomic_path(str(self._path / "all.csv")) as csv,
            pq.ParquetWriter(parquet, schema) as to_parquet,
            CSVWriter(csv, schema) as to_csv,
        ):
            for shard in shards:
                table = pq.read_table(shard)
                to_parquet.write_table(table)
                to_csv.write_table(table)
                counts[shard] = pc.sum(pc.equal(table[self._retry["column"]], self._retry["value"])).as_py() or 0
        return counts

    def _shard(self, key: str) -> Path:
        return self._path / "shards" / f"{key}.parquet"

    def _exists(self) -> bool:
        return (self._path / "current").exists() and (self._path / "all.parquet").exists()


class FinishedShardsDataset(LocalDataset, ReadOnlyDataset):
    """Loads the keys of the shards that a `ShardedTableDataset` has stored in the same folder."""

    def load(self) -> frozenset[str]:
        return frozenset(path.stem for path in (self._path / "shards").glob("*.parquet"))
