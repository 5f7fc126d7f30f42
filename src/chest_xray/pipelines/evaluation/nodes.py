"""Open the test split: predictions, metrics, figures, and conclusions that the numbers support."""

import logging
from typing import Annotated, Any

from pydantic import Field

from chest_xray.batches import image_batches
from chest_xray.network import without_sigmoid
from chest_xray.options import Options
from chest_xray.pipelines.evaluation import conclusions
from chest_xray.pipelines.evaluation.metrics import LEAST, PLAIN_THRESHOLD, roc_points, summarise, tabulate
from chest_xray.pipelines.modeling.operating_point import calibrate
from chest_xray.radiographs import CLASSES
from chest_xray.scoring import score_images
from chest_xray.types import Array, DataFrame, Figure, Model, Tensor
from chest_xray.wording import render

logger = logging.getLogger(__name__)

MARKERS = {"at_half": "o", "at_chosen": "D", "at_other": "s"}
MEANING = {"at_half": "", "at_chosen": " (chosen)", "at_other": " (other point)"}
AGREEMENT = 1e-4  # Keras adds up in float32; a larger difference means that two different things were measured.


class Evaluation(Options):
    """How the test split is judged."""

    seed: Annotated[int, Field(ge=0, lt=2**31)]


def predict_test(
    model: Model, prepared_images: Array, image_split: DataFrame, operating_point: dict[str, Any]
) -> DataFrame:
    """Score the test images, and calibrate the scores as validation under shift asks.

    Args:
        model: The trained network.
        prepared_images: uint8 of shape (images, height, width), one for each row of `image_split`.
        image_split: One row an image.
        operating_point: Its `calibration`.

    Returns:
        As `chest_xray.scoring.score_images` gives it, and `calibrated`: the probability of pneumonia at the expected
        prevalence, float64 in [0, 1].
    """
    predictions = score_images(model, prepared_images, image_split, "test")
    return predictions.assign(calibrated=calibrate(predictions["logit"], operating_point["calibration"]))


def predict_validation(
    model: Model, prepared_images: Array, image_split: DataFrame, operating_point: dict[str, Any]
) -> DataFrame:
    """Score the unaltered validation images in the same way; see `predict_test`."""
    predictions = score_images(model, prepared_images, image_split, "validation")
    return predictions.assign(calibrated=calibrate(predictions["logit"], operating_point["calibration"]))


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


def compute_metrics(
    validation_predictions: DataFrame,
    test_predictions: DataFrame,
    operating_point: dict[str, Any],
    evaluation: Evaluation,
) -> dict[str, Any]:
    """Give all metrics of validation and test, computed from the predictions tables by scikit-learn and scipy.

    Args:
        validation_predictions: One row a validation image.
        test_predictions: One row a test image.
        operating_point: Chosen on validation under shift.
        evaluation: Seed of the bootstrap.

    Returns:
        `run`: its title; `operating_point`: its rule and calibration; `validation` and `test`, each as
        `chest_xray.pipelines.evaluation.metrics.summarise` gives it.
    """
    found: dict[str, Any] = {
        "run": operating_point["run"],
        "operating_point": {"rule": operating_point["rule"], **operating_point["calibration"]},
        "validation": summarise(validation_predictions, operating_point, evaluation.seed),
        "test": summarise(test_predictions, operating_point, evaluation.seed),
    }
    point = found["test"]["at_chosen"]
    logger.info(
        "Test: %d images, threshold %.3f, accuracy %.3f, sensitivity %.3f, specificity %.3f, AUC %.3f",
        *(found["test"]["num_images"], point["threshold"], point["accuracy"]["value"], point["sensitivity"]["value"]),
        *(point["specificity"]["value"], found["test"]["auc"]["value"]),
    )
    return found


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


def tabulate_metrics(metrics: dict[str, Any]) -> DataFrame:
    """Lay the metrics out for reading; see `chest_xray.pipelines.evaluation.metrics.tabulate`."""
    return tabulate(metrics)


def draw_roc_curve(
    validation_predictions: DataFrame, test_predictions: DataFrame, metrics: dict[str, Any], data_source: str
) -> Figure:
    """Draw the ROC curves of validation and test, with the points where the thresholds lie.

    Args:
        validation_predictions: `label` and `probability` of each validation image.
        test_predictions: The same of test.
        metrics: From `compute_metrics`.
        data_source: Printed below the plot.
    """
    from chest_xray.figures import BLUE, GREY, ORANGE, label_axes, new_figure

    figure, axes = new_figure(data_source, width=6, height=6)
    for name, table, colour in (("validation", validation_predictions, BLUE), ("test", test_predictions, ORANGE)):
        part, auc = metrics[name], metrics[name]["auc"]
        label = f"{name}: n = {len(table)}, AUC {auc['value']:.3f} ({auc['low']:.3f} to {auc['high']:.3f})"
        axes.plot(*roc_points(table), color=colour, label=label)
        for at, marker in MARKERS.items():
            point = part[at]
            axes.plot(1 - point["specificity"]["value"], point["sensitivity"]["value"], marker, color=colour)
    for at, marker in MARKERS.items():
        axes.plot([], [], marker, color=GREY, label=f"threshold {metrics['test'][at]['threshold']:.3f}{MEANING[at]}")
    axes.plot([0, 1], [0, 1], ":", color=GREY, label="chance")
    label_axes(axes, f"ROC curve, {metrics['run']}", ("1 - specificity", "sensitivity"))
    axes.set_aspect("equal")
    axes.legend(frameon=False, loc="lower right", fontsize=9)
    return figure


def draw_confusion_matrices(metrics: dict[str, Any], data_source: str) -> Figure:
    """Draw the test images by true class and decision, at 0.5 and at both operating points, with shares of each class.

    Args:
        metrics: From `compute_metrics`.
        data_source: Printed below the plots.
    """
    import numpy as np

    from chest_xray.figures import new_figure

    figure, axes = new_figure(data_source, columns=len(MARKERS), width=12, height=4.6)
    figure.suptitle(f"Test, {metrics['run']}", fontsize=11)
    for place, at in zip(axes, MARKERS, strict=True):
        point = metrics["test"][at]
        counts = np.array([[point["tn"], point["fp"]], [point["fn"], point["tp"]]])
        shares = counts / counts.sum(axis=1, keepdims=True)
        place.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for (row, column), count in np.ndenumerate(counts):
            colour = "white" if shares[row, column] > 0.5 else "black"
            place.text(column, row, f"{count}\n{shares[row, column]:.1%}", ha="center", va="center", color=colour)
        place.set(xticks=[0, 1], yticks=[0, 1], xticklabels=CLASSES, yticklabels=CLASSES)
        place.set(xlabel="decision", ylabel="true class")
        title = f"threshold {point['threshold']:.3f}{MEANING[at]}\n"
        place.set_title(f"{title}n = {counts.sum()}, accuracy {point['accuracy']['value']:.3f}", fontsize=10)
    return figure


def write_conclusions(
    metrics: dict[str, Any], history: DataFrame, header_rule: dict[str, Any], data_source: str
) -> str:
    """Write what the numbers support: how well, where it fails, validation against test, what to try next.

    Args:
        metrics: From `compute_metrics`.
        history: One row an epoch; the kept one says how training went.
        header_rule: How far the header of the file goes without a look at a pixel.
        data_source: Stands on the page.

    Returns:
        Markdown.
    """
    kept = history[history["kept"]].iloc[0]
    training = {
        "train_accuracy": float(kept["accuracy"]),
        "validation_accuracy": float(kept["val_accuracy"]),
        "kept_last": bool(kept["epoch"] == len(history)),
    }
    sections = {
        "how_well": list(conclusions.how_well(metrics, header_rule)),
        "where_it_fails": list(conclusions.where_it_fails(metrics)),
        "validation_and_test": list(conclusions.validation_and_test(metrics)),
        "what_to_try": list(conclusions.what_to_try(metrics, training)),
    }
    return render("conclusions_title", sections, {"data_source": data_source, "run": metrics["run"]})
