"""A table computed shard by shard into a folder: killed at any moment it goes on where it was, of any length."""

import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset, DatasetError

from chest_xray.core.files import atomic_path, replace_text
from chest_xray.core.types import DataFrame

logger = logging.getLogger(__name__)

Table = Any  # of pyarrow


@dataclass(frozen=True)
class ShardPlan:
    """A table that is yet to be computed.

    Args:
        title: Shown beside the progress bar.
        keys: One a shard: a hexadecimal digest of all that decides its rows; same key, same rows.
        num_rows: Of each shard.
        compute: Gives the shards of the numbers asked for, each with its number, in any order; all of one schema.
        passing: A column and a value of it that tell a failure which may pass, such as that of a disk: a shard with
            such a row is computed again by the next run.
    """

    title: str
    keys: list[str]
    num_rows: list[int]
    compute: Callable[[Sequence[int]], Iterator[tuple[int, Table]]]
    passing: tuple[str, str] | None = None


class ShardedTableDataset(AbstractDataset[ShardPlan, DataFrame]):
    """Saves a plan by carrying it out; what comes of it lies in the folder twice, as `all.parquet` and `all.csv`.

    A shard is a file of its own in `shards`, named for its key, and stays until a plan without it is finished: so a run
    that was killed, or one with more files at the end, computes only what is new.

    Args:
        filepath: A local folder.
        metadata: For plugins such as Kedro-Viz.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None):
        if "://" in filepath:
            raise DatasetError(f"received filepath {filepath!r}; expected a local folder.")
        self._folder = Path(filepath)
        self.metadata = metadata

    def load(self) -> DataFrame:
        """Give all rows."""
        import pandas as pd

        return pd.read_parquet(self._folder / "all.parquet")

    def save(self, data: ShardPlan) -> None:
        """Compute what is missing, and join all shards in their order.

        Raises:
            DatasetError: Another run is at it.
        """
        from filelock import FileLock, Timeout

        (self._folder / "shards").mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self._folder / ".lock", timeout=0):
                self._carry_out(data)
        except Timeout as error:
            raise DatasetError(f"{self._folder} is being written by another run; wait for its end.") from error

    def _carry_out(self, plan: ShardPlan) -> None:
        state = hashlib.sha256(" ".join(plan.keys).encode()).hexdigest()
        if self._exists() and (self._folder / "current").read_text("utf-8") == state:
            logger.info("%s: nothing has changed, %s rows stand as they are.", plan.title, f"{sum(plan.num_rows):,}")
            return
        self._compute(plan)
        paths = [self._shard(key) for key in plan.keys]
        _join(paths, self._folder)
        passing = [path for path in paths if plan.passing and _count(path, *plan.passing)]
        if plan.passing and passing:
            number = sum(_count(path, *plan.passing) for path in passing)
            logger.warning("%s: %d rows are %s; the next run tries them again.", plan.title, number, plan.passing[1])
            replace_text(self._folder / "current", "")
            for path in passing:
                path.unlink()
        else:
            replace_text(self._folder / "current", state)
        for other in set((self._folder / "shards").iterdir()) - set(paths):
            if other.is_file():
                other.unlink()

    def _compute(self, plan: ShardPlan) -> None:
        import pyarrow.parquet as pq
        from tqdm import tqdm

        missing = [number for number, key in enumerate(plan.keys) if not self._shard(key).exists()]
        with tqdm(total=sum(plan.num_rows), desc=plan.title, unit="row", disable=None) as bar:
            bar.update(sum(plan.num_rows) - sum(plan.num_rows[number] for number in missing))
            for number, table in plan.compute(missing):
                with atomic_path(str(self._shard(plan.keys[number]))) as path:
                    pq.write_table(table, path)
                bar.update(len(table))

    def _shard(self, key: str) -> Path:
        return self._folder / "shards" / f"{key}.parquet"

    def _exists(self) -> bool:
        return (self._folder / "current").exists() and (self._folder / "all.parquet").exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._folder)}


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
