"""Parameters and results as types: checked when they are built, and never changed after."""

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

UnitInterval = Annotated[float, Field(gt=0, lt=1)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]


class InputError(ValueError):
    """A mistake in data, parameters or order of commands that the user can mend; shown without a traceback."""


class Result(BaseModel):
    """What a node found, with checked fields; `ResultDataset` writes it to JSON and reads it back."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Options(BaseModel):
    """A group of parameters that refuses misspelt keys and values out of range."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def model_validate(cls, obj: Any, **settings: Any) -> Self:
        """Build the options from plain values, as Kedro does for a `params:` input.

        Args:
            obj: Keys and values as they stand in `conf/*/parameters*.yml`, with `--params` merged in.
            **settings: Passed on to pydantic.

        Raises:
            InputError: A key is unknown or missing, or a value is of the wrong type or out of range; each is named
                with what was received and what was expected.
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
