"""Find pictures that occur twice: the same pixels, or so alike that one was made from the other."""

from typing import Annotated

from pydantic import Field

from chest_xray.core.options import Options
from chest_xray.core.types import Array

DIGEST_BYTES = 16  # BLAKE2b; two different pictures among a million agree with a chance of 1e-27.


class Duplicates(Options):
    """How pictures are compared."""

    hash_size: Annotated[int, Field(ge=8, le=32, multiple_of=8)]
    max_distance: Annotated[int, Field(ge=0, le=255)]


def find_close_pairs(codes: Array, max_distance: int) -> Array:
    """Return all pairs of rows that differ in at most `max_distance` bits, of shape (pairs, 2).

    Two codes that differ in at most d bits agree wholly in at least one of d + 1 parts (the pigeonhole principle), so
    only rows that agree in a part are compared.
    """
    import numpy as np

    parts = np.array_split(np.unpackbits(codes, axis=1), max_distance + 1, axis=1)
    found = [np.empty((0, 2), np.int64)]
    for part in parts:
        order = np.lexsort(part.T)
        sorted_part = part[order]
        for step in range(1, len(order)):
            agree = (sorted_part[step:] == sorted_part[:-step]).all(axis=1)
            if not agree.any():
                break
            pairs = np.stack([order[:-step][agree], order[step:][agree]], axis=1)
            distance = np.bitwise_count(codes[pairs[:, 0]] ^ codes[pairs[:, 1]]).sum(axis=1)
            found.append(np.sort(pairs[distance <= max_distance], axis=1))
    return np.unique(np.concatenate(found), axis=0)
