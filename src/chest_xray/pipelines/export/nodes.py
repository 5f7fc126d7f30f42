"""All nodes of export: package a trained network with its contract, for other runtimes too."""

from hashlib import sha256
from importlib.metadata import version

from chest_xray.core.types import Array, DataFrame, InputError, Model
from chest_xray.images.kermany import CLASSES
from chest_xray.images.preprocessing import Preparation, measure_appearance
from chest_xray.images.validation import InputChecks
from chest_xray.metrics.operating_point import OperatingPoint
from chest_xray.metrics.shift import Reference, ShiftRule, add_size, describe_reference
from chest_xray.metrics.summary import require_both_classes
from chest_xray.models.contract import Contract, FittedInputChecks, ModelInput, ModelOutput, PackagedModel, TrainingData
from chest_xray.models.views import ViewTraining, compute_ood_score, fit_view_classifier

PACKAGES = ("chest-xray", "keras", "numpy", "pillow")


def fit_ood_detector(prepared_images: Array, image_split: DataFrame, view_training: ViewTraining) -> dict[str, Array]:
    """Train the classifier of views on the train images; see `fit_view_classifier`."""
    return fit_view_classifier(prepared_images[(image_split["subset"] == "train").to_numpy()], view_training)


def measure_input_checks(
    prepared_images: Array, image_split: DataFrame, ood_detector: dict[str, Array], input_checks: InputChecks
) -> FittedInputChecks:
    """Return the limits, and the shares of train and of validation that `max_ood_score` refuses.

    Raises:
        InputError: There are no validation images.
    """
    rows = {name: (image_split["subset"] == name).to_numpy() for name in ("train", "validation")}
    if not rows["validation"].any():
        subsets = image_split["subset"].value_counts().to_dict()
        raise InputError(
            f"received images of the subsets {subsets}; expected validation images, on which the OOD score is "
            "measured. Raise hold_out.share, or name some in the split table, and run data_processing and modeling "
            "again."
        )
    scores = {name: compute_ood_score(prepared_images[subset], ood_detector) for name, subset in rows.items()}
    refused = {name: float((score > input_checks.max_ood_score).mean()) for name, score in scores.items()}
    return FittedInputChecks(limits=input_checks, refused=refused)


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
        probability=validation_predictions["probability"].to_numpy(),
        ood_score=compute_ood_score(pixels, ood_detector),
        **measure_appearance(pixels),
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
