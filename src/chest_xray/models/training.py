"""Train a network so that it can be stopped at any moment, goes on as if it had not been, and gives the same twice."""

import importlib.util
import json
import logging
import math
import time
import zipfile
import zlib
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from chest_xray.core.files import atomic_path
from chest_xray.core.options import InputError, Options
from chest_xray.core.types import Array, DataFrame, Dataset, Model
from chest_xray.models.augmentation import Augmentation
from chest_xray.models.input_pipeline import TrainingBatches, image_batches
from chest_xray.models.network import Precision, with_precision

logger = logging.getLogger(__name__)


class Checkpoint:
    """The state of a training after its last whole epoch, in one file.

    Args:
        filepath: A local path that ends in `.npz`.
    """

    def __init__(self, filepath: str):
        self.filepath = filepath

    def load(self, fingerprint: str) -> tuple[dict[str, list[Array]], Any] | None:
        """Return what was saved under this fingerprint: named lists of arrays, and the notes; None where there is none.

        What was saved under another fingerprint belongs to other data or settings and is not used.
        """
        import numpy as np

        if not Path(self.filepath).is_file():
            return None
        try:
            # Opened here, because NumPy leaves a file open in which it finds nothing.
            with Path(self.filepath).open("rb") as stream, np.load(stream, allow_pickle=False) as file:
                header = json.loads(str(file["header"]))
                if header["fingerprint"] != fingerprint:
                    logger.info("Training starts anew: %s was left by other data or settings", self.filepath)
                    return None
                sizes = header["sizes"].items()
                arrays = {name: [file[f"{name}.{i}"] for i in range(number)] for name, number in sizes}
                return arrays, header["notes"]
        except (ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            logger.warning("Training starts anew: %s is damaged (%s)", self.filepath, error)
            return None

    def save(self, fingerprint: str, arrays: dict[str, list[Array]], notes: Any) -> None:
        """Store named lists of arrays and notes (plain values), whole or not at all, in place of what was there."""
        import numpy as np

        header = {
            "fingerprint": fingerprint,
            "sizes": {name: len(each) for name, each in arrays.items()},
            "notes": notes,
        }
        named = {f"{name}.{i}": array for name, each in arrays.items() for i, array in enumerate(each)}
        with atomic_path(self.filepath) as path:
            np.savez(path, header=np.array(json.dumps(header)), **named)  # type: ignore[arg-type]

    def clear(self) -> None:
        """Forget: the training is over."""
        Path(self.filepath).unlink(missing_ok=True)


class Run(Options):
    """What one run has of its own; all else it shares with the others, so that they can be compared."""

    title: str
    seed: Annotated[int, Field(ge=0, lt=2**31)]
    augmentation: Augmentation
    flip_tta: bool = False  # whether flip test-time augmentation is added; see `add_flip_tta`


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


def make_validation_batches(pixels: Array, rows: Array, labels: Array) -> Dataset:
    """Return batches of images and labels, in order."""
    import tensorflow as tf

    answers = tf.data.Dataset.from_tensor_slices(labels[rows].astype("float32")[:, None])
    return tf.data.Dataset.zip(image_batches(pixels, rows, 64), answers.batch(64))


def compile_network(untrained_model: Model, training: Training, steps_per_epoch: int) -> Model:
    """Return a copy of the network in the precision asked for, compiled, with its optimiser built."""
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


def fingerprint_training(untrained_model: Model, training_sets: TrainingSets, training: Training) -> str:
    """Digest all that decides a training: equal fingerprints, interchangeable checkpoints."""
    batches = training_sets.train
    # Without their names: Keras numbers layers by how many this process has built before.
    layers = [layer.get_config() | {"name": ""} for layer in untrained_model.layers]
    recipe = training.model_copy(update={"tensorboard": False})
    settings = (recipe, training_sets.steps_per_epoch, batches.augmentation, batches.seed, layers)
    digest = blake2b(repr(settings).encode(), digest_size=16)
    for array in (batches.pixels, batches.rows, batches.labels, batches.aspects, *untrained_model.get_weights()):
        digest.update(array.tobytes() if array.ndim < 3 else memoryview(array).cast("B"))
    return digest.hexdigest()


if TYPE_CHECKING:
    pass


class TrainingState:
    """The state of one training beside what Keras holds; both are stored in the checkpoint.

    Args:
        network: Compiled, with its optimiser built.
        training: `epochs`, `patience`, `keep`, `weight_average` and `learning_rate`.
        checkpoint: Where the state is left.
        fingerprint: Of data and settings.
    """

    def __init__(self, network: Model, training: "Training", checkpoint: Checkpoint, fingerprint: str):
        self.network, self.training = network, training
        self.checkpoint, self.fingerprint = checkpoint, fingerprint
        self.rows: list[dict[str, float]] = []
        self.best: list[Array] = []
        self.began = time.perf_counter()

    @property
    def best_epoch(self) -> int:
        """The epoch, from 0, of the lowest validation loss so far."""
        losses = [row["val_loss"] for row in self.rows]
        return losses.index(min(losses))

    @property
    def is_done(self) -> bool:
        """Whether all epochs are over, or `patience` epochs brought no lower validation loss."""
        num_epochs = len(self.rows)
        waited = num_epochs > 0 and num_epochs - 1 - self.best_epoch >= self.training.patience
        return num_epochs >= self.training.epochs or (self.training.keep == "best" and waited)

    def callbacks(self) -> list[Any]:
        """Return what Keras is to call."""
        import keras
        from tqdm.keras import TqdmCallback

        averaging = [keras.callbacks.SwapEMAWeights()] if self.training.weight_average else []
        note = keras.callbacks.LambdaCallback(on_epoch_end=self.note)
        progress = TqdmCallback(verbose=0, disable=None, desc="Training")
        return [*averaging, note, progress, *self._logs()]

    def _logs(self) -> list[Any]:
        """Loss, accuracy and learning rate of each epoch for TensorBoard, if they were asked for."""
        import keras

        if not self.training.tensorboard:
            return []
        if importlib.util.find_spec("tensorboard") is None:
            raise InputError(
                "received training.tensorboard=true, which needs a package that is not installed. "
                "Install it: pip install 'chest-xray[tensorboard]'."
            )
        folder = Path(self.checkpoint.filepath).parent / "tensorboard"
        return [keras.callbacks.TensorBoard(str(folder), write_graph=False)]

    def note(self, epoch: int, logs: dict[str, float]) -> None:
        """Record an epoch; Keras calls this at its end.

        Raises:
            InputError: A figure or a weight is no longer a number; the checkpoint still holds the epoch before.
        """
        arrays = {"network": _values(self.network.variables), "optimizer": _values(self.network.optimizer.variables)}
        self._require_finite(epoch, logs, arrays["network"])
        now = time.perf_counter()
        self.rows.append({name: float(value) for name, value in logs.items()} | {"seconds": now - self.began})
        self.began = now
        if self.best_epoch == epoch:
            self.best = self._weights()
        self.checkpoint.save(self.fingerprint, {**arrays, "best": self.best}, self.rows)
        self.network.stop_training = self.is_done

    def _require_finite(self, epoch: int, logs: dict[str, float], values: list[Array]) -> None:
        import numpy as np

        # The weights are looked at too: ReLU turns NaN into 0, behind which the loss looks sound.
        num_broken = sum(not np.isfinite(value).all() for value in values)
        if num_broken or not all(map(math.isfinite, logs.values())):
            kept = f" The state of epoch {epoch} is in {self.checkpoint.filepath}." if epoch else ""
            raise InputError(
                f"training diverged in epoch {epoch + 1}: {logs}, and {num_broken} of {len(values)} arrays of weights "
                "hold NaN or infinity; expected finite numbers. Lower training.learning_rate, now "
                f"{self.training.learning_rate}.{kept}"
            )

    def resume(self) -> int:
        """Restore this very training from the checkpoint; return the number of epochs that are over."""
        found = self.checkpoint.load(self.fingerprint)
        if found:
            arrays, self.rows = found
            _assign(self.network.variables, arrays["network"])
            _assign(self.network.optimizer.variables, arrays["optimizer"])
            self.best = arrays["best"]
            logger.info("Training goes on after epoch %d of %d", len(self.rows), self.training.epochs)
        return len(self.rows)

    def finish(self, steps_per_epoch: int) -> tuple[Model, DataFrame]:
        """Return the model that is kept, in float32, and the history."""
        import pandas as pd

        kept = self.best_epoch if self.training.keep == "best" else len(self.rows) - 1
        trained = with_precision(self.network, "float32")
        trained.set_weights(self.best if self.training.keep == "best" else self._weights())
        table = pd.DataFrame(self.rows)
        table.insert(0, "epoch", range(1, len(table) + 1))
        table.insert(1, "steps", table["epoch"] * steps_per_epoch)
        table.insert(2, "seconds", table.pop("seconds").round(2))
        table["kept"] = table.index == kept
        logger.info(
            "Trained %d epochs in %.0f s; kept epoch %d: validation loss %.4f, accuracy %.4f",
            *(len(table), table["seconds"].sum(), kept + 1, table["val_loss"][kept], table["val_accuracy"][kept]),
        )
        return trained, table

    def _weights(self) -> list[Array]:
        """The weights that validation saw: averaged, where they are."""
        if not self.training.weight_average:
            return list(self.network.get_weights())
        present = self.network.get_weights()
        self.network.optimizer.finalize_variable_values(self.network.trainable_variables)
        averaged = list(self.network.get_weights())
        self.network.set_weights(present)
        return averaged


def _values(variables: list[Any]) -> list[Array]:
    import keras

    return [keras.ops.convert_to_numpy(variable) for variable in variables]


def _assign(variables: list[Any], values: list[Array]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
