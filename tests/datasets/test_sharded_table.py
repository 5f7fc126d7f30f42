"""A table is stored shard by shard, and shards of a killed run are not computed again."""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from kedro.io import DatasetError

from chest_xray.core.files import Shard, ShardOrder
from chest_xray.datasets import FinishedShardsDataset, ShardedTableDataset

SCHEMA = [("key", pa.string()), ("reason", pa.string())]


def open_table(folder: Path) -> ShardedTableDataset:
    return ShardedTableDataset(filepath=str(folder), retry={"column": "reason", "value": "unreadable"})


def make_shard(key: str, reason: str | None = None) -> Shard:
    return Shard(key, pa.table({"key": [key] * 2, "reason": [reason, None]}, pa.schema(SCHEMA)))


def finished(folder: Path) -> list[str]:
    return sorted(FinishedShardsDataset(filepath=str(folder)).load())


def save(folder: Path, shards: str, order: str) -> None:
    for key in shards:
        open_table(folder).save(make_shard(key))
    open_table(folder).save(ShardOrder(list(order)))


def test_shards_saved_in_any_order_are_joined_in_order(tmp_path: Path) -> None:
    assert not open_table(tmp_path).exists()
    save(tmp_path, "cab", "abc")
    assert open_table(tmp_path).exists()
    assert open_table(tmp_path).load()["key"].tolist() == list("aabbcc")
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "all.csv")[["key"]], open_table(tmp_path).load()[["key"]])


def test_finished_shards_are_listed_before_the_table_is_complete(tmp_path: Path) -> None:
    assert finished(tmp_path) == []
    open_table(tmp_path).save(make_shard("b"))
    open_table(tmp_path).save(make_shard("a"))
    assert finished(tmp_path) == ["a", "b"]
    assert not open_table(tmp_path).exists()


def test_saving_the_same_table_again_writes_nothing(tmp_path: Path) -> None:
    save(tmp_path, "abc", "abc")
    before = (tmp_path / "all.parquet").stat()
    save(tmp_path, "", "abc")
    assert (tmp_path / "all.parquet").stat().st_ino == before.st_ino


def test_new_shards_are_added_and_those_of_another_table_are_removed(tmp_path: Path) -> None:
    save(tmp_path, "abc", "abc")
    save(tmp_path, "d", "bcd")
    assert open_table(tmp_path).load()["key"].tolist() == list("bbccdd")
    assert finished(tmp_path) == ["b", "c", "d"]


def test_a_remote_folder_is_refused() -> None:
    with pytest.raises(DatasetError, match="received 's3://b/a'; expected a local path"):
        ShardedTableDataset(filepath="s3://b/a", retry={})


def test_finished_shards_are_read_only(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="received int to save, but FinishedShardsDataset is read-only"):
        FinishedShardsDataset(filepath=str(tmp_path)).save(1)  # type: ignore[arg-type]


def test_a_shard_with_a_temporary_failure_is_not_finished(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for key, reason in (("a", "blank"), ("b", "unreadable"), ("c", None)):
        open_table(tmp_path).save(make_shard(key, reason))
    open_table(tmp_path).save(ShardOrder(list("abc")))
    assert open_table(tmp_path).load()["reason"].tolist().count("unreadable") == 1
    assert "1 rows are unreadable; the next run tries them again." in caplog.text
    assert finished(tmp_path) == ["a", "c"]
    save(tmp_path, "b", "abc")
    assert open_table(tmp_path).load()["reason"].tolist().count("unreadable") == 0
    assert finished(tmp_path) == ["a", "b", "c"]
