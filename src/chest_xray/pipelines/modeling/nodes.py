"""Build a network, train it, and choose on validation alone where its decision threshold lies."""

import logging
import time
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field

from chest_xray.augment import Augmentation
from chest_xray.batches import TrainingBatches, image_batches
from chest_xray.network import Network, Precision, build_network, with_precision
from chest_xray.options import Options
from chest_xray.scoring import score_images
from chest_xray.types import Array, DataFrame, Dataset, Figure, Model

logger = logging.getLogger(__name__)


class Training(Options):
    """How a network is trained."""

    seed: Annotated[int, Field(ge=0, lt=2**31)]
    epochs: Annotated[int, Field(ge=1, le=200)]
    batch_size: Annotated[int, Field(ge=1, le=1024)]
    optimizer: Literal["adam", "sgd"]
    learning_rate: Annotated[float, Field(gt=0, le=1)]
    patience: Annotated[int, Field(ge=1)]
    class_weight: Literal["balanced", "none"]
    precision: Precision


class OperatingPointRule(Options):
    """How the decision threshold is chosen."""

    rule: Literal["balanced_accuracy", "sensitivity"]
    min_sensitivity: Annotated[float, Field(gt=0, le=1)]


class TrainingSets(NamedTuple):
    """All that training reads."""

    train: TrainingBatches
    validation: Dataset
    steps_per_epoch: int
    class_weight: dict[int, float]


def build_model(prepared_images: Array, model: Network, training: Training) -> Model:
    """Build the untrained network for images of the prepared size.

    Args:
        prepared_images: uint8 of shape (images, height, width); only its shape is read.
        model: Shape of the network.
        training: Its seed gives the first weights.

    Returns:
        A Keras model; see `chest_xray.network.build_network`.
    """
    import keras

    keras.utils.set_random_seed(training.seed)
    height, width = prepared_images.shape[1:]
    return build_network((height, width), model)


def build_training_sets(
    prepared_images: Array, image_split: DataFrame, training: Training, augmentation: Augmentation
) -> TrainingSets:
    """Join pixels and labels to what training and validation read.

    Args:
        prepared_images: uint8 of shape (images, height, width), one for each row of `image_split`.
        image_split: One row an image.
        training: Batch size, seed, and whether the rarer class counts more.
        augmentation: How the copies beside the originals differ from them; validation never has copies.

    Returns:
        Train and validation batches. An epoch has as many steps as the originals fill batches, whatever the number of
        copies: so runs with and without augmentation take the same number of optimiser steps an epoch.
    """
    import numpy as np
    from sklearn.utils.class_weight import compute_class_weight

    labels = image_split["label"].to_numpy()
    train, validation = (np.flatnonzero(image_split["subset"] == name) for name in ("train", "validation"))
    batch_size = training.batch_size
    weights = compute_class_weight(
        "balanced" if training.class_weight == "balanced" else None, classes=np.array([0, 1]), y=labels[train]
    )
    batches = TrainingBatches(
        prepared_images,
        train,
        labels[train],
        augmentation=augmentation,
        batch_size=batch_size,
        seed=training.seed,
    )
    return TrainingSets(
        train=batches,
        validation=_with_labels(prepared_images, validation, labels),
        steps_per_epoch=-(-len(train) // batch_size),
        class_weight=dict(enumerate(weights.tolist())),
    )


def _with_labels(pixels: Array, rows: Array, labels: Array) -> Dataset:
    import tensorflow as tf

    answers = tf.data.Dataset.from_tensor_slices(labels[rows].astype("float32")[:, None])
    return tf.data.Dataset.zip(image_batches(pixels, rows, 64), answers.batch(64))


def train_model(untrained_model: Model, training_sets: TrainingSets, training: Training) -> tuple[Model, DataFrame]:
    """Train a copy of the network and keep the epoch of the lowest validation loss.

    Binary cross-entropy, in which each class counts alike where `class_weight` is "balanced" (weights are inverse to
    the number of images, as scikit-learn has it). Training stops when `patience` epochs brought no lower loss.

    Args:
        untrained_model: The network; not changed.
        training_sets: Batches, and how many make an epoch.
        training: Optimiser, learning rate, epochs, patience, precision, seed.

    Returns:
        The trained model, and one row an epoch: `epoch` (from 1), `steps` (of the optimiser, so far), `seconds`,
        `loss`, `accuracy`, `auc`, the same of validation with the prefix `val_`, and `kept` (the epoch returned).
    """
    import keras
    import numpy as np

    keras.utils.set_random_seed(training.seed)
    network = with_precision(untrained_model, training.precision)
    optimizer = keras.optimizers.get(
        {"class_name": training.optimizer, "config": {"learning_rate": training.learning_rate}}
    )
    network.compile(optimizer, "binary_crossentropy", metrics=["accuracy", keras.metrics.AUC(name="auc")])
    times = [time.perf_counter()]
    history = network.fit(
        training_sets.train.dataset(),
        validation_data=training_sets.validation,
        steps_per_epoch=training_sets.steps_per_epoch,
        epochs=training.epochs,
        class_weight=training_sets.class_weight,
        callbacks=_callbacks(training.patience, times),
        shuffle=False,  # The batches are shuffled already.
        verbose=0,
    ).history
    table = _tabulate(history, np.diff(times), training_sets.steps_per_epoch)
    return with_precision(network, "float32"), table


def _callbacks(patience: int, times: list[float]) -> list[Any]:
    import keras
    from tqdm.keras import TqdmCallback

    def note_time(*_: Any) -> None:
        times.append(time.perf_counter())

    return [
        keras.callbacks.EarlyStopping("val_loss", patience=patience, restore_best_weights=True),
        keras.callbacks.TerminateOnNaN(),
        keras.callbacks.LambdaCallback(on_epoch_end=note_time),
        TqdmCallback(verbose=0, disable=None, desc="Training"),
    ]


def _tabulate(history: dict[str, list[float]], seconds: Array, steps_per_epoch: int) -> DataFrame:
    import pandas as pd

    table = pd.DataFrame(history)
    table.insert(0, "epoch", range(1, len(table) + 1))
    table.insert(1, "steps", table["epoch"] * steps_per_epoch)
    table.insert(2, "seconds", seconds[: len(table)].round(2))
    table["kept"] = table.index == table["val_loss"].idxmin()
    kept = table[table["kept"]].iloc[0]
    logger.info(
        "Trained %d epochs in %.0f s; kept epoch %d: validation loss %.4f, accuracy %.4f",
        *(len(table), table["seconds"].sum(), kept["epoch"], kept["val_loss"], kept["val_accuracy"]),
    )
    return table


def draw_learning_curves(history: DataFrame, data_source: str) -> Figure:
    """Show loss and accuracy of train and validation by epoch, and the epoch that was kept.

    Args:
        history: One row an epoch, from `train_model`.
        data_source: Printed below the plots.
    """
    from chest_xray.figures import BLUE, GREY, ORANGE, label_axes, new_figure

    figure, axes = new_figure(data_source, columns=2, width=10, height=4)
    kept = int(history.loc[history["kept"], "epoch"].iloc[0])
    for place, name in zip(axes, ("loss", "accuracy"), strict=True):
        place.plot(history["epoch"], history[name], "o-", color=BLUE, label="train")
        place.plot(history["epoch"], history[f"val_{name}"], "s-", color=ORANGE, label="validation")
        place.axvline(kept, color=GREY, linestyle=":", label=f"kept: epoch {kept}")
        place.xaxis.get_major_locator().set_params(integer=True)
        label_axes(place, f"{name.capitalize()} by epoch", ("epoch", name))
    axes[0].set_ylabel("binary cross-entropy")
    axes[1].legend(frameon=False)
    return figure


def predict_validation(model: Model, prepared_images: Array, image_split: DataFrame) -> DataFrame:
    """Score the validation images; see `chest_xray.scoring.score_images`."""
    return score_images(model, prepared_images, image_split, "validation")


def choose_operating_point(validation_predictions: DataFrame, operating_point: OperatingPointRule) -> dict[str, Any]:
    """Choose the decision threshold, on validation alone.

    Args:
        validation_predictions: `label` and `probability` of the validation images.
        operating_point: "sensitivity" takes the highest threshold at which the sensitivity is at least
            `min_sensitivity`; "balanced_accuracy" the one where the mean of sensitivity and specificity is largest
            (Youden 1950), and of several such the highest.

    Returns:
        `threshold` (an image is called PNEUMONIA at this probability or above), `rule`, and `sensitivity` and
        `specificity` on validation, all in [0, 1].
    """
    import numpy as np
    from sklearn.metrics import roc_curve

    label, probability = validation_predictions["label"], validation_predictions["probability"]
    curve = roc_curve(label, probability, drop_intermediate=False)
    # The first point is that of an infinite threshold, at which no image can be called PNEUMONIA.
    false_positive_rate, sensitivity, thresholds = (column[1:] for column in curve)
    if operating_point.rule == "sensitivity":
        best = int(np.argmax(sensitivity >= operating_point.min_sensitivity))
    else:
        best = int(np.argmax((sensitivity - false_positive_rate).round(9)))  # so that rounding breaks no tie
    return {
        "threshold": float(thresholds[best]),
        "rule": operating_point.rule,
        "sensitivity": float(sensitivity[best]),
        "specificity": float(1 - false_positive_rate[best]),
    }
