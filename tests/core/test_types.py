"""Options reject unknown keys and list the known ones."""

from typing import Annotated

import pytest
from pydantic import Field

from chest_xray.core.types import InputError, Options


class Dose(Options):
    """An example."""

    tube_voltage: Annotated[int, Field(ge=40, le=150)]
    grid: bool = False


def test_options_are_built_from_plain_values() -> None:
    assert Dose.model_validate({"tube_voltage": 70}) == Dose(tube_voltage=70, grid=False)


def test_every_error_states_the_received_value_and_the_known_keys() -> None:
    with pytest.raises(InputError) as caught:
        Dose.model_validate({"tube_voltage": 700, "gird": True})
    assert str(caught.value) == (
        "tube_voltage: received 700, but Input should be less than or equal to 150; "
        "gird: received True, but Extra inputs are not permitted (known keys: tube_voltage, grid)"
    )


def test_a_missing_key_is_named() -> None:
    with pytest.raises(InputError, match=r"tube_voltage: received \{\}, but Field required"):
        Dose.model_validate({})


def test_options_are_immutable() -> None:
    with pytest.raises(ValueError, match="Instance is frozen"):
        Dose(tube_voltage=70).grid = True  # type: ignore[misc]
