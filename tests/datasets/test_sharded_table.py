"""A table is computed once, shard by shard; what a killed run left is not computed again."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from filelock import FileLock
from kedro.io import DatasetError

from chest_xray.datasets import ShardedTableDataset
from chest_xray.datasets.sharded_table import ShardPlan


def plan(keys: str, computed: list[int] | None = None, stop: int | None = None) -> ShardPlan:
    """Two rows a shard; `computed` takes note of each, and at `stop` the run ends as by Ctrl-C."""

    def compute(numbers: Sequence[int]) -> Iterator[tuple[int, pa.Table]]:
        for number in reversed(numbers):
            if number == stop:
                raise KeyboardInterrupt
            if computed is not None:
                computed.append(number)
            yield number, pa.table({"key": [keys[number]] * 2, "value": [number, None]}, pa.schema(SCHEMA))

    return ShardPlan("Testing", list(keys), [2] * len(keys), compute)


SCHEMA = [("key", pa.string()), ("value", pa.float64())]


def test_shards_in_any_order_become_one_table_in_theirs(tmp_path: Path) -> None:
    store = ShardedTableDataset(filepath=str(tmp_path))
    assert not store.exists()
    store.save(plan("abc"))
    assert store.exists()
    assert store.load()["key"].tolist() == list("aabbcc")
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "all.csv"), store.load(), check_dtype=False)


def test_the_same_plan_computes_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    computed: list[int] = []
    for _ in range(2):
        ShardedTableDataset(filepath=str(tmp_path)).save(plan("abc", computed))
    assert sorted(computed) == [0, 1, 2]
    assert "Testing: nothing has changed, 6 rows stand as they are." in caplog.text


def test_after_a_break_only_the_missing_shards_are_computed(tmp_path: Path) -> None:
    store, computed = ShardedTableDataset(filepath=str(tmp_path)), list[int]()
    with pytest.raises(KeyboardInterrupt):
        store.save(plan("abcd", stop=1))
    assert not store.exists()
    store.save(plan("abcd", computed))
    assert sorted(computed) == [0, 1]
    assert store.load()["key"].tolist() == list("aabbccdd")


def test_new_shards_join_the_old_and_those_of_another_plan_go(tmp_path: Path) -> None:
    store, computed = ShardedTableDataset(filepath=str(tmp_path)), list[int]()
    store.save(plan("abc"))
    store.save(plan("bcd", computed))
    assert computed == [2]
    assert store.load()["key"].tolist() == list("bbccdd")
    assert sorted(each.name for each in (tmp_path / "shards").iterdir()) == ["b.parquet", "c.parquet", "d.parquet"]


def test_two_runs_do_not_write_the_same_table(tmp_path: Path) -> None:
    with FileLock(tmp_path / ".lock"), pytest.raises(DatasetError, match="is being written by another run"):
        ShardedTableDataset(filepath=str(tmp_path)).save(plan("a"))


def test_a_remote_folder_is_refused() -> None:
    with pytest.raises(DatasetError, match="received filepath 's3://b/a'; expected a local folder"):
        ShardedTableDataset(filepath="s3://b/a")


def test_a_failure_that_may_pass_is_tried_again_and_nothing_else_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def plan_reading(disk: dict[str, str], computed: list[int]) -> ShardPlan:
        def compute(numbers: Sequence[int]) -> Iterator[tuple[int, pa.Table]]:
            for number in numbers:
                computed.append(number)
                yield number, pa.table({"reason": [disk["abc"[number]], "blank"]}, pa.schema([("reason", pa.string())]))

        return ShardPlan("Testing", list("abc"), [2] * 3, compute, passing=("reason", "unreadable"))

    store, computed = ShardedTableDataset(filepath=str(tmp_path)), list[int]()
    store.save(plan_reading({"a": "blank", "b": "unreadable", "c": "blank"}, computed))
    assert store.load()["reason"].tolist().count("unreadable") == 1
    assert "Testing: 1 rows are unreadable; the next run tries them again." in caplog.text
    assert computed == [0, 1, 2]
    store.save(plan_reading(dict.fromkeys("abc", "blank"), computed))
    assert computed == [0, 1, 2, 1]
    assert store.load()["reason"].tolist() == ["blank"] * 6
    store.save(plan_reading(dict.fromkeys("abc", "blank"), computed))
    assert computed == [0, 1, 2, 1]
