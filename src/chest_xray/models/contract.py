"""The contract of a packaged network: its input, its output, and the limits of its use."""

import reprlib
from typing import Annotated, NamedTuple

from pydantic import Field, ValidationError

from chest_xray.core.types import Array, InputError, Model, Result
from chest_xray.images.preprocessing import Preparation
from chest_xray.images.validation import InputChecks
from chest_xray.metrics.operating_point import OperatingPoint
from chest_xray.metrics.shift import Reference

# Names of files inside a .keras file, a ZIP archive in which Keras ignores them, and in a folder of `kedro ship`.
CONTRACT = "contract.json"
OOD_DETECTOR = "ood_detector.npz"  # NumPy's own format, without pickle
NETWORK = "network.onnx"  # in the folder alone: from images in [0, 1] to logits


class ModelInput(Result):
    """Input of the network; None in the shape is the number of images."""

    shape: list[int | None]
    dtype: str
    value_range: tuple[float, float]
    channel: str
    preparation: Preparation


class ModelOutput(Result):
    """Output of the network."""

    shape: list[int | None]
    dtype: str
    meaning: str


class FittedInputChecks(Result):
    """Limits, and the share of train and of validation that `max_ood_score` refuses."""

    limits: InputChecks
    refused: dict[str, float]


class TrainingData(Result):
    """Size and digest of the train subset."""

    num_images: int
    sha256_of_names_and_sizes: str


class Contract(Result):
    """All that a program needs to use a packaged network; `packages` are the versions it was made with.

    Networks that were packaged before there was a `reference` have none.
    """

    input: ModelInput
    output: ModelOutput
    labels: Annotated[list[str], Field(min_length=2, max_length=2)]
    operating_point: OperatingPoint
    input_checks: FittedInputChecks
    training_data: TrainingData
    packages: dict[str, str]
    intended_use: str
    reference: Reference | None = None


def read_contract(text: bytes | str, name: str) -> Contract:
    """Return the contract in the text of `contract.json`; `name` is the network's file, for messages.

    Raises:
        InputError: A value is missing, not finite or out of range, or the rule that decides has no point.
    """
    try:
        return Contract.model_validate_json(text, strict=True)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, problem['loc'])) or 'contract'}: received {reprlib.repr(problem['input'])}, but "
            f"{problem['msg']}"
            for problem in error.errors(include_url=False)
        )
        raise InputError(
            f"the contract inside {name} is invalid ({problems}). Package the network again: "
            "`kedro run --pipelines=export`."
        ) from error


class PackagedModel(NamedTuple):
    """A network, its contract (plain data), and the arrays of its OOD detector."""

    model: Model
    contract: Contract
    ood_detector: dict[str, Array]
