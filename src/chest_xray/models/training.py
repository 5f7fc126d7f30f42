"""Training that resumes after an interruption and is reproducible bit for bit."""

import importlib.util
import json
import logging
import math
import sys
import time
import zipfile
import zlib
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from chest_xray.core.files import atomic_path
from chest_xray.core.libraries import keras, np, pd, tf
from chest_xray.core.types import Array, DataFrame, Dataset, InputError, Model, Options
from chest_xray.models.augmentation import Augmentation
from chest_xray.models.input_pipeline import TrainingBatches, image_batches
from chest_xray.models.network import Precision, ScoringPrecision, with_precision

logger = logging.getLogger(__name__)


class Checkpoint:
    """The state of training after its last complete epoch, in one local `.npz` file."""

    def __init__(self, filepath: str):
        self.filepath = filepath

    def load(self, fingerprint: str) -> tuple[dict[str, list[Array]], Any] | None:
        """Return the named lists of arrays and the notes saved with this fingerprint, or None."""
        if not Path(self.filepath).is_file():
            return None
        try:
            # Opened here, as NumPy leaves an invalid file open.
            with Path(self.filepath).open("rb") as stream, np.load(stream, allow_pickle=False) as file:
                header = json.loads(str(file["header"]))
                if header["fingerprint"] != fingerprint:
                    logger.info("Training starts anew: %s is of other data or settings", self.filepath)
                    return None
                sizes = header["sizes"]
                return {name: [file[f"{name}.{i}"] for i in range(sizes[name])] for name in sizes}, header["notes"]
        except (ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            logger.warning("Training starts anew: %s is damaged (%s)", self.filepath, error)
            return None

    def save(self, fingerprint: str, arrays: dict[str, list[Array]], notes: Any) -> None:
        """Replace the file by named lists of arrays and notes (plain values), atomically."""
        sizes = {name: len(values) for name, values in arrays.items()}
        header = {"fingerprint": fingerprint, "sizes": sizes, "notes": notes}
        named = {f"{name}.{i}": array for name, values in arrays.items() for i, array in enumerate(values)}
        with atomic_path(self.filepath) as path:
            np.savez(path, header=np.array(json.dumps(header)), **named)  # type: ignore[arg-type]

    def clear(self) -> None:
        """Remove the file."""
        Path(self.filepath).unlink(missing_ok=True)


class Run(Options):
    """Settings of one run; runs share all others, so that they can be compared."""

    title: str
    seed: Annotated[int, Field(ge=0, lt=2**31)]
    augmentation: Augmentation
    flip_tta: bool = False  # flip test-time augmentation; see `prepare_scoring`
    scoring_precision: ScoringPrecision = "float32"  # see `prepare_scoring`


class Training(Options):
    """How a network is trained; see `train_model`."""

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
    """Batches and weights of one training."""

    train: TrainingBatches
    validation: Dataset
    steps_per_epoch: int
    class_weight: dict[int, float]


def make_validation_batches(pixels: Array, rows: Array, labels: Array) -> Dataset:
    """Return batches of images and float32 labels (batch, 1), in the order of `rows`; see `image_batches`."""
    targets = tf.data.Dataset.from_tensor_slices(labels[rows].astype("float32")[:, None])
    return tf.data.Dataset.zip(image_batches(pixels, rows, 64), targets.batch(64))


def compile_network(untrained_model: Model, training: Training, steps_per_epoch: int) -> Model:
    """Return a compiled copy of the network in the precision of `training`, with its optimizer built."""
    rate: Any = training.learning_rate
    if training.schedule == "cosine":
        warmup = round(training.warmup_epochs * steps_per_epoch)
        num_steps = max(training.epochs * steps_per_epoch - warmup, 1)
        initial_rate, warmup_options = (0.0, {"warmup_target": rate, "warmup_steps": warmup}) if warmup else (rate, {})
        rate = keras.optimizers.schedules.CosineDecay(initial_rate, num_steps, alpha=0.01, **warmup_options)
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
    """Return a digest of network, data and settings; a checkpoint with the same digest can be resumed from."""
    batches = training_sets.train
    # Without names: Keras numbers layers by how many the process has built before.
    layers = [layer.get_config() | {"name": ""} for layer in untrained_model.layers]
    recipe = training.model_copy(update={"tensorboard": False})
    settings = (recipe, training_sets.steps_per_epoch, batches.augmentation, batches.seed, layers)
    digest = blake2b(repr(settings).encode(), digest_size=16)
    for array in (batches.pixels, batches.rows, batches.labels, batches.aspects, *untrained_model.get_weights()):
        digest.update(array.tobytes() if array.ndim < 3 else memoryview(array).cast("B"))
    return digest.hexdigest()


class TrainingState:
    """History and best weights of one training, stored in the checkpoint with the state of Keras after each epoch."""

    def __init__(self, network: Model, training: Training, checkpoint: Checkpoint, fingerprint: str):
        self.network, self.training = network, training
        self.checkpoint, self.fingerprint = checkpoint, fingerprint
        self.rows: list[dict[str, float]] = []
        self.best: list[Array] = []
        self.start = time.perf_counter()

    @property
    def best_epoch(self) -> int:
        """The epoch of the lowest validation loss, from 0."""
        losses = [row["val_loss"] for row in self.rows]
        return losses.index(min(losses))

    @property
    def is_done(self) -> bool:
        """Whether all epochs are complete, or `patience` epochs brought no lower validation loss."""
        num_epochs = len(self.rows)
        has_stalled = num_epochs > 0 and num_epochs - 1 - self.best_epoch >= self.training.patience
        return num_epochs >= self.training.epochs or (self.training.keep == "best" and has_stalled)

    def callbacks(self) -> list[Any]:
        """Return the callbacks for `fit`.

        Raises:
            InputError: TensorBoard is not installed.
        """
        from tqdm.keras import TqdmCallback

        callbacks: list[Any] = [keras.callbacks.SwapEMAWeights()] if self.training.weight_average else []
        callbacks.append(keras.callbacks.LambdaCallback(on_epoch_end=self.record_epoch))
        callbacks.append(TqdmCallback(verbose=0, disable=None, desc="Training"))
        if self.training.tensorboard:
            if importlib.util.find_spec("tensorboard") is None:
                raise InputError(
                    "received training.tensorboard=true, which needs a package that is not installed. "
                    "Install it: pip install 'chest-xray[tensorboard]'."
                )
            folder = Path(self.checkpoint.filepath).parent / "tensorboard"
            callbacks.append(keras.callbacks.TensorBoard(str(folder), write_graph=False))
        return callbacks

    def record_epoch(self, epoch: int, logs: dict[str, float]) -> None:
        """Add an epoch, from 0, to the history and to the checkpoint.

        Raises:
            InputError: A metric or a weight is not finite; the checkpoint still holds the epoch before.
        """
        variables = {"network": self.network.variables, "optimizer": self.network.optimizer.variables}
        arrays = {name: [keras.ops.convert_to_numpy(value) for value in values] for name, values in variables.items()}
        self._require_finite(epoch, logs, arrays["network"])
        now = time.perf_counter()
        self.rows.append({name: float(value) for name, value in logs.items()} | {"seconds": now - self.start})
        self.start = now
        if not sys.stderr.isatty():  # A terminal shows a progress bar.
            values = ", ".join(f"{name} {value:.4f}" for name, value in logs.items())
            logger.info("Epoch %d/%d: %s", epoch + 1, self.training.epochs, values)
        if self.best_epoch == epoch:
            self.best = self._weights()
        self.checkpoint.save(self.fingerprint, {**arrays, "best": self.best}, self.rows)
        self.network.stop_training = self.is_done

    def _require_finite(self, epoch: int, logs: dict[str, float], values: list[Array]) -> None:
        # Weights too: ReLU turns NaN into 0, after which the loss is finite.
        num_infinite = sum(not np.isfinite(value).all() for value in values)
        if num_infinite or not all(map(math.isfinite, logs.values())):
            checkpoint_note = f" The state of epoch {epoch} is in {self.checkpoint.filepath}." if epoch else ""
            raise InputError(
                f"training diverged in epoch {epoch + 1}: {logs}, and {num_infinite} of {len(values)} arrays of "
                "weights hold NaN or infinity; expected finite numbers. Lower training.learning_rate, now "
                f"{self.training.learning_rate}.{checkpoint_note}"
            )

    def resume(self) -> int:
        """Restore the state from the checkpoint, and return the number of complete epochs."""
        if stored := self.checkpoint.load(self.fingerprint):
            arrays, self.rows = stored
            variables = [*self.network.variables, *self.network.optimizer.variables]
            for variable, value in zip(variables, arrays["network"] + arrays["optimizer"], strict=True):
                variable.assign(value)
            self.best = arrays["best"]
            logger.info("Training resumes after epoch %d of %d", len(self.rows), self.training.epochs)
        return len(self.rows)

    def finish(self, steps_per_epoch: int) -> tuple[Model, DataFrame]:
        """Return the selected model in float32, and the history."""
        is_best = self.training.keep == "best"
        selected = self.best_epoch if is_best else len(self.rows) - 1
        trained = with_precision(self.network, "float32")
        trained.set_weights(self.best if is_best else self._weights())
        table = pd.DataFrame(self.rows)
        table.insert(0, "epoch", range(1, len(table) + 1))
        table.insert(1, "steps", table["epoch"] * steps_per_epoch)
        table.insert(2, "seconds", table.pop("seconds").round(2))
        table["kept"] = table.index == selected
        if is_best:
            logger.info("Of %d epochs, epoch %d is kept.", len(table), selected + 1)
        return trained, table

    def _weights(self) -> list[Array]:
        """Return the weights used in validation: the average, if there is one."""
        if not self.training.weight_average:
            return list(self.network.get_weights())
        current = self.network.get_weights()
        self.network.optimizer.finalize_variable_values(self.network.trainable_variables)
        averaged = list(self.network.get_weights())
        self.network.set_weights(current)
        return averaged
