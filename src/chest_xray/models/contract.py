"""The contract of a packaged network: what it takes and how its output is to be read."""

from typing import Annotated

from pydantic import Field, ValidationError

from chest_xray.core.options import InputError, Result
from chest_xray.images.preprocessing import Preparation
from chest_xray.images.validation import InputChecks
from chest_xray.metrics.operating_point import OperatingPoint

# Names inside a .keras file, which is a ZIP archive; Keras leaves them alone.
CONTRACT = "contract.json"
OOD_DETECTOR = "ood_detector.npz"  # NumPy's own format, without pickle


class ModelInput(Result):
    """What the network takes; None in the shape stands for any number of images."""

    shape: list[int | None]
    dtype: str
    value_range: tuple[float, float]
    channel: str
    preparation: Preparation


class ModelOutput(Result):
    """What the network gives."""

    shape: list[int | None]
    dtype: str
    meaning: str


class Limits(InputChecks):
    """The limits an image must keep to get an answer; `max_distance` is of the OOD score."""

    max_distance: Annotated[float, Field(gt=0, allow_inf_nan=False)]


class FittedInputChecks(Result):
    """The limits, and the share of train and of validation that `max_distance` refuses."""

    limits: Limits
    refused: dict[str, float]


class TrainingData(Result):
    """What the network was trained on."""

    num_images: int
    sha256_of_names_and_sizes: str


class Contract(Result):
    """All that one must know to use a packaged network; `packages` gives the versions it was made with."""

    input: ModelInput
    output: ModelOutput
    labels: Annotated[list[str], Field(min_length=2, max_length=2)]
    operating_point: OperatingPoint
    input_checks: FittedInputChecks
    training_data: TrainingData
    packages: dict[str, str]
    intended_use: str


def read_contract(text: bytes | str, name: str) -> Contract:
    """Read a contract, and refuse one by which a wrong answer could be given.

    Args:
        text: What `contract.json` of a packaged network holds.
        name: Of the network's file, for the message.

    Raises:
        InputError: A number that decides is missing, not finite or out of range; each is named with what was received
            and what was expected.
    """
    try:
        contract = Contract.model_validate_json(text, strict=True)
    except ValidationError as error:
        found = "; ".join(
            f"{'.'.join(map(str, each['loc'])) or 'contract'}: received {each['input']!r}, but {each['msg']}"
            for each in error.errors(include_url=False)
        )
        raise InputError(
            f"the contract inside {name} is not sound ({found}). Package the network again: "
            "`kedro run --pipelines=export`."
        ) from error
    point = contract.operating_point
    if point.rule not in point.points or point.threshold != point.points[point.rule].threshold:
        raise InputError(
            f"the contract inside {name} decides by {point.rule!r} at the threshold {point.threshold}, but its points "
            f"are {point.model_dump()['points']}. Package the network again: `kedro run --pipelines=export`."
        )
    return contract
