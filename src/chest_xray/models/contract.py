"""What a packaged network takes and how its output is to be read, checked before anything is decided by it."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from chest_xray.core.options import InputError, UnitInterval

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
# Names inside a .keras file, which is a ZIP archive; Keras leaves them alone.
CONTRACT = "contract.json"
OOD_DETECTOR = "ood_detector.npz"  # NumPy's own format, without pickle


class _Part(BaseModel):
    """Numbers that are finite; keys that only describe are left alone."""

    model_config = ConfigDict(allow_inf_nan=False, strict=True, extra="allow")


class _Preparation(_Part):
    width: Annotated[int, Field(ge=1)]
    height: Annotated[int, Field(ge=1)]
    geometry: Literal["stretch", "crop", "pad"]


class _Input(_Part):
    preparation: _Preparation


class _Calibration(_Part):
    temperature: Positive
    bias: float
    expected_prevalence: UnitInterval


class _Point(_Part):
    threshold: Share
    sensitivity: Share
    specificity: Share


class _OperatingPoint(_Part):
    rule: str
    threshold: Share
    points: dict[str, _Point]
    calibration: _Calibration


class _Limits(_Part):
    max_megapixels: Positive
    min_side: Positive
    max_aspect: Positive
    max_chroma: Annotated[float, Field(ge=0)]
    min_contrast: Annotated[float, Field(ge=0)]
    max_distance: Positive


class _InputChecks(_Part):
    limits: _Limits


class _Contract(_Part):
    input: _Input
    labels: Annotated[list[str], Field(min_length=2, max_length=2)]
    operating_point: _OperatingPoint
    input_checks: _InputChecks


def require_sound_contract(contract: Any, name: str) -> None:
    """Refuse a contract by which a wrong answer could be given in silence.

    Args:
        contract: As `contract.json` of a packaged network has it.
        name: Of the network's file, for the message.

    Raises:
        InputError: A number that decides is missing, not finite or out of range; each is named with what was received
            and what was expected.
    """
    try:
        checked = _Contract.model_validate(contract)
    except ValidationError as error:
        found = "; ".join(
            f"{'.'.join(map(str, each['loc'])) or 'contract'}: received {each['input']!r}, but {each['msg']}"
            for each in error.errors(include_url=False)
        )
        raise InputError(
            f"the contract inside {name} is not sound ({found}). Package the network again: "
            "`kedro run --pipelines=export`."
        ) from error
    if checked.operating_point.rule not in checked.operating_point.points:
        raise InputError(
            f"the contract inside {name} decides at the point {checked.operating_point.rule!r}, but has only "
            f"{', '.join(checked.operating_point.points)}. Package the network again: `kedro run --pipelines=export`."
        )
