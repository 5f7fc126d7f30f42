"""Tests whether errors depend on each other along the file numbers, so that images are not independent."""

import math
from collections.abc import Sequence

from chest_xray.core.types import Array, DataFrame
from chest_xray.metrics.bootstrap import MIN_BLOCKS, sort_by_file_number
from chest_xray.metrics.results import RunsTest


def find_runs(predictions: DataFrame, decision: Array) -> list[RunsTest]:
    """Test whether errors come in runs along the file numbers of each series (Wald and Wolfowitz 1940).

    Only the first image of each patient counts, as further ones would make runs of their own.

    Args:
        predictions: `path`, `label` and `group` of each image.
        decision: True where an image is classified as PNEUMONIA, shape (images,).

    Returns:
        One test for each class and series of at least `2 * MIN_BLOCKS` patients, with p-values corrected by
        `correct_by_holm`.
    """
    table = sort_by_file_number(predictions).drop_duplicates(["label", "series", "group"])
    table = table.assign(is_error=(decision != predictions["label"].to_numpy())[table["row"]])
    found = [
        (str(series), count_runs(errors.to_numpy()))
        for (_, series), errors in table.groupby(["label", "series"])["is_error"]
        if len(errors) >= 2 * MIN_BLOCKS
    ]
    corrected = correct_by_holm([each["p"] for _, each in found])
    return [RunsTest(series=name, **each, p_holm=p) for (name, each), p in zip(found, corrected, strict=True)]


def count_runs(errors: Array) -> dict[str, float]:
    """Return the runs of equal values in a sequence, those expected of a random order, and the exact p-value.

    Args:
        errors: bool, shape (images,), in order.

    Returns:
        `num`, `num_errors`, `num_runs`, `expected`; and `p`, two-sided: twice the smaller tail over all orders of these
        values, at most 1.
    """
    num, num_errors = len(errors), int(errors.sum())
    runs = 1 + int((errors[1:] != errors[:-1]).sum())
    orders = [_count_orders(each, num_errors, num - num_errors) for each in range(num + 1)]
    total = math.comb(num, num_errors)
    tail = min(sum(orders[: runs + 1]), sum(orders[runs:])) / total
    expected = 1 + 2 * num_errors * (num - num_errors) / num
    return {"num": num, "num_errors": num_errors, "num_runs": runs, "expected": expected, "p": min(2 * tail, 1.0)}


def _count_orders(runs: int, first: int, second: int) -> int:
    """Count the orders of two kinds of values that have so many runs (Mood 1940)."""
    if min(first, second) == 0:
        return int(runs == 1)
    half, odd = divmod(runs, 2)

    def split(num: int, parts: int) -> int:  # ways to cut `num` values into non-empty parts
        return math.comb(num - 1, parts - 1) if parts else 0

    if odd:
        return split(first, half + 1) * split(second, half) + split(first, half) * split(second, half + 1)
    return 2 * split(first, half) * split(second, half)


def correct_by_holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values corrected for their number (Holm 1979): the chance of one or more false findings is kept.

    Args:
        p_values: In [0, 1].

    Returns:
        In the same order, each at least its p-value and at most 1.
    """
    corrected, largest = [1.0] * len(p_values), 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[index]))
        corrected[index] = largest
    return corrected
