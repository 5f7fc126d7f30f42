"""Files are written whole or not at all, and read as they were written; arrays and tables are recomputed if damaged."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from kedro.io import DatasetError

from chest_xray.core.files import Shard, ShardOrder, StoredArray
from chest_xray.datasets import (
    ArrayDataset,
    FinishedShardsDataset,
    ShardedTableDataset,
    StoredArraysDataset,
    TextDataset,
)
from chest_xray.datasets.atomic import CSVDataset, JSONDataset, ParquetDataset, ResultDataset
from tests import commands
from tests.builders import make_point

POINT_TYPE = "chest_xray.metrics.operating_point.OperatingPoint"
TABLE = pd.DataFrame({"a": range(3), "b": ["x", "y", "z"]})


@pytest.mark.parametrize(
    ("kind", "data"), [(CSVDataset, TABLE), (ParquetDataset, TABLE), (JSONDataset, {"a": 1}), (TextDataset, "text")]
)
def test_a_failed_save_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Any, data: Any
) -> None:
    arguments = {"save_args": {"index": False}} if kind is CSVDataset else {}
    dataset = kind(filepath=str(tmp_path / "new/file"), **arguments)
    dataset.save(data)
    before = (tmp_path / "new/file").read_bytes()
    assert dataset.exists()
    loaded = dataset.load()
    assert loaded.equals(data) if isinstance(data, pd.DataFrame) else loaded == data

    def tear(plain: Any, *_: Any) -> None:
        Path(getattr(plain, "_filepath", plain)).write_bytes(b"ha")
        raise OSError(28, "No space left on device")

    owner, method = (kind.plain, "save") if hasattr(kind, "plain") else (Path, "write_text")
    monkeypatch.setattr(owner, method, tear)
    with pytest.raises(DatasetError, match="No space left on device"):
        dataset.save(data)
    assert (tmp_path / "new/file").read_bytes() == before
    assert [each.name for each in (tmp_path / "new").iterdir()] == ["file"]


def test_files_are_also_written_to_an_in_memory_filesystem() -> None:
    dataset = JSONDataset(filepath="memory:///whole/file.json")
    dataset.save({"a": 1})
    dataset.save({"a": 2})
    assert dataset.load() == {"a": 2}


FILL = """
import resource, signal, sys
from chest_xray.datasets.atomic import CSVDataset
import pandas as pd
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
try:
    CSVDataset(filepath=sys.argv[1]).save(pd.DataFrame({"a": range(100_000)}))
except Exception as error:
    print(error)
"""


def test_a_system_file_size_limit_keeps_the_old_file(tmp_path: Path) -> None:
    CSVDataset(filepath=str(tmp_path / "table.csv")).save(TABLE)
    before = (tmp_path / "table.csv").read_bytes()
    run = commands.run([sys.executable, "-c", FILL, str(tmp_path / "table.csv")])
    assert run.returncode == 0, run.stderr
    assert "table.csv: File too large. The old file is untouched." in run.stdout
    assert (tmp_path / "table.csv").read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["table.csv"]


def test_a_typed_result_survives_a_round_trip(tmp_path: Path) -> None:
    dataset = ResultDataset(filepath=str(tmp_path / "point.json"), result=POINT_TYPE)
    dataset.save(make_point(0.3))
    assert dataset.load() == make_point(0.3)


def test_a_typed_result_is_shown_as_its_json(tmp_path: Path) -> None:
    dataset = ResultDataset(filepath=str(tmp_path / "point.json"), result=POINT_TYPE)
    dataset.save(make_point(0.3))
    assert json.loads(dataset.preview()) == make_point(0.3).model_dump(mode="json")


def test_a_file_with_other_content_is_not_loaded_as_a_result(tmp_path: Path) -> None:
    (tmp_path / "point.json").write_text('{"threshold": 0.3}')
    dataset = ResultDataset(filepath=str(tmp_path / "point.json"), result=POINT_TYPE)
    with pytest.raises(DatasetError, match=r"json is not a OperatingPoint \(run: Field required.*writes it again"):
        dataset.load()


VALUES = np.arange(600, dtype=np.uint8).reshape(50, 4, 3)
ARRAY = StoredArray(VALUES, "a1", [(7, "row 7 is damaged")])
SCHEMA = [("key", pa.string()), ("reason", pa.string())]


def open_array(folder: Path) -> ArrayDataset:
    return ArrayDataset(filepath=str(folder / "pictures.npy"))


def read_stored(folder: Path) -> StoredArray | None:
    return StoredArraysDataset(filepath=str(folder)).load().get("pictures")


def test_an_array_is_loaded_as_a_read_only_memory_map(tmp_path: Path) -> None:
    assert not open_array(tmp_path).exists()
    open_array(tmp_path).save(ARRAY)
    array = open_array(tmp_path).load()
    assert open_array(tmp_path).exists()
    assert isinstance(array, np.memmap)
    assert not array.flags.writeable
    np.testing.assert_array_equal(array, VALUES)


def test_a_stored_array_has_its_fingerprint_and_failures(tmp_path: Path) -> None:
    assert read_stored(tmp_path) is None
    open_array(tmp_path).save(ARRAY)
    stored = read_stored(tmp_path)
    assert stored is not None
    assert (stored.fingerprint, stored.failures) == ("a1", [(7, "row 7 is damaged")])
    np.testing.assert_array_equal(stored.values, VALUES)
    assert list(StoredArraysDataset(filepath=str(tmp_path)).load()) == ["pictures"]


def test_saving_a_stored_array_again_writes_nothing(tmp_path: Path) -> None:
    open_array(tmp_path).save(ARRAY)
    before = (tmp_path / "pictures.npy").stat()
    stored = read_stored(tmp_path)
    assert stored is not None
    open_array(tmp_path).save(stored)
    after = (tmp_path / "pictures.npy").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_readers_of_the_old_array_can_continue(tmp_path: Path) -> None:
    open_array(tmp_path).save(ARRAY)
    old = open_array(tmp_path).load()
    open_array(tmp_path).save(StoredArray(255 - VALUES, "b2"))
    np.testing.assert_array_equal(old, VALUES)
    np.testing.assert_array_equal(open_array(tmp_path).load(), 255 - VALUES)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["pictures.npy", "pictures.npy.json"]


@pytest.mark.parametrize("damage", ["truncated", "empty", "flipped", "no facts", "facts", "fingerprint"])
def test_a_damaged_array_is_not_reused(damage: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    open_array(tmp_path).save(ARRAY)
    path, facts = tmp_path / "pictures.npy", tmp_path / "pictures.npy.json"
    data = path.read_bytes()
    if damage == "no facts":
        facts.unlink()
    elif damage == "facts":
        facts.write_text("{")
    elif damage == "fingerprint":
        facts.write_text(json.dumps(json.loads(facts.read_text()) | {"fingerprint": None}))
    else:
        path.write_bytes({"truncated": data[:-7], "empty": b"", "flipped": data[:-5] + b"\xaa" + data[-4:]}[damage])
    if damage in ("truncated", "empty"):
        with pytest.raises(DatasetError, match=r"pictures\.npy is damaged .* `kedro run --pipelines=data_processing`"):
            open_array(tmp_path).load()
    assert read_stored(tmp_path) is None
    assert ("is damaged and will be computed again" in caplog.text) == (damage != "no facts")


def test_a_remote_path_is_refused() -> None:
    with pytest.raises(DatasetError, match=r"received 's3://bucket/a.npy'; expected a local path"):
        ArrayDataset(filepath="s3://bucket/a.npy")


def test_stored_arrays_are_read_only(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="received int to save, but StoredArraysDataset is read-only"):
        StoredArraysDataset(filepath=str(tmp_path)).save(1)  # type: ignore[arg-type]


WRITER = """
import sys, numpy
from chest_xray.core.files import compute_rows
from chest_xray.core.types import InputError
from chest_xray.datasets import ArrayDataset, StoredArraysDataset

def compute(row):
    if row % 97 == 5:
        raise InputError(f"row {row} is damaged")
    return numpy.random.default_rng(row).integers(0, 256, (64, 64), numpy.uint8)

print("ready", flush=True)
stored = StoredArraysDataset(filepath=sys.argv[1]).load().get("pictures")
array = compute_rows("Testing", "a1", (3000, 64, 64), compute, stored)
ArrayDataset(filepath=f"{sys.argv[1]}/pictures.npy").save(array)
"""


def write_undisturbed(folder: Path) -> None:
    commands.run([sys.executable, "-c", WRITER, str(folder)]).check_returncode()


def write_and_kill(folder: Path, delay: float) -> bool:
    """Kill the writer after some seconds; return whether it was still running."""
    with commands.start([sys.executable, "-c", WRITER, str(folder)], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
        time.sleep(delay)
        os.kill(writer.pid, signal.SIGKILL)
        return bool(writer.wait() == -signal.SIGKILL)


def test_after_kills_at_random_moments_the_array_is_identical_byte_for_byte(tmp_path: Path) -> None:
    write_undisturbed(tmp_path / "undisturbed")
    rng, disturbed = random.Random(2018), tmp_path / "disturbed"
    kills = [write_and_kill(disturbed, rng.uniform(0, 0.3)) for _ in range(5)]
    assert any(kills)
    write_undisturbed(disturbed)
    for name in ("pictures.npy", "pictures.npy.json"):
        assert (disturbed / name).read_bytes() == (tmp_path / "undisturbed" / name).read_bytes()


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
