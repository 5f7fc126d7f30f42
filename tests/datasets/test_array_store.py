"""An array is computed once, survives a kill at any moment, and is never read half-written."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from kedro.io import DatasetError

from chest_xray.core.options import InputError
from chest_xray.core.types import Array
from chest_xray.datasets import ComputedArrayDataset, FailedRowsDataset
from chest_xray.datasets.partial_array import RowPlan

SHAPE = (50, 4, 3)


def row_of_its_number(row: int) -> Array:
    return np.full(SHAPE[1:], row, np.uint8)


def plan(compute: Callable[[int], Array] = row_of_its_number, fingerprint: str = "a1", rows: int = 50) -> RowPlan:
    return RowPlan("Testing", fingerprint, (rows, *SHAPE[1:]), compute)


def open_store(folder: Path) -> ComputedArrayDataset:
    return ComputedArrayDataset(filepath=str(folder), block=8)


def even_rows_fail(row: int) -> Array:
    if row % 2 == 0:
        raise InputError(f"row {row} is damaged")
    return row_of_its_number(row)


def test_rows_come_back_in_their_order_as_a_read_only_map(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    assert not store.exists()
    store.save(plan())
    array = store.load()
    assert store.exists()
    assert isinstance(array, np.memmap)
    assert not array.flags.writeable
    assert array[:, 2, 1].tolist() == list(range(50))


def test_the_same_fingerprint_computes_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    open_store(tmp_path).save(plan())

    def refuse(row: int) -> Array:
        raise AssertionError(f"row {row} was computed again")

    open_store(tmp_path).save(plan(refuse))
    assert "Testing: nothing has changed, 50 rows stand as they are" in caplog.text


def test_another_fingerprint_replaces_the_array_and_leaves_nothing_behind(tmp_path: Path) -> None:
    open_store(tmp_path).save(plan())
    old = open_store(tmp_path).load()
    open_store(tmp_path).save(plan(lambda row: 255 - row_of_its_number(row), "b2"))
    assert open_store(tmp_path).load()[:, 0, 0].tolist() == list(range(255, 205, -1))
    assert old[7, 0, 0] == 7  # Whoever has the old array open goes on reading it.
    assert sorted(each.name for each in tmp_path.iterdir() if each.is_dir()) == ["b2"]


def test_rows_that_fail_are_left_out_and_listed(tmp_path: Path) -> None:
    open_store(tmp_path).save(plan(even_rows_fail))
    failures = FailedRowsDataset(filepath=str(tmp_path), block=8).load()
    assert open_store(tmp_path).load()[:, 0, 0].tolist() == list(range(1, 50, 2))
    assert failures["row"].tolist() == list(range(0, 50, 2))
    assert failures["detail"].iloc[1] == "row 2 is damaged"


@pytest.mark.parametrize("first", [ComputedArrayDataset, FailedRowsDataset])
def test_either_view_of_the_folder_may_be_saved_first(tmp_path: Path, first: type[ComputedArrayDataset]) -> None:
    first(filepath=str(tmp_path), block=8).save(plan(even_rows_fail))
    assert len(open_store(tmp_path).load()) == 25
    assert len(FailedRowsDataset(filepath=str(tmp_path), block=8).load()) == 25


def test_when_every_row_fails_the_first_reason_is_told(tmp_path: Path) -> None:
    def fail(row: int) -> Array:
        raise InputError(f"row {row} is damaged")

    with pytest.raises(DatasetError, match="none of 50 rows could be computed; the first: row 0 is damaged"):
        open_store(tmp_path).save(plan(fail))
    assert not open_store(tmp_path).exists()


def test_after_a_break_only_the_rows_that_are_missing_are_computed(tmp_path: Path) -> None:
    def break_off(row: int) -> Array:
        if row == 30:
            raise KeyboardInterrupt
        return row_of_its_number(row)

    computed = []

    def count(row: int) -> Array:
        computed.append(row)
        return row_of_its_number(row)

    with pytest.raises(KeyboardInterrupt):
        open_store(tmp_path).save(plan(break_off))
    assert not open_store(tmp_path).exists()
    open_store(tmp_path).save(plan(count))
    assert sorted(computed) == list(range(24, 50))  # Three blocks of 8 were on disk.
    assert open_store(tmp_path).load()[:, 0, 0].tolist() == list(range(50))


def test_a_torn_line_of_the_journal_counts_as_not_done_and_the_others_as_done(tmp_path: Path) -> None:
    computed: list[int] = []

    def break_off_at(last: int) -> Callable[[int], Array]:
        def compute(row: int) -> Array:
            if row == last:
                raise KeyboardInterrupt
            computed.append(row)
            return row_of_its_number(row)

        return compute

    with pytest.raises(KeyboardInterrupt):
        open_store(tmp_path).save(plan(break_off_at(20)))
    with (tmp_path / "a1.part/journal.jsonl").open("a") as journal:
        journal.write('{"start": 16, "fail')
    with pytest.raises(KeyboardInterrupt):
        open_store(tmp_path).save(plan(break_off_at(36)))
    computed.clear()
    open_store(tmp_path).save(plan(break_off_at(-1)))
    assert min(computed) == 32  # What the second run wrote after the torn line stands.
    assert open_store(tmp_path).load()[:, 0, 0].tolist() == list(range(50))


def test_a_journal_that_makes_no_sense_starts_over(tmp_path: Path) -> None:
    (tmp_path / "a1.part").mkdir()
    (tmp_path / "a1.part/journal.jsonl").write_bytes(b"\0\0\xff\n")
    open_store(tmp_path).save(plan())
    assert open_store(tmp_path).load()[:, 0, 0].tolist() == list(range(50))


def test_another_block_size_starts_over(tmp_path: Path) -> None:
    def break_off(row: int) -> Array:
        if row == 30:
            raise KeyboardInterrupt
        return np.zeros(SHAPE[1:], np.uint8)

    with pytest.raises(KeyboardInterrupt):
        open_store(tmp_path).save(plan(break_off))
    ComputedArrayDataset(filepath=str(tmp_path), block=5).save(plan())
    assert open_store(tmp_path).load()[:, 0, 0].tolist() == list(range(50))


def test_two_runs_do_not_write_the_same_array(tmp_path: Path) -> None:
    with FileLock(tmp_path / ".lock"), pytest.raises(DatasetError, match="is being written by another run"):
        open_store(tmp_path).save(plan())


def test_a_disk_too_small_is_told_before_anything_is_computed(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"rows\.npy needs 12000000.0 GB, but its disk has .* GB free\. Make room"):
        open_store(tmp_path).save(plan(rows=10**15))


def test_a_remote_folder_is_refused() -> None:
    with pytest.raises(DatasetError, match=r"received filepath 's3://bucket/a'; expected a local folder"):
        ComputedArrayDataset(filepath="s3://bucket/a", block=8)


SLOW_WRITER = """
import sys, time, numpy
from chest_xray.datasets import ComputedArrayDataset
from chest_xray.datasets.partial_array import RowPlan
from chest_xray.core.options import InputError

def compute(row):
    time.sleep(0.0005)
    if row % 97 == 5:
        raise InputError(f"row {row} is damaged")
    return numpy.random.default_rng(row).integers(0, 256, (8, 8), numpy.uint8)

print("ready", flush=True)
ComputedArrayDataset(filepath=sys.argv[1], block=32).save(RowPlan("Testing", "a1", (6000, 8, 8), compute))
"""


def write_undisturbed(folder: Path) -> None:
    subprocess.run([sys.executable, "-c", SLOW_WRITER, str(folder)], check=True, capture_output=True)


def write_and_kill(folder: Path, delay: float) -> bool:
    """Kill the writer some seconds after it has begun; true if it was still at it."""
    with subprocess.Popen([sys.executable, "-c", SLOW_WRITER, str(folder)], stdout=-1, stderr=-3) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
        time.sleep(delay)
        os.kill(writer.pid, signal.SIGKILL)
        return writer.wait() == -signal.SIGKILL


def test_killed_at_random_moments_the_array_is_the_same_byte_for_byte(tmp_path: Path) -> None:
    write_undisturbed(tmp_path / "undisturbed")
    rng, disturbed = random.Random(2018), tmp_path / "disturbed"
    kills = [write_and_kill(disturbed, rng.uniform(0, 0.4)) for _ in range(5)]
    assert kills == [True] * 5
    assert list(disturbed.glob("*.part"))  # There was something to go on from.
    write_undisturbed(disturbed)
    for name in ("array.npy", "failures.json"):
        assert (disturbed / "a1" / name).read_bytes() == (tmp_path / "undisturbed" / "a1" / name).read_bytes()


@pytest.mark.parametrize("damage", ["truncated", "empty", "missing", "flipped", "failures", "digest"])
def test_a_damaged_array_is_made_anew(damage: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    store = open_store(tmp_path)
    computed: list[int] = []

    def compute(row: int) -> Array:
        computed.append(row)
        return row_of_its_number(row)

    store.save(plan(compute))
    whole = np.array(store.load())
    (path,) = tmp_path.glob("*/array.npy")
    data = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage in ("failures", "digest"):
        path.with_name({"failures": "failures.json", "digest": "blake2b"}[damage]).write_text("{")
    else:
        path.write_bytes({"truncated": data[:-7], "empty": b"", "flipped": data[:-5] + b"\xaa" + data[-4:]}[damage])
    if damage in ("truncated", "empty", "missing"):
        with pytest.raises(DatasetError, match=r"array\.npy is damaged .* Run `kedro run --pipelines=data_processing`"):
            store.load()
    computed.clear()
    store.save(plan(compute))
    assert sorted(computed) == list(range(50))
    assert "is damaged and is made anew" in caplog.text
    np.testing.assert_array_equal(store.load(), whole)
