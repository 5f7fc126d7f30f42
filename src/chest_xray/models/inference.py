"""From images to answers: scores of prepared images, and calibrated answers for files that nobody has checked."""

import hashlib
import io
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, Self

from chest_xray.core.arrays import NUM_THREADS
from chest_xray.core.files import ListedFile
from chest_xray.core.options import InputError
from chest_xray.core.types import Array, DataFrame, Model, Tensor
from chest_xray.images.preprocessing import prepare_file
from chest_xray.metrics.calibration_error import LEAST
from chest_xray.metrics.operating_point import calibrate
from chest_xray.models.contract import CONTRACT, OOD_DETECTOR, Contract, read_contract
from chest_xray.models.input_pipeline import image_batches, scale
from chest_xray.models.network import without_sigmoid
from chest_xray.models.outliers import compute_ood_score

BATCH_SIZE = 64  # images at once; more is not faster on a processor
Shards = dict[str, list[ListedFile]]
Table = Any  # of pyarrow
AGREEMENT = 1e-4  # Keras adds up in float32; a larger difference means that two different things were measured.


def score_images(model: Model, prepared_images: Array, image_split: DataFrame, subset: str) -> DataFrame:
    """Return the probability of pneumonia of every image of a subset.

    Args:
        model: Maps images in [0, 1] of shape (batch, height, width, 1) to a probability.
        prepared_images: uint8 of shape (images, height, width), one for each row of `image_split`.
        image_split: One row an image.
        subset: "train", "validation" or "test", or another value of that column.

    Returns:
        The rows of the subset, in their order, with two columns more: `logit` (float32) and `probability` of pneumonia,
        its sigmoid in [0, 1], float64, so that sure answers stay apart where float32 would round them to 1.
    """
    import numpy as np
    from scipy.special import expit

    rows = np.flatnonzero(image_split["subset"] == subset)
    logits = without_sigmoid(model).predict(image_batches(prepared_images, rows, BATCH_SIZE), verbose=0)[:, 0]
    table = image_split.iloc[rows].reset_index(drop=True)
    return table.assign(logit=logits, probability=expit(logits.astype(float)))


class Prediction(NamedTuple):
    """What is said of one image, or why nothing is.

    Args:
        probability: Of pneumonia, calibrated, at the prevalence that the contract expects, in [0, 1]; None if refused.
        decision: "NORMAL" or "PNEUMONIA", at the operating point of the contract; None if refused.
        reason: Why the image was refused, in a word for machines such as "not_an_image"; None if it was not.
        detail: The same as a sentence with the values received and expected; empty if it was not refused.
        distance: To the images that the network was trained on (`models.outliers.compute_ood_score`); None if the image
            could not be prepared.
    """

    probability: float | None
    decision: str | None
    reason: str | None
    detail: str
    distance: float | None

    @classmethod
    def refuse(cls, reason: str, detail: str, distance: float | None = None) -> Self:
        """Return a refusal."""
        return cls(None, None, reason, detail, distance)


Prepared = Array | Prediction  # uint8 of shape (height, width), or the refusal


class Predictor:
    """A packaged network, ready to answer; reads from several threads at once.

    Args:
        contract: What `pipelines/export` wrote of the network.
        ood_detector: From `models.outliers.fit_ood_detector`.
        fingerprint: Of its file; see `fingerprint_model`.
        logits: Gives the logits, float32 of shape (n,), of uint8 images of shape (n, height, width).
    """

    def __init__(
        self,
        contract: Contract,
        ood_detector: dict[str, Array],
        fingerprint: str,
        logits: Callable[[Array], Array],
    ):
        self.contract, self.fingerprint = contract, fingerprint
        self._ood_detector, self._logits = ood_detector, logits
        self.limits: dict[str, float] = contract.input_checks.limits.model_dump()
        self.preparation: dict[str, Any] = contract.input.preparation.model_dump()

    @classmethod
    def load(cls, source: bytes | str | Path) -> Self:
        """Load a packaged network.

        Args:
            source: The path of a `.keras` file that `kedro run --pipelines=export` wrote, or what is in it.

        Raises:
            InputError: It is no such file, or its contract is not sound.
        """
        import numpy as np

        data = source if isinstance(source, bytes) else Path(source).read_bytes()
        name = "what was given" if isinstance(source, bytes) else source
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                text = archive.read(CONTRACT)
                ood_detector = dict(np.load(io.BytesIO(archive.read(OOD_DETECTOR)), allow_pickle=False))
        except (zipfile.BadZipFile, KeyError, ValueError) as error:
            raise InputError(
                f"{name} is no packaged network ({error}); expected a .keras file with {CONTRACT} and {OOD_DETECTOR} "
                "inside. Make one with `kedro run --pipelines=export`."
            ) from error
        contract = read_contract(text, str(name))
        if unsound := [key for key, values in ood_detector.items() if not np.isfinite(values).all()]:
            raise InputError(
                f"{OOD_DETECTOR} inside {name} has numbers that are not finite ({', '.join(unsound)}). Package the "
                "network again: `kedro run --pipelines=export`."
            )
        return cls(contract, ood_detector, fingerprint_model(data), _load_logits(data))

    def limit_megapixels(self, most: float) -> None:
        """Decode no larger images than these, whatever the contract allows."""
        self.limits = {**self.limits, "max_megapixels": min(most, self.limits["max_megapixels"])}

    def predict(self, sources: Sequence[bytes | str]) -> list[Prediction]:
        """Answer for files.

        Args:
            sources: The bytes of files, or their paths.

        Returns:
            One prediction a file, in order; never an exception for what is in a file.
        """
        return self.answer([self.read(source) for source in sources])

    def answer(self, prepared: Sequence[Prepared]) -> list[Prediction]:
        """Score the images among what `read` gave, and leave the refusals in their places."""
        import numpy as np

        images = [each for each in prepared if not isinstance(each, Prediction)]
        scored = iter(self.score(np.stack(images)) if images else [])
        return [each if isinstance(each, Prediction) else next(scored) for each in prepared]

    def read(self, source: bytes | str) -> Prepared:
        """Prepare one image exactly as the images for training are.

        Args:
            source: The bytes of a JPEG, PNG or DICOM file, or its local path or fsspec address.

        Returns:
            uint8 of shape (height, width), or the refusal.
        """
        found = prepare_file(source, self.preparation, self.limits)
        return Prediction.refuse(*found) if isinstance(found, tuple) else found

    def score(self, pixels: Array) -> list[Prediction]:
        """Answer for prepared images.

        Args:
            pixels: uint8 of shape (n, height, width), as `read` gives them.

        Returns:
            One prediction an image, in order.
        """
        import numpy as np
        import pandas as pd
        from scipy.special import expit

        batches = [self._logits(pixels[start : start + BATCH_SIZE]) for start in range(0, len(pixels), BATCH_SIZE)]
        logits = np.concatenate(batches).astype(float)
        point = self.contract.operating_point
        calibrated = calibrate(pd.Series(logits), point.calibration)
        diseased = expit(logits) >= point.threshold
        distances = compute_ood_score(pixels, self._ood_detector)
        return [self._say(*row) for row in zip(calibrated.tolist(), diseased.tolist(), distances.tolist(), strict=True)]

    def _say(self, probability: float, diseased: bool, distance: float) -> Prediction:
        if distance > self.limits["max_distance"]:
            detail = (
                f"a distance of {distance:.1f} to the radiographs for training; "
                f"expected at most {self.limits['max_distance']:.1f}"
            )
            return Prediction.refuse("unlike_training", detail, distance)
        return Prediction(probability, self.contract.labels[diseased], None, "", distance)


def fingerprint_model(packaged: bytes) -> str:
    """Return the first 16 hexadecimal digits of the SHA-256 of a packaged network, as `sha256sum` does of its file."""
    return hashlib.sha256(packaged).hexdigest()[:16]


def _load_logits(data: bytes) -> Callable[[Array], Array]:
    """A compiled call, which takes half the time of `Model.predict` on small batches."""
    import keras
    import numpy as np
    import tensorflow as tf

    with tempfile.NamedTemporaryFile(suffix=".keras") as file:
        file.write(data)
        file.flush()
        network = without_sigmoid(keras.saving.load_model(file.name, safe_mode=True))
    shape = (None, *network.input_shape[1:3])
    call = tf.function(
        lambda pixels: network(scale(pixels), training=False)[:, 0], input_signature=[tf.TensorSpec(shape, tf.uint8)]
    )
    return lambda pixels: np.asarray(call(pixels))


def score_locally(shards: Shards, packaged: bytes, max_megabytes: float) -> Iterator[tuple[str, Table]]:
    """Score shards one after the other."""
    for key, files in shards.items():
        yield key, score_shard(files, packaged, max_megabytes)


def score_on_cluster(
    shards: Shards, packaged: bytes, max_megabytes: float, address: str
) -> Iterator[tuple[str, Table]]:
    """Score shards on the workers of a Dask cluster, which see the files under the same paths; see `score_locally`.

    Dask gives the shards of a worker that was lost to the others.

    Raises:
        ImportError: `distributed` is not installed (the extra `cluster`).
    """
    from distributed import Client, as_completed

    with Client(address) as client:
        network = client.scatter(packaged, broadcast=True)
        futures = {client.submit(score_shard, files, network, max_megabytes): key for key, files in shards.items()}
        for future in as_completed(futures):
            yield futures[future], future.result()
            future.release()


def score_shard(files: list[ListedFile], packaged: bytes, max_megabytes: float) -> Table:
    """Return one row a file, in order; files are decoded in threads while others are scored.

    Args:
        files: Where to read.
        packaged: The `.keras` file of the network; it is loaded once a process.
        max_megabytes: Files above this are refused unread.

    Returns:
        See the node `predict_images`.
    """
    predictor = _load(packaged)

    def read(file: ListedFile) -> Prepared:
        if file.problem:
            return Prediction.refuse("unreadable", file.problem)
        if file.size > max_megabytes * 1e6:
            detail = f"{file.size / 1e6:,.0f} MB; files of at most {max_megabytes:g} MB are opened"
            return Prediction.refuse("too_large", detail)
        return predictor.read(file.path)

    with warnings.catch_warnings(), ThreadPoolExecutor(NUM_THREADS) as pool:
        warnings.simplefilter("ignore")  # What Pillow and pydicom doubt; what matters becomes a reason.
        prepared = pool.map(read, files)
        batches = iter(lambda: list(islice(prepared, BATCH_SIZE)), [])
        predictions = [each for batch in batches for each in predictor.answer(batch)]
    return _tabulate(files, predictions, predictor.fingerprint)


@lru_cache(maxsize=1)
def _load(packaged: bytes) -> Predictor:
    return Predictor.load(packaged)


def _tabulate(files: list[ListedFile], predictions: list[Prediction], fingerprint: str) -> Table:
    import pyarrow as pa

    columns = {
        "path": [_printable(file.name) for file in files],
        "probability": [each.probability for each in predictions],
        "decision": [each.decision for each in predictions],
        "model": [fingerprint] * len(files),
        "distance": [each.distance for each in predictions],
        "reason": [each.reason for each in predictions],
        "detail": [_printable(each.detail) for each in predictions],
    }
    numbers = {"probability", "distance"}
    schema = pa.schema([(name, pa.float64() if name in numbers else pa.string()) for name in columns])
    return pa.table(columns, schema=schema)


def _printable(text: str) -> str:
    """A name that is no valid UTF-8 keeps its bytes as escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def add_decision_outputs(model: Model, thresholds: dict[str, float]) -> Model:
    """Return the network an output more for each threshold: above one half where an image is called PNEUMONIA.

    Logits are compared, for near 1 many probabilities are one and the same in float32.
    """
    import keras

    def compare(at: str) -> Any:
        return keras.layers.Activation("sigmoid", name=at)(logits.outputs[0] - _boundary(thresholds[at]))

    logits = without_sigmoid(model)
    probability = keras.layers.Activation("sigmoid", name="probability")(logits.outputs[0])
    judged = keras.Model(logits.inputs, {"probability": probability, **{at: compare(at) for at in thresholds}})
    judged.compile(
        loss={"probability": _loss},
        metrics={
            at: [
                keras.metrics.BinaryAccuracy("accuracy"),
                keras.metrics.Precision(name="precision"),
                keras.metrics.Recall(name="recall"),
            ]
            for at in thresholds
        },
    )
    return judged


def _boundary(threshold: float) -> float:
    """Return a logit just below the least one that is called, for Keras' measures ask for more than one half.

    Two steps of float32 below it, for `evaluate` and `predict` differ in the last bit.
    """
    import numpy as np
    from scipy.special import logit

    boundary = logit(np.nextafter(threshold, 0))
    return float(boundary - 2 * np.spacing(np.float32(max(abs(boundary), 1))))


def _loss(labels: Tensor, probabilities: Tensor) -> Tensor:
    """Binary cross-entropy of the probability itself; unclipped, Keras would take the logit behind it."""
    import keras

    return keras.losses.binary_crossentropy(labels, keras.ops.clip(probabilities, LEAST, 1 - LEAST))
