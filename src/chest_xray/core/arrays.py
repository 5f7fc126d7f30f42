"""Arrays computed row by row in threads, and told apart by what decides their values."""

import logging
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from chest_xray.core.options import InputError
from chest_xray.core.types import Array

logger = logging.getLogger(__name__)

NUM_THREADS = 2 * (os.cpu_count() or 1)  # Reading waits for the disk half of the time.
TASK = 8  # rows; a task for each would cost a fortieth of decoding it


@dataclass(frozen=True)
class StoredArray:
    """An array with the fingerprint of all that decides its values.

    Args:
        values: uint8, rows first.
        fingerprint: Hexadecimal digest; same fingerprint, same array.
        failures: Rows that could not be computed and are left out of `values`: number before, and why.
    """

    values: Array
    fingerprint: str
    failures: list[tuple[int, str]] = field(default_factory=list)


StoredArrays = Mapping[str, StoredArray]  # by the name of the dataset


def compute_rows(
    title: str,
    fingerprint: str,
    shape: tuple[int, ...],
    compute: Callable[[int], Array],
    stored: StoredArray | None = None,
) -> StoredArray:
    """Compute an array row by row, unless it is stored already.

    Args:
        title: Shown beside the progress bar.
        fingerprint: Of all that decides the values.
        shape: Of the whole array, rows first.
        compute: Returns the uint8 values of one row; called from several threads at once. InputError leaves a row out.
        stored: What an earlier run left.

    Returns:
        The stored array where its fingerprint is this one, else a new one, without the rows that failed.

    Raises:
        InputError: No row at all could be computed.
    """
    import numpy as np
    from tqdm import tqdm

    if stored is not None and stored.fingerprint == fingerprint:
        logger.info("%s: nothing has changed, %s rows are stored already.", title, f"{shape[0]:,}")
        return stored
    values, failures = np.empty(shape, np.uint8), []

    def fill(start: int) -> list[tuple[int, str]]:
        failed = []
        for row in range(start, min(start + TASK, shape[0])):
            try:
                values[row] = compute(row)
            except InputError as error:
                failed.append((row, str(error)))
        return failed

    with ThreadPoolExecutor(NUM_THREADS) as pool, tqdm(total=shape[0], desc=title, unit="row", disable=None) as bar:
        for start, failed in zip(range(0, shape[0], TASK), pool.map(fill, range(0, shape[0], TASK)), strict=True):
            failures += failed
            bar.update(min(TASK, shape[0] - start))
    if failures:
        if len(failures) == shape[0]:
            raise InputError(f"{title}: none of {shape[0]} rows could be computed; the first: {failures[0][1]}")
        values = np.delete(values, [row for row, _ in failures], axis=0)
    return StoredArray(values, fingerprint, failures)
