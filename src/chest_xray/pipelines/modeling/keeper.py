"""What happens after every epoch: note it, leave a checkpoint, keep the best, stop in time."""

import importlib.util
import logging
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chest_xray.core.options import InputError
from chest_xray.core.types import Array, DataFrame, Model
from chest_xray.datasets.checkpoint import Checkpoint
from chest_xray.models.network import with_precision

if TYPE_CHECKING:
    from chest_xray.pipelines.modeling.training import Training

logger = logging.getLogger(__name__)


class Keeper:
    """Holds the state of one training beside what Keras holds, and puts both into the checkpoint.

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
        """Give what Keras is to call."""
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
        """Take an epoch in: Keras calls this at its end.

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
        """Take up what the checkpoint holds of this very training; give the number of epochs that are over."""
        found = self.checkpoint.load(self.fingerprint)
        if found:
            arrays, self.rows = found
            _assign(self.network.variables, arrays["network"])
            _assign(self.network.optimizer.variables, arrays["optimizer"])
            self.best = arrays["best"]
            logger.info("Training goes on after epoch %d of %d", len(self.rows), self.training.epochs)
        return len(self.rows)

    def finish(self, steps_per_epoch: int) -> tuple[Model, DataFrame]:
        """Give the model that is kept, in float32, and the history."""
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
