"""A delivery of new images as a whole: how many are answered, why others are refused, and whether it looks familiar."""

from chest_xray.core.options import Result
from chest_xray.core.types import DataFrame
from chest_xray.metrics.shift import Shift, add_size, compare_with_reference
from chest_xray.models.contract import Contract


class DeliverySummary(Result):
    """What became of all files.

    `num_referred` of the answered images are left to a human; None if the network has no referral band. `refused`
    counts files by reason. `shift` compares the images that could be read with the validation images; None if there is
    none, or if the network was packaged without a reference.
    """

    model: str
    intended_use: str
    expected_prevalence: float
    num_files: int
    num_answered: int
    num_positive: int
    num_referred: int | None
    refused: dict[str, int]
    shift: Shift | None


def summarise_delivery(predictions: DataFrame, contract: Contract, fingerprint: str) -> DeliverySummary:
    """Summarise the predictions of a delivery.

    Args:
        predictions: One row per file, with the columns of `chest_xray.models.inference.Prediction`.
        contract: Of the network that made them.
        fingerprint: Of the same.
    """
    is_read = predictions["sharpness"].notna()
    reference = contract.reference
    measured = add_size(predictions[is_read])
    return DeliverySummary(
        model=fingerprint,
        intended_use=contract.intended_use,
        expected_prevalence=contract.operating_point.calibration.expected_prevalence,
        num_files=len(predictions),
        num_answered=int(predictions["decision"].notna().sum()),
        num_positive=int((predictions["decision"] == contract.labels[1]).sum()),
        num_referred=int(predictions["refer"].eq(True).sum()) if contract.operating_point.band else None,
        refused={str(reason): int(num) for reason, num in predictions["reason"].dropna().value_counts().items()},
        shift=compare_with_reference(measured, reference) if reference and len(measured) else None,
    )
