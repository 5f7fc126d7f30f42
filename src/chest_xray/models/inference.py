"""Scores of prepared images, and calibrated predictions for unchecked files."""

import hashlib
import io
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from copy import copy
from pathlib import Path
from typing import Any, NamedTuple, Self

from chest_xray.core.libraries import keras, np, tf
from chest_xray.core.types import Array, DataFrame, InputError, Model, Options
from chest_xray.images.preprocessing import Preparation, PreparedImage, measure_appearance, preprocess_file
from chest_xray.images.validation import InputChecks
from chest_xray.metrics.operating_point import compute_log_odds
from chest_xray.models.contract import CONTRACT, NETWORK, OOD_DETECTOR, Contract, read_contract
from chest_xray.models.input_pipeline import image_batches, scale
from chest_xray.models.network import separate_passes, without_sigmoid
from chest_xray.models.views import classify_view, compute_view_logits, find_upright, score_views

BATCH_SIZE = 64  # images at once; more is not faster on a processor
TURNED = "turned"  # a warning
REFUSED = {  # by reason, for the detail of a refusal
    "upside_down": "it looks upside down; turn it, or have it turned (turn_upright)",
    "lying": "it looks turned by 90 degrees; turn it, or have it turned (turn_upright)",
    "cropped": "it looks like a part of a chest; use the whole radiograph",
    "inverted": "it looks inverted; expected bones bright and air dark",
    "not_frontal_chest": "it does not look like a frontal chest radiograph",
}
APPEARANCE = ("brightness", "grey_deviation", "sharpness")
MEASURED = ("ood_score", *APPEARANCE, "width", "height")  # of every image that could be prepared
MAX_DISAGREEMENT = 1e-4  # between metrics or probabilities of two libraries; Keras sums in float32


def score_images(
    model: Model, prepared_images: Array, image_split: DataFrame, subset: str, *, both_passes: bool = False
) -> DataFrame:
    """Score the images of a subset.

    Args:
        model: Maps images in [0, 1] of shape (batch, height, width, 1) to a probability.
        prepared_images: uint8 of shape (images, height, width), one for each row of `image_split`.
        image_split: One row per image.
        subset: A value of its column `subset`.
        both_passes: Whether to add the logits without and with flip test-time augmentation.

    Returns:
        The rows of the subset, in their order, with `logit` (float32) and its `sigmoid` (float64, as float32 would
        round large ones to 1); and with `both_passes` `logit_single` and `logit_flips`, one of which is
        `logit`, unless the model is a mean of several networks.
    """
    from scipy.special import expit

    rows = np.flatnonzero(image_split["subset"] == subset)
    batches = image_batches(prepared_images, rows, BATCH_SIZE)
    table = image_split.iloc[rows].reset_index(drop=True)
    if both_passes and (separated := separate_passes(model)):
        network, has_flips = separated
        single, flips = (output[:, 0] for output in network.predict(batches, verbose=0))
        table, logits = table.assign(logit_single=single, logit_flips=flips), flips if has_flips else single
    else:
        logits = without_sigmoid(model).predict(batches, verbose=0)[:, 0]
    return table.assign(logit=logits, sigmoid=expit(logits.astype(float)))


class Relaxation(Options):
    """Input checks that a user may set for a run; None keeps that of the contract."""

    turn_upright: bool | None = None
    answer_adults: bool | None = None


AS_PACKAGED = Relaxation.model_construct()  # compiles no validator on import


class Prediction(NamedTuple):
    """The prediction for one image, or the reason why it was refused."""

    probability: float | None  # of pneumonia, calibrated at the prevalence that the contract expects; None if refused
    decision: str | None  # "NORMAL" or "PNEUMONIA", at the operating point of the contract; None if refused
    reason: str | None  # for programs, such as "not_an_image"; None if not refused
    detail: str  # the same in a sentence with the values received and expected; empty if not refused
    ood_score: float | None  # of `models.views.compute_ood_score`; None if the image could not be prepared
    brightness: float | None = None  # of `preprocessing.measure_appearance`, as the next two; None as `ood_score`
    grey_deviation: float | None = None
    sharpness: float | None = None
    width: int | None = None  # of the upright original, in pixels, like the height
    height: int | None = None
    warnings: str = ""  # what an answer should not conceal: "trimmed", "turned", "adult", separated by spaces
    refer: bool | None = None  # whether a human should decide; None if refused, or if the network has no referral band

    @classmethod
    def refuse(cls, reason: str, detail: str, ood_score: float | None = None) -> Self:
        """Return a refusal."""
        return cls(None, None, reason, detail, ood_score)


Prepared = PreparedImage | Prediction  # or the refusal


class Predictor:
    """A packaged network with its contract; `read` may run in several threads.

    `compute_logits` maps uint8 images (n, height, width) to float32 logits (n,).
    """

    def __init__(
        self,
        contract: Contract,
        ood_detector: dict[str, Array],
        fingerprint: str,
        compute_logits: Callable[[Array], Array],
    ):
        self.contract, self.fingerprint = contract, fingerprint
        self._ood_detector, self._compute_logits = ood_detector, compute_logits
        self.limits: InputChecks = contract.input_checks.limits
        self.preparation: Preparation = contract.input.preparation

    @classmethod
    def load(cls, source: bytes | str | Path) -> Self:
        """Load a packaged network.

        Args:
            source: The path or the bytes of the `.keras` file that `kedro run --pipelines=export` wrote, which Keras
                runs; or the path of the folder that `kedro ship` wrote, which ONNX Runtime runs without TensorFlow.

        Raises:
            InputError: It is neither, or its contract is invalid.
        """
        is_folder = not isinstance(source, bytes) and Path(source).is_dir()
        name = "the file" if isinstance(source, bytes) else source
        try:
            files = _read_folder(Path(str(source))) if is_folder else _read_keras(source)
            ood_detector = dict(np.load(io.BytesIO(files[OOD_DETECTOR]), allow_pickle=False))
        except (zipfile.BadZipFile, KeyError, ValueError, FileNotFoundError) as error:
            raise InputError(
                f"{name} is not a packaged network ({error}); expected a .keras file with {CONTRACT} and "
                f"{OOD_DETECTOR} inside. Make one with `kedro run --pipelines=export`. Or expected a folder with these "
                f"two and {NETWORK}: make one with `kedro ship --folder FOLDER`."
            ) from error
        contract = read_contract(files[CONTRACT], str(name))
        if infinite := [key for key, values in ood_detector.items() if not np.isfinite(values).all()]:
            raise InputError(
                f"{OOD_DETECTOR} inside {name} has numbers that are not finite ({', '.join(infinite)}). Package the "
                "network again: `kedro run --pipelines=export`."
            )
        compute_logits = _load_onnx(files[NETWORK], contract) if is_folder else _load_keras(files[NETWORK])
        fingerprint = fingerprint_model(b"".join(files.values()) if is_folder else files[NETWORK])
        return cls(contract, ood_detector, fingerprint, compute_logits)

    def limit_megapixels(self, max_megapixels: float) -> None:
        """Lower the limit of the contract on the size of images that are decoded."""
        lower = min(max_megapixels, self.limits.max_megapixels)
        self.limits = self.limits.model_copy(update={"max_megapixels": lower})

    def relax(self, relaxation: Relaxation) -> Self:
        """Return the predictor with the checks that a user has chosen."""
        relaxed = copy(self)
        relaxed.limits = self.limits.model_copy(update=relaxation.model_dump(exclude_none=True))
        return relaxed

    def describe_use(self) -> dict[str, Any]:
        """Return the facts about the network that belong to every answer.

        Its fingerprint (`model`), the `threshold` on the scale of the probability, the `expected_prevalence` that both
        assume, and the `intended_use`.
        """
        point = self.contract.operating_point
        return {
            "model": self.fingerprint,
            "threshold": point.chosen.threshold,
            "expected_prevalence": point.calibration.expected_prevalence,
            "intended_use": self.contract.intended_use,
        }

    def predict(self, sources: Sequence[bytes | str]) -> list[Prediction]:
        """Return one prediction for each file, given as bytes or path, in order; the content of a file never raises."""
        return self.predict_prepared([self.read(source) for source in sources])

    def predict_prepared(self, prepared: Sequence[Prepared]) -> list[Prediction]:
        """Replace the images among the results of `read` by their predictions."""
        images = [item for item in prepared if not isinstance(item, Prediction)]
        scored = iter(self.score(np.stack([image.pixels for image in images])) if images else [])
        return [item if isinstance(item, Prediction) else _add_image_facts(next(scored), item) for item in prepared]

    def read(self, source: bytes | str) -> Prepared:
        """Prepare a JPEG, PNG or DICOM file (bytes, path or fsspec address) as for training, or refuse it."""
        result = preprocess_file(source, self.preparation, self.limits)
        return result if isinstance(result, PreparedImage) else Prediction.refuse(*result)

    def score(self, pixels: Array) -> list[Prediction]:
        """Return one prediction for each image in `pixels`, uint8 of shape (n, height, width)."""
        from scipy.special import expit

        pixels, turns = self._turn_upright(pixels)
        logits, point = self.compute_logits(pixels), self.contract.operating_point
        log_odds = compute_log_odds(logits, point.calibration)
        is_positive = log_odds >= point.chosen.log_odds
        refer = point.find_referred(log_odds) if point.band else np.full(len(log_odds), None)
        views = compute_view_logits(pixels, self._ood_detector)
        columns = (expit(log_odds), is_positive, refer, turns)
        rows = zip(*(column.tolist() for column in columns), views, strict=True)
        appearance = {name: values.tolist() for name, values in measure_appearance(pixels).items()}
        return [
            self._decide(*row)._replace(**{name: values[index] for name, values in appearance.items()})
            for index, row in enumerate(rows)
        ]

    def _turn_upright(self, pixels: Array) -> tuple[Array, Array]:
        """Turn images upright if `turn_upright` is set; return them, and the number of quarter turns of each."""
        if not self.limits.turn_upright:
            return pixels, np.zeros(len(pixels), int)
        return find_upright(pixels, self._ood_detector)

    def compute_logits(self, pixels: Array) -> Array:
        """Return the logit, float64, of each image in `pixels`, uint8 of shape (n, height, width)."""
        starts = range(0, len(pixels), BATCH_SIZE)
        batches = [self._compute_logits(pixels[start : start + BATCH_SIZE]) for start in starts]
        return np.concatenate(batches).astype(float)

    def _decide(
        self, probability: float, is_positive: bool, refer: bool | None, turns: int, views: Array
    ) -> Prediction:
        ood_score = float(score_views(views[None])[0])
        if ood_score > (limit := self.limits.max_ood_score):
            view = classify_view(views)
            detail = f"an out-of-distribution score of {ood_score:.2f}; expected at most {limit:.2f}: {REFUSED[view]}"
            return Prediction.refuse(view, detail, ood_score)
        answer = Prediction(probability, self.contract.labels[is_positive], None, "", ood_score)
        return answer._replace(warnings=TURNED if turns else "", refer=refer)


def _add_image_facts(prediction: Prediction, image: PreparedImage) -> Prediction:
    """Add the size of the image and its warnings to a prediction."""
    warnings = " ".join((*image.warnings, *prediction.warnings.split()))
    return prediction._replace(width=image.width, height=image.height, warnings=warnings)


def fingerprint_model(packaged: bytes) -> str:
    """Return the first 16 hexadecimal digits of the SHA-256 of a packaged network."""
    return hashlib.sha256(packaged).hexdigest()[:16]


def _read_keras(source: bytes | str | Path) -> dict[str, bytes]:
    data = source if isinstance(source, bytes) else Path(source).read_bytes()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {NETWORK: data, **{name: archive.read(name) for name in (CONTRACT, OOD_DETECTOR)}}


def read_packaged_contract(packaged: bytes) -> Contract:
    """Return the contract inside a `.keras` file, without its network."""
    return read_contract(_read_keras(packaged)[CONTRACT], "the packaged network")


def _read_folder(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in (NETWORK, CONTRACT, OOD_DETECTOR)}


def _load_onnx(data: bytes, contract: Contract) -> Callable[[Array], Array]:
    """Load a network from scaled images to logits; `run` of ONNX Runtime may be called in several threads.

    Raises:
        InputError: The file is damaged, or its input is not that of the contract.
    """
    import onnxruntime

    remedy = "Write the folder again: `kedro ship --folder FOLDER`."
    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # Files are decoded at the same time.
    try:
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # The errors of ONNX Runtime have no class in common.
        raise InputError(f"{NETWORK} cannot be loaded: {error}. Expected an undamaged ONNX file. {remedy}") from error
    entry = session.get_inputs()[0]
    received, expected = entry.shape[1:], contract.input.shape[1:]
    if received != expected:
        raise InputError(f"{NETWORK} takes images of shape {received}, but {CONTRACT} has {expected}. {remedy}")

    def compute_logits(pixels: Array) -> Array:
        images = pixels.astype(np.float32)[..., None] / 255
        return np.asarray(session.run(None, {entry.name: images})[0])[:, 0]

    return compute_logits


def _load_keras(data: bytes) -> Callable[[Array], Array]:
    """Compile the network, which halves the time of `Model.predict` on small batches."""
    with tempfile.NamedTemporaryFile(suffix=".keras") as file:
        file.write(data)
        file.flush()
        network = without_sigmoid(keras.saving.load_model(file.name, safe_mode=True))
    shape = (None, *network.input_shape[1:3])
    call = tf.function(
        lambda pixels: network(scale(pixels), training=False)[:, 0], input_signature=[tf.TensorSpec(shape, tf.uint8)]
    )
    return lambda pixels: np.asarray(call(pixels))
