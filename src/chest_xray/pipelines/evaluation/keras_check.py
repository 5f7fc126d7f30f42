"""The same test images measured by Keras itself, and held against what scikit-learn computed."""

from typing import Any

from chest_xray.core.types import Array, DataFrame, Model, Tensor
from chest_xray.metrics.calibration_error import LEAST
from chest_xray.metrics.summary import PLAIN_THRESHOLD
from chest_xray.models.input_pipeline import image_batches
from chest_xray.models.network import without_sigmoid

AGREEMENT = 1e-4  # Keras adds up in float32; a larger difference means that two different things were measured.


def evaluate_with_keras(
    model: Model, prepared_images: Array, image_split: DataFrame, operating_point: dict[str, Any]
) -> dict[str, Any]:
    """Measure the network on test by `model.evaluate`, at 0.5 and at the chosen threshold.

    Args:
        model: The trained network; not changed.
        prepared_images: uint8 of shape (images, height, width), one for each row of `image_split`.
        image_split: One row an image.
        operating_point: Its `threshold`.

    Returns:
        `loss`, and at each of `at_half` and `at_chosen`: `accuracy`, `precision`, `recall` in [0, 1].
    """
    import numpy as np
    import tensorflow as tf

    rows = np.flatnonzero(image_split["subset"] == "test")
    labels = image_split["label"].to_numpy(np.float32)[rows, None]
    answers = tf.data.Dataset.from_tensor_slices(dict.fromkeys(("probability", "at_half", "at_chosen"), labels))
    batches = tf.data.Dataset.zip(image_batches(prepared_images, rows, 64), answers.batch(64))
    thresholds = {"at_half": PLAIN_THRESHOLD, "at_chosen": operating_point["threshold"]}
    scores = _judge(model, thresholds).evaluate(batches, return_dict=True, verbose=0)
    names = ("accuracy", "precision", "recall")
    return {
        "loss": scores["loss"],
        **{at: {name: scores[f"{at}_{name}"] for name in names} for at in thresholds},
    }


def _judge(model: Model, thresholds: dict[str, float]) -> Model:
    """Give the network an output more for each threshold: above one half where an image is called PNEUMONIA.

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
    """Give a logit just below the least one that is called, for Keras' measures ask for more than one half.

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


def cross_check(metrics: dict[str, Any], keras_evaluation: dict[str, Any]) -> DataFrame:
    """Hold what Keras measured against what scikit-learn computed from the predictions table.

    Args:
        metrics: From `compute_metrics`.
        keras_evaluation: From `evaluate_with_keras`.

    Returns:
        One row a metric and threshold: `metric`, `at`, `keras`, `scikit_learn`, `difference`.

    Raises:
        ValueError: A pair differs by more than rounding; one of the two was not measured on what it should have been.
    """
    import pandas as pd

    test = metrics["test"]
    rows = [("loss", "", keras_evaluation["loss"], test["loss"])]
    for at in ("at_half", "at_chosen"):
        for keras_name, name in (
            ("accuracy", "accuracy"),
            ("precision", "precision"),
            ("recall", "sensitivity"),
        ):
            rows.append((keras_name, at, keras_evaluation[at][keras_name], test[at][name]["value"] or 0.0))
    table = pd.DataFrame(rows, columns=["metric", "at", "keras", "scikit_learn"])
    table["difference"] = (table["keras"] - table["scikit_learn"]).round(9)
    apart = table[table["difference"].abs() > AGREEMENT]
    if len(apart):
        raise ValueError(
            f"Keras and scikit-learn disagree on the same test images:\n{apart.to_string(index=False)}\n"
            f"expected differences below {AGREEMENT}. Run modeling and evaluation again, so that model and predictions "
            "belong together."
        )
    return table
