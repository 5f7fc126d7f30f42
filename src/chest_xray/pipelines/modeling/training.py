"""Train a network so that it can be stopped at any moment, goes on as if it had not been, and gives the same twice."""

from dataclasses import dataclass
from hashlib import blake2b
from typing import Annotated, Any, Literal

from pydantic import Field

from chest_xray.core.options import Options
from chest_xray.core.types import Array, DataFrame, Dataset, Model
from chest_xray.datasets.checkpoint import Checkpoint
from chest_xray.models.augmentation import Augmentation
from chest_xray.models.input_pipeline import TrainingBatches, image_batches
from chest_xray.models.network import Precision, with_precision
from chest_xray.pipelines.data_processing.prepare import Preparation, tell_aspects
from chest_xray.pipelines.modeling.keeper import Keeper


class Run(Options):
    """What one run has of its own; all else it shares with the others, so that they can be compared."""

    title: str
    seed: Annotated[int, Field(ge=0, lt=2**31)]
    augmentation: Augmentation
    mirror: bool = False  # whether the trained network is asked twice; see `ask_twice`


class Training(Options):
    """How a network is trained."""

    epochs: Annotated[int, Field(ge=1, le=500)]
    passes_per_epoch: Annotated[int, Field(ge=1, le=100)]
    batch_size: Annotated[int, Field(ge=1, le=1024)]
    optimizer: Literal["adam", "sgd"]
    learning_rate: Annotated[float, Field(gt=0, le=10)]
    schedule: Literal["constant", "cosine"]
    warmup_epochs: Annotated[float, Field(ge=0)]
    label_smoothing: Annotated[float, Field(ge=0, le=0.5)]
    weight_average: Annotated[float, Field(ge=0, lt=1)]
    keep: Literal["best", "last"]
    patience: Annotated[int, Field(ge=1)]
    class_weight: Literal["balanced", "none"]
    precision: Precision
    tensorboard: bool


@dataclass(frozen=True)
class TrainingSets:
    """All that training reads."""

    train: TrainingBatches
    validation: Dataset
    steps_per_epoch: int
    class_weight: dict[int, float]


def build_training_sets(
    prepared_images: Array, image_split: DataFrame, preparation: Preparation, training: Training, run: Run
) -> TrainingSets:
    """Join pixels and labels to what training and validation read.

    Args:
        prepared_images: uint8 of shape (images, height, width), one for each row of `image_split`.
        image_split: One row an image.
        preparation: How the images were prepared.
        training: Batch size, how long an epoch is, and whether the rarer class counts more.
        run: Seed of order and copies, and how the copies beside the originals differ from them; validation never has
            copies.

    Returns:
        Train and validation batches. An epoch has as many steps as the originals fill batches in `passes_per_epoch`
        passes, whatever the number of copies: so runs with and without augmentation take the same number of optimiser
        steps an epoch.
    """
    import numpy as np
    from sklearn.utils.class_weight import compute_class_weight

    labels = image_split["label"].to_numpy()
    aspects = tell_aspects(image_split, preparation)
    train, validation = (np.flatnonzero(image_split["subset"] == name) for name in ("train", "validation"))
    balance = "balanced" if training.class_weight == "balanced" else None
    weights = compute_class_weight(balance, classes=np.array([0, 1]), y=labels[train])
    options: dict[str, Any] = {"augmentation": run.augmentation, "seed": run.seed, "batch_size": training.batch_size}
    return TrainingSets(
        train=TrainingBatches(prepared_images, train, labels[train], aspects[train], **options),
        validation=_with_labels(prepared_images, validation, labels),
        steps_per_epoch=-(-len(train) * training.passes_per_epoch // training.batch_size),
        class_weight=dict(enumerate(weights.tolist())),
    )


def _with_labels(pixels: Array, rows: Array, labels: Array) -> Dataset:
    import tensorflow as tf

    answers = tf.data.Dataset.from_tensor_slices(labels[rows].astype("float32")[:, None])
    return tf.data.Dataset.zip(image_batches(pixels, rows, 64), answers.batch(64))


def train_model(
    untrained_model: Model, training_sets: TrainingSets, training: Training, checkpoint: Checkpoint
) -> tuple[Model, DataFrame]:
    """Train a copy of the network.

    Binary cross-entropy, in which each class counts alike where `class_weight` is "balanced" (weights are inverse to
    the number of images, as scikit-learn has it). After every epoch the state is left in the checkpoint; a training
    that was interrupted goes on there, to the very weights that it would have had.

    Args:
        untrained_model: The network; not changed.
        training_sets: Batches, and how many make an epoch.
        training: All settings. "cosine" warms the learning rate up and lets it fall to a hundredth (Loshchilov and
            Hutter 2017); `weight_average` is the momentum of an exponential average of the weights (Polyak and Juditsky
            1992), 0 for none; `keep` is the epoch of the lowest validation loss, or the last; `tensorboard` leaves logs
            in a folder of that name beside the checkpoint.
        checkpoint: Where the state is left.

    Returns:
        The trained model, and one row an epoch: `epoch` (from 1), `steps` (of the optimiser, so far), `seconds`,
        `loss`, `accuracy`, the same of validation with the prefix `val_`, and `kept` (the epoch returned).

    Raises:
        InputError: Loss or weights are no longer numbers; the checkpoint still holds the epoch before.
    """
    import keras

    keras.utils.set_random_seed(training_sets.train.seed)
    network = _compile(untrained_model, training, training_sets.steps_per_epoch)
    keeper = Keeper(network, training, checkpoint, _fingerprint(untrained_model, training_sets, training))
    first = keeper.resume()
    if not keeper.is_done:
        network.fit(
            training_sets.train.dataset(first * training_sets.steps_per_epoch),
            validation_data=training_sets.validation,
            steps_per_epoch=training_sets.steps_per_epoch,
            initial_epoch=first,
            epochs=training.epochs,
            class_weight=training_sets.class_weight,
            callbacks=keeper.callbacks(),
            shuffle=False,  # The batches are shuffled already.
            verbose=0,
        )
    return keeper.finish(training_sets.steps_per_epoch)


def _compile(untrained_model: Model, training: Training, steps_per_epoch: int) -> Model:
    import keras

    rate: Any = training.learning_rate
    if training.schedule == "cosine":
        warmup = round(training.warmup_epochs * steps_per_epoch)
        falling = max(training.epochs * steps_per_epoch - warmup, 1)
        rate = keras.optimizers.schedules.CosineDecay(0.0, falling, alpha=0.01, warmup_target=rate, warmup_steps=warmup)
        rate = rate if warmup else keras.optimizers.schedules.CosineDecay(training.learning_rate, falling, alpha=0.01)
    options: dict[str, Any] = {"momentum": 0.9, "nesterov": True} if training.optimizer == "sgd" else {}
    if training.weight_average:
        options |= {"use_ema": True, "ema_momentum": training.weight_average}
    optimizer = {"adam": keras.optimizers.Adam, "sgd": keras.optimizers.SGD}[training.optimizer](rate, **options)
    network = with_precision(untrained_model, training.precision)
    loss = keras.losses.BinaryCrossentropy(label_smoothing=training.label_smoothing)
    network.compile(optimizer, loss, metrics=["accuracy"])
    optimizer.build(network.trainable_variables)
    return network


def _fingerprint(untrained_model: Model, training_sets: TrainingSets, training: Training) -> str:
    """Tell trainings apart whose checkpoints must not be mixed up."""
    batches = training_sets.train
    # Without their names: Keras numbers layers by how many this process has built before.
    layers = [layer.get_config() | {"name": ""} for layer in untrained_model.layers]
    recipe = training.model_copy(update={"tensorboard": False})
    settings = (recipe, training_sets.steps_per_epoch, batches.augmentation, batches.seed, layers)
    digest = blake2b(repr(settings).encode(), digest_size=16)
    for array in (batches.pixels, batches.rows, batches.labels, batches.aspects, *untrained_model.get_weights()):
        digest.update(array.tobytes() if array.ndim < 3 else memoryview(array).cast("B"))
    return digest.hexdigest()
