"""All nodes of export: package a trained network with its contract, for other runtimes too."""

from hashlib import sha256
from importlib.metadata import version

from chest_xray.core.options import InputError
from chest_xray.core.types import Array, DataFrame, Model
from chest_xray.datasets.single_file import PackagedModel
from chest_xray.images.kermany import CLASSES
from chest_xray.images.preprocessing import Preparation, measure_sharpness
from chest_xray.images.validation import InputChecks
from chest_xray.metrics.operating_point import OperatingPoint
from chest_xray.metrics.shift import Reference, ShiftRule, add_size, describe_reference
from chest_xray.metrics.summary import require_both_classes
from chest_xray.models.contract import Contract, FittedInputChecks, Limits, ModelInput, ModelOutput, TrainingData
from chest_xray.models.outliers import compute_ood_score, fit_ood_detector

PACKAGES = ("chest-xray", "keras", "numpy", "pillow")


def fit_input_checks(
    prepared_images: Array, image_split: DataFrame, input_checks: InputChecks
) -> tuple[FittedInputChecks, dict[str, Array]]:
    """Fit the OOD detector to train, and its limit to validation, of which `refused_share` is refused.

    Args:
        prepared_images: uint8 of shape (images, height, width), one for each row of `image_split`.
        image_split: One row per image.
        input_checks: Limits, and the size of the detector.

    Returns:
        The limits, and the arrays of `fit_ood_detector`.

    Raises:
        InputError: There are no validation images.
    """
    import numpy as np

    rows = {name: np.flatnonzero(image_split["subset"] == name) for name in ("train", "validation")}
    if not len(rows["validation"]):
        subsets = image_split["subset"].value_counts().to_dict()
        raise InputError(
            f"received images of the subsets {subsets}; expected validation images, which set the limit of the OOD "
            "score. Raise hold_out.share, or name some in the split table, and run data_processing and modeling again."
        )
    ood_detector = fit_ood_detector(prepared_images[rows["train"]], input_checks)
    ood_scores = {name: compute_ood_score(prepared_images[each], ood_detector) for name, each in rows.items()}
    limit = float(np.quantile(ood_scores["validation"], 1 - input_checks.refused_share))
    return FittedInputChecks(
        limits=Limits(**input_checks.model_dump(), max_ood_score=limit),
        refused={name: float((each > limit).mean()) for name, each in ood_scores.items()},
    ), ood_detector


def measure_reference(
    validation_predictions: DataFrame,
    prepared_images: Array,
    image_split: DataFrame,
    ood_detector: dict[str, Array],
    shift_rule: ShiftRule,
) -> Reference:
    """Summarise the validation images, so that later batches can be compared with them.

    Raises:
        InputError: One class has no validation image.
    """
    rows = (image_split["subset"] == "validation").to_numpy()
    pixels = prepared_images[rows]
    require_both_classes(validation_predictions, "validation")
    values = add_size(image_split[rows]).assign(
        probability=validation_predictions["calibrated"].to_numpy(),
        ood_score=compute_ood_score(pixels, ood_detector),
        sharpness=measure_sharpness(pixels),
    )
    return describe_reference(values, shift_rule)


def write_contract(
    image_split: DataFrame,
    preparation: Preparation,
    operating_point: OperatingPoint,
    input_checks: FittedInputChecks,
    reference: Reference,
) -> Contract:
    """Return the contract of the network."""
    train = image_split[image_split["subset"] == "train"]
    names = train["path"].str.rsplit("/", n=2).str[1:].str.join("/")
    lines = sorted(f"{name} {size}" for name, size in zip(names, train["bytes"], strict=True))
    digest = sha256("\n".join(lines).encode()).hexdigest()
    return Contract(
        input=ModelInput(
            shape=[None, preparation.height, preparation.width, 1],
            dtype="float32",
            value_range=(0.0, 1.0),
            channel="grey, 0 is black",
            preparation=preparation,
        ),
        output=ModelOutput(shape=[None, 1], dtype="float32", meaning="sigmoid score of PNEUMONIA, not calibrated"),
        labels=list(CLASSES),
        operating_point=operating_point,
        input_checks=input_checks,
        training_data=TrainingData(num_images=len(train), sha256_of_names_and_sizes=digest),
        packages={name: version(name) for name in PACKAGES},
        intended_use="Teaching and research on frontal chest radiographs of children of one to five years, with the "
        "prevalence stated. Not a medical device.",
        reference=reference,
    )


def export_model(
    model: Model, contract: Contract, ood_detector: dict[str, Array]
) -> tuple[PackagedModel, PackagedModel, PackagedModel]:
    """Return the network with its contract for each of the three files: Keras, ONNX and LiteRT."""
    packaged = PackagedModel(model, contract, ood_detector)
    return packaged, packaged, packaged
