"""Parameters and results as types: validated when they are built, and frozen.

Their validators are compiled at first use (`defer_build`), which spares commands that use none 0.1 s.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

UnitInterval = Annotated[float, Field(gt=0, lt=1)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]


class InputError(ValueError):
    """A mistake in data, parameters or order of commands that the user can correct; shown without a traceback."""


def flatten(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each value of nested settings, and each empty group, with a name such as "training.epochs"."""
    for name, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


class Result(BaseModel):
    """What a node found, with checked fields; `ResultDataset` writes it to JSON and reads it back."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True, allow_inf_nan=False)


class Options(BaseModel):
    """A group of parameters; unknown keys and values out of range are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    @classmethod
    def model_validate(cls, obj: Any, **settings: Any) -> Self:
        """Validate plain values, as Kedro does for a `params:` input.

        Raises:
            InputError: A key is unknown or missing, or a value is of the wrong type or out of range; all are listed.
        """
        try:
            return super().model_validate(obj, **settings)
        except ValidationError as error:
            known = ", ".join(cls.model_fields)
            lines = [
                f"{'.'.join(map(str, each['loc']))}: received {each['input']!r}, but {each['msg']}"
                for each in error.errors(include_url=False)
            ]
            raise InputError("; ".join(lines) + f" (known keys: {known})") from error
