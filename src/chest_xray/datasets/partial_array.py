"""The unfinished part of an array store: rows on disk, a journal of them, and how both survive being killed."""

import json
import os
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from kedro.io import DatasetError

from chest_xray.core.files import replace_text
from chest_xray.core.options import InputError
from chest_xray.core.types import Array

NUM_THREADS = 2 * (os.cpu_count() or 1)  # Reading waits for the disk half of the time.


TASK = 8  # rows; a task for each would cost a fortieth of decoding it


Failures = list[tuple[int, str]]  # Number of a row and why it could not be computed.


Computed = tuple[Array, Failures]


@dataclass(frozen=True)
class RowPlan:
    """An array that is yet to be computed.

    Args:
        title: Shown beside the progress bar.
        fingerprint: Hexadecimal digest of all that decides the values: same fingerprint, same array.
        shape: Of the whole array, rows first; dtype is uint8.
        compute: Gives the values of one row, from several threads at once; InputError where a row cannot be had.
    """

    title: str
    fingerprint: str
    shape: tuple[int, ...]
    compute: Callable[[int], Array]


def fill(part: Path, plan: RowPlan, block: int) -> Failures:
    """Compute the rows that are not on disk yet, and put them there.

    Args:
        part: A folder with `rows.npy`, filled block by block, and `journal.jsonl`, which gets its line once a block is
            on disk; created where it is missing.
        plan: What to compute.
        block: Rows that are written, and on a restart lost, together.

    Returns:
        The rows that failed, in this run or an earlier one, in order.
    """
    import numpy as np
    from tqdm import tqdm

    journal = part / "journal.jsonl"
    done = _read_journal(journal, block)
    if done is None:
        _start_over(part, plan, block)
        done = {}
    num_rows = plan.shape[0]
    missing = [start for start in range(0, num_rows, block) if start not in done]
    with tqdm(total=num_rows, desc=plan.title, unit="row", disable=None) as bar:
        bar.update(num_rows - sum(min(block, num_rows - start) for start in missing))
        for start, futures in _compute(plan, missing, block):
            parts, failures = zip(*(future.result() for future in futures), strict=True)
            rows, done[start] = np.concatenate(parts), list(chain(*failures))
            _write_rows(part / "rows.npy", start, rows)
            _append_line(journal, {"start": start, "failures": done[start]})
            bar.update(len(rows))
    return sorted((row, reason) for failures in done.values() for row, reason in failures)


def finish(part: Path, failures: Failures, block: int) -> None:
    """Turn complete rows into `array.npy` without those that failed; may be killed and called again at any point.

    Args:
        part: The folder that `fill` filled.
        failures: What `fill` returned; kept in `failures.json`.
        block: Rows copied at a time.

    Raises:
        DatasetError: No row at all could be computed.
    """
    rows, array = part / "rows.npy", part / "array.npy"
    if rows.exists() and not failures:
        rows.replace(array)
    elif rows.exists():
        _copy_without(rows, part / "array.tmp", failures, block)
        (part / "array.tmp").replace(array)
        rows.unlink()
    replace_text(part / "failures.json", json.dumps(failures))


def _start_over(part: Path, plan: RowPlan, block: int) -> None:
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    _create(part / "rows.npy", plan.shape)
    _append_line(part / "journal.jsonl", {"block": block})


def _create(path: Path, shape: tuple[int, ...]) -> None:
    import numpy as np

    needed, free = int(np.prod(shape)), shutil.disk_usage(path.parent).free
    if needed > free:
        raise DatasetError(
            f"{path} needs {needed / 1e9:.1f} GB, but its disk has {free / 1e9:.1f} GB free. Make room, or name "
            "another folder in conf/base/globals.yml (data_dir)."
        )
    np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)


def _compute(plan: RowPlan, starts: Iterable[int], block: int) -> Iterator[tuple[int, list[Future[Computed]]]]:
    """Keep every core busy with the next block while the last one is written; never more than two in memory."""
    waiting: deque[tuple[int, list[Future[Computed]]]] = deque()
    with ThreadPoolExecutor(NUM_THREADS) as pool:
        for start in starts:
            stop = min(start + block, plan.shape[0])
            tasks = [range(first, min(first + TASK, stop)) for first in range(start, stop, TASK)]
            waiting.append((start, [pool.submit(_compute_rows, plan, rows) for rows in tasks]))
            if len(waiting) > 1:
                yield waiting.popleft()
        yield from waiting


def _compute_rows(plan: RowPlan, numbers: range) -> Computed:
    """Give the rows, zero where they failed, and the failures."""
    import numpy as np

    rows, failures = np.zeros((len(numbers), *plan.shape[1:]), np.uint8), []
    for place, number in enumerate(numbers):
        try:
            rows[place] = plan.compute(number)
        except InputError as error:
            failures.append((number, str(error)))
    return rows, failures


def _write_rows(path: Path, start: int, rows: Array) -> None:
    """Write beside the memory of the process: in a map, every page written would count as memory in use."""
    import numpy as np

    offset = np.load(path, mmap_mode="r").offset
    with path.open("r+b") as file:
        file.seek(offset + start * rows[0].nbytes)
        file.write(rows.tobytes())
        file.flush()
        os.fsync(file.fileno())


def _copy_without(source: Path, target: Path, failures: Failures, block: int) -> None:
    import numpy as np

    shape = np.load(source, mmap_mode="r").shape
    kept = np.setdiff1d(np.arange(shape[0]), [row for row, _ in failures])
    if not len(kept):
        raise DatasetError(f"none of {shape[0]} rows could be computed; the first: {failures[0][1]}")
    _create(target, (len(kept), *shape[1:]))
    for start in range(0, len(kept), block):
        _write_rows(target, start, np.load(source, mmap_mode="r")[kept[start : start + block]])


def _read_journal(journal: Path, block: int) -> dict[int, Failures] | None:
    """Failures of each block that is on disk, by its first row; None where there is nothing to go on from."""
    if not journal.exists():
        return None
    *lines, torn = journal.read_text("utf-8", errors="replace").split("\n")
    try:
        entries = [json.loads(line) for line in lines]
    except ValueError:  # After a power cut.
        return None
    if not entries or entries[0] != {"block": block}:
        return None
    if torn:  # By a kill in the middle of a line.
        replace_text(journal, "".join(f"{line}\n" for line in lines))
    return {each["start"]: [(row, reason) for row, reason in each["failures"]] for each in entries[1:]}


def _append_line(path: Path, entry: dict[str, Any]) -> None:
    """Not synchronised: it is written after its rows are, and if it is lost they are computed again."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")
