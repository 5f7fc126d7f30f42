"""Types for annotations, and models of parameters and results, which are frozen and validated when they are built.

Types of heavy libraries are real to a type checker and Any at run time: Kedro resolves the annotations of every node,
and importing pandas and keras for them would take 0.4 s and 5 s a command. Validators are compiled at first use
(`defer_build`), which saves 0.1 s in commands that use none.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

if TYPE_CHECKING:
    from keras import Model as Model
    from matplotlib.figure import Figure as Figure
    from numpy import ndarray
    from numpy.random import Generator as Generator
    from pandas import DataFrame as DataFrame
    from pandas import Series as Series
    from PIL.Image import Image as Image
    from tensorflow import Tensor as Tensor
    from tensorflow.data import Dataset as Dataset

    Array = ndarray[Any, Any]
else:
    Array = DataFrame = Dataset = Figure = Generator = Image = Model = Series = Tensor = Any

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
    """A result of a node, with validated fields; `ResultDataset` writes it to JSON and reads it back."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True, allow_inf_nan=False)

    @classmethod
    def model_rebuild(cls, **settings: Any) -> bool | None:
        """Compile the validator, except of generic types: pydantic would do so on import, though none has instances."""
        if cls.__pydantic_generic_metadata__["parameters"]:
            return None
        return super().model_rebuild(**settings)


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
                f"{'.'.join(map(str, problem['loc']))}: received {problem['input']!r}, but {problem['msg']}"
                for problem in error.errors(include_url=False)
            ]
            raise InputError("; ".join(lines) + f" (known keys: {known})") from error
