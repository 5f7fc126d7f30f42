"""The same test images measured by Keras itself, and held against what scikit-learn computed."""

from typing import Any

from chest_xray.core.types import Model, Tensor
from chest_xray.metrics.calibration_error import LEAST
from chest_xray.models.network import without_sigmoid

AGREEMENT = 1e-4  # Keras adds up in float32; a larger difference means that two different things were measured.


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
