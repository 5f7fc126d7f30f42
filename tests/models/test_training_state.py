"""The state is saved after every epoch; a diverged epoch stops training and does not change it."""

import logging
import math
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from chest_xray.core.types import InputError
from chest_xray.models.training import Checkpoint, TrainingState, compile_network
from chest_xray.pipelines.modeling.nodes import train_model
from tests.builders import make_training
from tests.models.toys import make_model, make_sets, weights_differ


def make_state(folder: Path, fingerprint: str = "this", seed: int = 7, **training: Any) -> TrainingState:
    options = make_training(**{"epochs": 6, **training})
    network = compile_network(make_model(seed), options, steps_per_epoch=2)
    return TrainingState(network, options, Checkpoint(str(folder / "checkpoint.npz")), fingerprint)


def note(state: TrainingState, *validation_losses: float) -> None:
    """Record epochs with these losses; all weights of an epoch equal its number, from 1."""
    for loss in validation_losses:
        epoch = len(state.rows)
        state.network.set_weights([np.full_like(weight, epoch + 1) for weight in state.network.get_weights()])
        state.record_epoch(epoch, {"loss": 0.5, "accuracy": 0.7, "val_loss": loss, "val_accuracy": 0.6})


def value_of(model: keras.Model) -> float:
    (value,) = {float(number) for weight in model.get_weights() for number in weight.ravel()}
    return value


@pytest.mark.parametrize(("keep", "kept"), [("best", 2), ("last", 3)])
def test_the_weights_of_the_best_or_last_epoch_are_restored(keep: str, kept: int, tmp_path: Path) -> None:
    state = make_state(tmp_path, keep=keep)
    note(state, 0.5, 0.4, 0.4)  # Of two that are equally good, the first is the best.
    trained, history = state.finish(steps_per_epoch=2)
    assert value_of(trained) == kept
    assert history.loc[history["kept"], "epoch"].tolist() == [kept]
    assert history["steps"].tolist() == [2, 4, 6]


@pytest.mark.parametrize(
    ("losses", "keep", "done"),
    [
        ([0.5, 0.6], "best", False),
        ([0.5, 0.6, 0.7], "best", True),
        ([0.5, 0.6, 0.4, 0.41], "best", False),  # Patience restarts with each lower loss.
        ([0.5, 0.6, 0.4, 0.41, 0.4], "best", True),  # An equal loss is not lower.
        ([0.5, 0.6, 0.7, 0.8], "last", False),
        ([0.5, 0.4, 0.3, 0.2, 0.1, 0.05], "best", True),  # All six epochs are over.
    ],
)
def test_training_ends_after_all_epochs_or_when_patience_runs_out(
    losses: list[float], keep: str, done: bool, tmp_path: Path
) -> None:
    state = make_state(tmp_path, keep=keep, patience=2)
    note(state, *losses)
    assert state.is_done == done
    assert state.network.stop_training == done


def test_training_resumes_from_its_checkpoint(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "chest_xray")
    left = make_state(tmp_path)
    note(left, 0.5, 0.4, 0.6)
    again = make_state(tmp_path, seed=8)
    assert again.resume() == 3
    assert again.rows == left.rows
    assert value_of(again.network) == 3
    assert {float(weight.flat[0]) for weight in again.best} == {2}
    assert "Training resumes after epoch 3 of 6" in caplog.messages


def test_the_checkpoint_of_another_training_is_not_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "chest_xray")
    note(make_state(tmp_path), 0.5)
    other = make_state(tmp_path, fingerprint="other")
    assert other.resume() == 0
    assert other.rows == []
    assert not weights_differ(other.network, make_model())
    assert f"Training starts anew: {tmp_path}/checkpoint.npz is of other data or settings" in caplog.messages


def test_finished_training_keeps_its_checkpoint_until_the_model_is_saved(tmp_path: Path) -> None:
    state = make_state(tmp_path)
    note(state, 0.5)
    state.finish(steps_per_epoch=2)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.npz"]


def test_divergence_in_the_first_epoch_gives_an_error_without_a_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"diverged in epoch 1: .*now 0.01.$"):
        make_state(tmp_path).record_epoch(0, {"loss": math.nan, "val_loss": 0.5})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_diverging_training_ends_with_a_one_sentence_error(optimizer: str, tmp_path: Path) -> None:
    # With both, ReLU hides the NaN from the loss.
    options = make_training(optimizer=optimizer).model_copy(update={"learning_rate": 1e30})
    with pytest.raises(
        InputError, match=r"diverged in epoch 1: .* and \d of \d arrays of weights hold NaN .* now 1e\+30"
    ):
        train_model(make_model(), make_sets(), options, Checkpoint(str(tmp_path / "checkpoint.npz")))


def test_nan_weights_stop_training_even_if_the_loss_is_finite(tmp_path: Path) -> None:
    state = make_state(tmp_path)
    note(state, 0.5)
    weights = state.network.get_weights()
    weights[2][0, 0, 0, 0] = math.nan
    state.network.set_weights(weights)
    with pytest.raises(InputError, match=r"diverged in epoch 2: .*, and 1 of 8 arrays of weights hold NaN or infinity"):
        state.record_epoch(1, {"loss": 0.5, "accuracy": 0.7, "val_loss": 0.4, "val_accuracy": 0.6})
    assert make_state(tmp_path).resume() == 1


def test_tensorboard_logs_are_written_beside_the_checkpoint_on_request_only(tmp_path: Path) -> None:
    for asked in (False, True):
        checkpoint = Checkpoint(str(tmp_path / "checkpoint.npz"))
        train_model(make_model(), make_sets(), make_training(epochs=2, tensorboard=asked), checkpoint)
        checkpoint.clear()
        written = list((tmp_path / "tensorboard").rglob("events.out.*"))
        assert bool(written) is asked
    assert {path.parent.name for path in written} == {"train", "validation"}


def test_missing_tensorboard_gives_an_error_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"tensorboard=true, .*pip install 'chest-xray\[tensorboard\]'"):
        train_model(
            make_model(), make_sets(), make_training(tensorboard=True), Checkpoint(str(tmp_path / "checkpoint.npz"))
        )
