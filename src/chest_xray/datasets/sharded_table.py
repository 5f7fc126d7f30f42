"""A table stored shard by shard in a folder: what a killed run left need not be computed again, whatever its length."""

import hashlib
import logging
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from kedro.io import AbstractDataset, DatasetError

from chest_xray.core.files import atomic_path, replace_text
from chest_xray.core.types import DataFrame

logger = logging.getLogger(__name__)

Table = Any  # of pyarrow


class Shard(NamedTuple):
    """Some rows of the table.

    Args:
        key: Hexadecimal digest of all that decides the rows: same key, same rows.
        rows: A table of pyarrow, of the same schema for all shards.
    """

    key: str
    rows: Table


class ShardOrder(NamedTuple):
    """The keys of all shards, in the order of the table: no more shards will come."""

    keys: list[str]


class ShardedTableDataset(AbstractDataset[Shard | ShardOrder, DataFrame]):
    """Saves shards as they come, and joins them to `all.parquet` and `all.csv` once their order is known.

    A shard is a file of its own in `shards`, named for its key, and stays until a table without it is complete.

    Args:
        filepath: A local folder.
        retry: `column` and `value` of rows whose failure may pass, such as that of a disk: their shards are removed
            when the table is complete, so that the next run computes them again.
        metadata: For plugins such as Kedro-Viz.
    """

    def __init__(self, *, filepath: str, retry: dict[str, str], metadata: dict[str, Any] | None = None):
        self._folder = _require_local(filepath)
        self._retry = retry
        self.metadata = metadata

    def load(self) -> DataFrame:
        """Return all rows."""
        import pandas as pd

        return pd.read_parquet(self._folder / "all.parquet")

    def save(self, data: Shard | ShardOrder) -> None:
        """Store a shard, or join all of them."""
        import pyarrow.parquet as pq

        if isinstance(data, ShardOrder):
            self._join(data.keys)
        else:
            with atomic_path(str(self._shard(data.key))) as path:
                pq.write_table(data.rows, path)

    def _join(self, keys: list[str]) -> None:
        state = hashlib.sha256(" ".join(keys).encode()).hexdigest()
        if self._exists() and (self._folder / "current").read_text("utf-8") == state:
            return
        paths = [self._shard(key) for key in keys]
        _join(paths, self._folder)
        counts = {path: _count(path, self._retry["column"], self._retry["value"]) for path in paths}
        failed = [path for path, count in counts.items() if count]
        replace_text(self._folder / "current", "" if failed else state)
        if failed:
            number, value = sum(counts.values()), self._retry["value"]
            logger.warning("%d rows are %s; the next run tries them again.", number, value)
        kept = set(paths) - set(failed)
        for path in set((self._folder / "shards").glob("*.parquet")) - kept:
            path.unlink()

    def _shard(self, key: str) -> Path:
        return self._folder / "shards" / f"{key}.parquet"

    def _exists(self) -> bool:
        return (self._folder / "current").exists() and (self._folder / "all.parquet").exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._folder)}


class FinishedShardsDataset(AbstractDataset[NoReturn, frozenset[str]]):
    """Returns which shards of a table are stored already.

    Args:
        folder: That of a `ShardedTableDataset`.
        metadata: For plugins such as Kedro-Viz.
    """

    def __init__(self, *, folder: str, metadata: dict[str, Any] | None = None):
        self._folder = _require_local(folder)
        self.metadata = metadata

    def load(self) -> frozenset[str]:
        """Return their keys."""
        return frozenset(path.stem for path in (self._folder / "shards").glob("*.parquet"))

    def save(self, data: NoReturn) -> NoReturn:
        """Refuse: shards are saved by `ShardedTableDataset`."""
        raise DatasetError(f"received {type(data).__name__} to save, but {type(self).__name__} is read-only.")

    def _describe(self) -> dict[str, Any]:
        return {"folder": str(self._folder)}


def _require_local(path: str) -> Path:
    if "://" in path:
        raise DatasetError(f"received {path!r}; expected a local folder.")
    return Path(path)


def _count(shard: Path, column: str, value: str) -> int:
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    found = pc.sum(pc.equal(pq.read_table(shard, columns=[column])[column], value)).as_py()
    return int(found or 0)


def _join(shards: list[Path], folder: Path) -> None:
    """Write both files, holding one shard at a time."""
    import pyarrow.csv as pc
    import pyarrow.parquet as pq

    schema = pq.read_schema(shards[0])
    with (
        atomic_path(str(folder / "all.parquet")) as parquet,
        atomic_path(str(folder / "all.csv")) as csv,
        pq.ParquetWriter(parquet, schema) as to_parquet,
        pc.CSVWriter(csv, schema) as to_csv,
    ):
        for shard in shards:
            table = pq.read_table(shard)
            to_parquet.write_table(table)
            to_csv.write_table(table)
