"""From files that nobody has checked to calibrated answers: what the pipeline, the page and the server share."""

import hashlib
import io
import json
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

from chest_xray.batches import scale
from chest_xray.datasets.packaged_model import CONTRACT
from chest_xray.decoding import decode_grey
from chest_xray.integrity import describe_image
from chest_xray.network import without_sigmoid
from chest_xray.options import InputError
from chest_xray.pipelines.modeling.operating_point import calibrate
from chest_xray.radiographs import open_file
from chest_xray.types import Array

BATCH_SIZE = 64  # images at once; more is not faster on a processor


class Prediction(NamedTuple):
    """What is said of one image, or why nothing is.

    Args:
        probability: Of pneumonia, calibrated, at the prevalence that the contract expects, in [0, 1]; None if refused.
        decision: "NORMAL" or "PNEUMONIA", at the operating point of the contract; None if refused.
        reason: Why the image was refused, in a word for machines such as "not_an_image"; None if it was not.
        detail: The same as a sentence with the values received and expected; empty if it was not refused.
        distance: To the images that the network was trained on; None if it was not measured.
    """

    probability: float | None
    decision: str | None
    reason: str | None
    detail: str
    distance: float | None

    @classmethod
    def refuse(cls, reason: str, detail: str, distance: float | None = None) -> Self:
        """Say nothing of an image but why."""
        return cls(None, None, reason, detail, distance)


class Predictor:
    """A packaged network, ready to answer.

    Args:
        contract: What `pipelines/export` wrote of the network.
        fingerprint: The first 16 hexadecimal digits of the SHA-256 of its file, as `sha256sum` gives it.
        logits: Gives the logits, float32 of shape (n,), of uint8 images of shape (n, height, width).
    """

    def __init__(self, contract: dict[str, Any], fingerprint: str, logits: Callable[[Array], Array]):
        self.contract, self.fingerprint, self._logits = contract, fingerprint, logits
        self._preparation = contract["input"]["preparation"]

    @classmethod
    def load(cls, source: bytes | str | Path) -> Self:
        """Load a packaged network.

        Args:
            source: The path of a `.keras` file that `kedro run --pipelines=export` wrote, or what is in it.

        Raises:
            InputError: It is no such file.
        """
        data = source if isinstance(source, bytes) else Path(source).read_bytes()
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                contract = json.loads(archive.read(CONTRACT))
        except (zipfile.BadZipFile, KeyError) as error:
            name = "what was given" if isinstance(source, bytes) else source
            raise InputError(
                f"{name} is no packaged network ({error}); expected a .keras file with {CONTRACT} inside. "
                "Make one with `kedro run --pipelines=export`."
            ) from error
        return cls(contract, hashlib.sha256(data).hexdigest()[:16], _load_logits(data))

    def read(self, source: bytes | str) -> "Array | Prediction":
        """Prepare one image exactly as the images for training are.

        Args:
            source: The bytes of a file, or its local path or fsspec address.

        Returns:
            uint8 of shape (height, width), or the refusal.
        """
        try:
            data = source if isinstance(source, bytes) else _read_file(source)
            facts = describe_image(io.BytesIO(data), 200)
            if "reason" in facts:
                return Prediction.refuse(facts["reason"].replace(" ", "_"), facts["detail"])
            size = (self._preparation["width"], self._preparation["height"])
            return decode_grey(data, size, self._preparation["geometry"])
        except OSError as error:
            return Prediction.refuse("unreadable", f"{type(error).__name__}: {error}")
        except Exception as error:  # On damaged data the decoders raise anything from ValueError to struct.error.
            return Prediction.refuse("undecodable", f"{type(error).__name__}: {error}")

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
        point = self.contract["operating_point"]
        calibrated = calibrate(pd.Series(logits), point["calibration"])
        diseased = expit(logits) >= point["threshold"]
        labels = self.contract["labels"]
        return [
            Prediction(float(probability), labels[int(ill)], None, "", None)
            for probability, ill in zip(calibrated, diseased, strict=True)
        ]

    def predict(self, sources: Sequence[bytes | str]) -> list[Prediction]:
        """Answer for files.

        Args:
            sources: The bytes of files, or their paths.

        Returns:
            One prediction a file, in order; never an exception for what is in a file.
        """
        return self.answer([self.read(source) for source in sources])

    def answer(self, prepared: "Sequence[Array | Prediction]") -> list[Prediction]:
        """Score the images among what `read` gave, and leave the refusals in their places."""
        import numpy as np

        images = [each for each in prepared if not isinstance(each, Prediction)]
        scored = iter(self.score(np.stack(images)) if images else [])
        return [each if isinstance(each, Prediction) else next(scored) for each in prepared]


def _read_file(path: str) -> bytes:
    with open_file(path) as file:
        return bytes(file.read())


def _load_logits(data: bytes) -> Callable[[Array], Array]:
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
