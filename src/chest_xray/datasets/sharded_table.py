"""A table of any length stored shard by shard, so that a run that was killed can be resumed."""

import hashlib
import logging
from pathlib import Path
from typing import Any

from chest_xray.core.files import Shard, ShardOrder, atomic_path, replace_text
from chest_xray.core.types import DataFrame
from chest_xray.datasets.single_file import LocalDataset, ReadOnlyDataset

logger = logging.getLogger(__name__)


class ShardedTableDataset(LocalDataset):
    """Saves each shard to `shards/<key>.parquet`, and joins them to `all.parquet` and `all.csv` in a given order.

    A shard is removed when a table without it is complete, and when it has rows whose `column` has the `value` of
    `retry`: they failed for a passing reason, such as a disk, and the next run computes them again.
    """

    def __init__(self, *, filepath: str, retry: dict[str, str], metadata: dict[str, Any] | None = None):
        super().__init__(filepath=filepath, metadata=metadata)
        self._retry = retry

    def load(self) -> DataFrame:
        """Return all rows."""
        import pandas as pd

        return pd.read_parquet(self._path / "all.parquet")

    def save(self, data: Shard | ShardOrder) -> None:
        """Store a shard, or join all of them."""
        import pyarrow.parquet as pq

        if isinstance(data, ShardOrder):
            self._complete(data.keys)
        else:
            with atomic_path(str(self._shard(data.key))) as path:
                pq.write_table(data.rows, path)

    def _complete(self, keys: list[str]) -> None:
        state = hashlib.sha256(" ".join(keys).encode()).hexdigest()
        if self._exists() and (self._path / "current").read_text("utf-8") == state:
            return
        counts = self._join([self._shard(key) for key in keys])
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
        """Return the keys."""
        return frozenset(path.stem for path in (self._path / "shards").glob("*.parquet"))
