"""A killed and resumed training ends with the weights of an uninterrupted one."""

import logging
import os
import random
import sys
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest

from chest_xray.core.types import Array
from chest_xray.models.training import Checkpoint, TrainingSets, fingerprint_training
from chest_xray.pipelines.modeling.nodes import build_training_sets, train_model
from tests import commands
from tests.builders import TINY_NETWORK, make_pixels, make_run, make_split, make_training
from tests.conftest import ROOT
from tests.models.toys import PREPARATION, make_model, make_sets, weights_differ

EPOCHS = 8
COMMAND = "import sys; from tests.models.test_checkpointing import train; train(sys.argv[1])"


def train(filepath: str) -> tuple[keras.Model, pd.DataFrame]:
    """Train with everything that has a state: dropout, batch normalisation, schedule, averages, copies."""
    network = TINY_NETWORK.model_copy(update={"batch_normalization": True, "dropout": 0.5})
    options = make_training(
        **{"epochs": EPOCHS, "batch_size": 4, "schedule": "cosine", "warmup_epochs": 1, "weight_average": 0.9},
        patience=EPOCHS,
    )
    run = make_run(copies=1, tilt=10, noise=0.1)
    split = make_split([0, 1] * 80, ["train"] * 120 + ["validation"] * 40)
    sets = build_training_sets(make_pixels(160), split, PREPARATION, options, run)
    return train_model(make_model(network=network), sets, options, Checkpoint(filepath))


def kill_between_epochs(checkpoint: Path, delay: float) -> None:
    """Start a training in a process of its own, and kill it some seconds after its next checkpoint."""
    before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    process = commands.start([sys.executable, "-c", COMMAND, str(checkpoint)], env=environment)
    deadline = time.monotonic() + 120
    while not (checkpoint.exists() and checkpoint.stat().st_mtime_ns > before):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.002)
    time.sleep(delay)
    process.kill()
    assert process.wait() == -9, "training was over before it was killed"


def test_a_training_killed_twice_gives_bit_for_bit_the_result_of_an_uninterrupted_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "chest_xray")
    undisturbed, history = train(str(tmp_path / "undisturbed.npz"))
    assert not [message for message in caplog.messages if "resumes" in message]
    for _ in range(2):
        kill_between_epochs(tmp_path / "checkpoint.npz", random.uniform(0, 0.1))
    resumed, history_again = train(str(tmp_path / "checkpoint.npz"))
    (message,) = [message for message in caplog.messages if "resumes" in message]
    assert 2 <= int(message.split()[4]) < EPOCHS  # Training resumes after epoch N
    assert not weights_differ(resumed, undisturbed)
    pd.testing.assert_frame_equal(
        history_again.drop(columns="seconds"), history.drop(columns="seconds"), check_exact=True
    )


def test_a_checkpoint_of_other_settings_is_not_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "chest_xray")
    options, checkpoint = make_training(epochs=1), Checkpoint(str(tmp_path / "checkpoint.npz"))
    model = make_model()
    of_others = [np.ones_like(weight) for weight in model.get_weights()]
    expected, _ = train_model(model, make_sets(), options, checkpoint)
    checkpoint.save("other", {"network": of_others, "optimizer": [], "best": of_others}, [])
    trained, _ = train_model(model, make_sets(), options, checkpoint)
    assert not weights_differ(trained, expected)
    assert [message for message in caplog.messages if "is of other data or settings" in message]


def fingerprint(sets: TrainingSets, seed: int = 7, **training: Any) -> str:
    return fingerprint_training(make_model(seed), sets, make_training(**training))


def test_the_fingerprint_is_the_same_for_images_in_memory_and_memory_mapped(tmp_path: Path) -> None:
    sets = make_sets()
    assert fingerprint(make_sets()) == fingerprint(sets)
    np.save(tmp_path / "pixels.npy", sets.train.pixels)
    mapped = make_sets()
    mapped.train.pixels = np.load(tmp_path / "pixels.npy", mmap_mode="r")
    assert fingerprint(mapped) == fingerprint(sets)


def one_changed(array: Array) -> Array:
    changed = array.copy()
    changed.flat[0] = (changed.flat[0] + 1) % 2
    return changed


def test_settings_data_and_initial_weights_change_the_fingerprint() -> None:
    found = [fingerprint(make_sets()), fingerprint(make_sets(), seed=8), fingerprint(make_sets(seed=8))]
    found += [fingerprint(make_sets(), epochs=3), fingerprint(make_sets(), learning_rate=0.02)]
    found.append(fingerprint(make_sets(augmentation=make_run(copies=1).augmentation)))
    for name in ("pixels", "rows", "labels"):
        sets = make_sets()
        setattr(sets.train, name, one_changed(getattr(sets.train, name)))
        found.append(fingerprint(sets))
    assert len(set(found)) == len(found) == 9
