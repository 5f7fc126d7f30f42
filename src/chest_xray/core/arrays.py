"""Arrays computed row by row in threads, with a fingerprint of all that decides their values."""

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import chain

from chest_xray.core.types import Array, InputError

logger = logging.getLogger(__name__)
NUM_THREADS = 2 * (os.cpu_count() or 1)  # Reading waits for the disk half of the time.
TASK = 8  # rows; a task for each would cost a fortieth of decoding it


@dataclass(frozen=True)
class StoredArray:
    """An array with its fingerprint."""

    values: Array  # uint8, rows first
    fingerprint: str  # hexadecimal digest; same fingerprint, same array
    failures: list[tuple[int, str]] = field(default_factory=list)  # rows left out of `values`: their number, and why


StoredArrays = Mapping[str, StoredArray]  # by the name of the dataset


def compute_rows(
    title: str,
    fingerprint: str,
    shape: tuple[int, ...],
    compute: Callable[[int], Array],
    stored: StoredArray | None = None,
) -> StoredArray:
    """Return the stored array if it has the fingerprint, else compute one.

    Args:
        title: Shown beside the progress bar.
        fingerprint: Digest of all that decides the values.
        shape: Shape of the array, rows first.
        compute: Returns the uint8 values of one row, in several threads; InputError leaves the row out.
        stored: The result of an earlier run.

    Raises:
        InputError: No row could be computed.
    """
    import numpy as np
    from tqdm.contrib.concurrent import thread_map

    if stored is not None and stored.fingerprint == fingerprint:
        logger.info("%s: nothing has changed, %s rows are stored already.", title, f"{shape[0]:,}")
        return stored
    values = np.empty(shape, np.uint8)

    def fill(start: int) -> list[tuple[int, str]]:
        failed = []
        for row in range(start, min(start + TASK, shape[0])):
            try:
                values[row] = compute(row)
            except InputError as error:
                failed.append((row, str(error)))
        return failed

    starts, show = range(0, shape[0], TASK), {"unit": "row", "unit_scale": TASK, "disable": None}
    failures = list(chain(*thread_map(fill, starts, max_workers=NUM_THREADS, desc=title, **show)))
    if failures:
        if len(failures) == shape[0]:
            raise InputError(
                f"{title}: none of {shape[0]} images could be read; expected at least one. The first: {failures[0][1]}"
            )
        values = np.delete(values, [row for row, _ in failures], axis=0)
    return StoredArray(values, fingerprint, failures)
