"""All nodes of export, prediction and external: package a network, and use it on new and on labelled images."""

import hashlib
import logging
from collections.abc import Iterator
from functools import partial
from importlib.metadata import version
from typing import Annotated, Any

from pydantic import Field

from chest_xray.core.files import ListedFile, Shard, ShardOrder
from chest_xray.core.types import Array, DataFrame, Figure, InputError, Model, Options
from chest_xray.images.decoding import DECODERS
from chest_xray.images.kermany import CLASSES
from chest_xray.images.preprocessing import Preparation, measure_appearance
from chest_xray.images.validation import InputChecks
from chest_xray.metrics.operating_point import OperatingPoint
from chest_xray.metrics.results import Metrics
from chest_xray.metrics.shift import Reference, ShiftRule, add_size, describe_reference
from chest_xray.metrics.summary import Evaluation, require_both_classes
from chest_xray.models.batch import (
    BatchSummary,
    ExternalEvaluation,
    evaluate_external_set,
    score_locally,
    score_on_cluster,
    score_shard,
    summarise_batch,
)
from chest_xray.models.contract import Contract, FittedInputChecks, ModelInput, ModelOutput, PackagedModel, TrainingData
from chest_xray.models.inference import AS_PACKAGED, Prediction, Relaxation, fingerprint_model, read_packaged_contract
from chest_xray.models.views import ViewTraining, compute_ood_score, fit_view_classifier
from chest_xray.reporting.i18n import Language, read_messages, translate
from chest_xray.reporting.new_images import describe_batch, draw_external, render_external
from chest_xray.reporting.report_contents import Report
from chest_xray.reporting.style import draw_in_languages

logger = logging.getLogger(__name__)

CONTRACT_PACKAGES = ("chest-xray", "keras", "numpy", "pillow")
# Their versions affect the last bit of a probability.
SCORING_PACKAGES = (*DECODERS, "pydicom", "python-gdcm", "keras")


class Scoring(Options):
    """Number of files in a shard, the largest file, and where shards are scored."""

    shard: Annotated[int, Field(ge=1)]
    max_megabytes: Annotated[float, Field(gt=0)]
    engine: Annotated[str, Field(pattern=r"^(local|[a-z]+://.+)$")]
    input_checks: Relaxation = AS_PACKAGED


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
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
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
        packages={name: version(name) for name in CONTRACT_PACKAGES},
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


def predict_images(
    new_images: list[ListedFile], packaged_keras: bytes, prediction: Scoring, finished_shards: frozenset[str]
) -> Iterator[Shard | ShardOrder]:
    """Score the shards that are not stored yet.

    Yields:
        Shards with the columns `path`, `model` (see `fingerprint_model`) and those of
        `chest_xray.models.inference.Prediction`; in the end the order of all shards.
    """
    from tqdm import tqdm

    starts = range(0, len(new_images), prediction.shard)
    shards = [new_images[start : start + prediction.shard] for start in starts]
    fingerprint = fingerprint_model(packaged_keras)
    keys = [_digest(shard, fingerprint, prediction) for shard in shards]
    missing = {key: shard for key, shard in zip(keys, shards, strict=True) if key not in finished_shards}
    if not missing:
        logger.info("Predicting: nothing has changed, %s rows are stored already.", f"{len(new_images):,}")
    if prediction.engine == "local":
        scored = score_locally(missing, packaged_keras, prediction.max_megabytes, prediction.input_checks)
    else:
        scored = score_on_cluster(
            missing, packaged_keras, prediction.max_megabytes, prediction.input_checks, prediction.engine
        )
    with tqdm(total=len(new_images), desc="Predicting", unit="file", disable=None) as bar:
        bar.update(len(new_images) - sum(map(len, missing.values())))
        for key, rows in scored:
            yield Shard(key, rows)
            bar.update(len(rows))
    yield ShardOrder(keys)


def summarise_predictions(predictions: DataFrame, packaged_keras: bytes, language: Language) -> BatchSummary:
    """Summarise all files of the batch, and log the summary line by line."""
    contract, fingerprint = read_packaged_contract(packaged_keras), fingerprint_model(packaged_keras)
    summary = summarise_batch(predictions, contract, fingerprint)
    messages = read_messages(language.root)
    for finding in describe_batch(summary):
        logger.info(translate(finding, messages))
    return summary


class External(Options):
    """The name of the external set on figures and pages, and the largest file that is opened."""

    title: Annotated[str, Field(min_length=1)]
    max_megabytes: Annotated[float, Field(gt=0)]


def predict_external(labelled_images: DataFrame, packaged_keras: bytes, external: External) -> DataFrame:
    """Return the labelled files with their predictions; see `chest_xray.models.batch.score_shard`."""
    files = [ListedFile(*row) for row in labelled_images[list(ListedFile._fields)].itertuples(index=False)]
    table = score_shard(files, packaged_keras, external.max_megabytes).to_pandas()
    return table.assign(**{name: labelled_images[name].to_numpy() for name in ("label", "group")})


def evaluate_external(
    external_predictions: DataFrame,
    packaged_keras: bytes,
    metrics: Metrics,
    evaluation: Evaluation,
    external: External,
) -> ExternalEvaluation:
    """Evaluate the frozen network and threshold beside the stored metrics of the internal test."""
    packaged = read_packaged_contract(packaged_keras), fingerprint_model(packaged_keras)
    return evaluate_external_set(external_predictions, external.title, packaged, metrics, evaluation)


def draw_external_figure(external_predictions: DataFrame, external_evaluation: ExternalEvaluation) -> dict[str, Figure]:
    """Draw the probabilities by class, and the ROC curve, in each language."""
    return draw_in_languages(
        partial(draw_external, external_predictions, external_evaluation), external_evaluation.title
    )


def write_external_page(
    external_evaluation: ExternalEvaluation,
    external_figure: dict[str, bytes],
    external_run_record: dict[str, Any],
    report: Report,
    language: Language,
) -> str:
    """Write the page: HTML in one piece, which loads nothing from elsewhere."""
    return render_external(external_evaluation, external_figure, external_run_record, report, language.root)


def _digest(shard: list[ListedFile], fingerprint: str, prediction: Scoring) -> str:
    """Digest what makes the rows: files by name, size and time, checks, columns, the network, and the libraries."""
    settings = (prediction.max_megabytes, prediction.input_checks, Prediction._fields)
    digest = hashlib.sha256(f"{fingerprint} {settings!r}".encode())
    digest.update(" ".join(version(name) for name in SCORING_PACKAGES).encode())
    for file in shard:
        digest.update("\0".join(map(str, file)).encode("utf-8", "surrogateescape") + b"\n")
    return digest.hexdigest()[:32]
