"""Rows are computed in order by threads, and not at all if they are already stored."""

import numpy as np
import pytest

from chest_xray.core.files import StoredArray, compute_rows
from chest_xray.core.types import Array, InputError

SHAPE = (50, 4, 3)


def row_of_its_number(row: int) -> Array:
    return np.full(SHAPE[1:], row, np.uint8)


def even_rows_fail(row: int) -> Array:
    if row % 2 == 0:
        raise InputError(f"row {row} is damaged")
    return row_of_its_number(row)


def test_rows_are_in_order() -> None:
    array = compute_rows("Testing", "a1", SHAPE, row_of_its_number)
    assert array.values[:, 2, 1].tolist() == list(range(50))
    assert array.values.dtype == np.uint8
    assert (array.fingerprint, array.failures) == ("a1", [])


def test_an_unchanged_fingerprint_computes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    stored = StoredArray(np.zeros(SHAPE, np.uint8), "a1")

    def refuse(row: int) -> Array:
        raise AssertionError(f"row {row} was computed again")

    assert compute_rows("Testing", "a1", SHAPE, refuse, stored) is stored
    assert "Testing: nothing has changed, 50 rows are stored already" in caplog.text


def test_a_changed_fingerprint_computes_everything() -> None:
    stored = StoredArray(np.zeros(SHAPE, np.uint8), "a1")
    assert compute_rows("Testing", "b2", SHAPE, row_of_its_number, stored).values[7, 0, 0] == 7


def test_rows_that_fail_are_left_out_and_listed() -> None:
    array = compute_rows("Testing", "a1", SHAPE, even_rows_fail)
    assert array.values[:, 0, 0].tolist() == list(range(1, 50, 2))
    assert [row for row, _ in array.failures] == list(range(0, 50, 2))
    assert array.failures[1] == (2, "row 2 is damaged")


def test_if_every_row_fails_the_first_reason_is_reported() -> None:
    def fail(row: int) -> Array:
        raise InputError(f"row {row} is damaged")

    with pytest.raises(InputError, match=r"none of 50 images could be read; .* The first: row 0 is damaged"):
        compute_rows("Testing", "a1", SHAPE, fail)


def test_an_error_not_caused_by_the_input_stops_the_run() -> None:
    def fail(row: int) -> Array:
        raise ZeroDivisionError(row)

    with pytest.raises(ZeroDivisionError):
        compute_rows("Testing", "a1", SHAPE, fail)
