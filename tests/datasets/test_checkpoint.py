"""The checkpoint of an interrupted training is restored exactly, and only for the same training."""

import errno
import logging
import os
import random
from pathlib import Path

import numpy as np
import pytest
from kedro.io import DatasetError

from chest_xray.core.types import Array
from chest_xray.datasets import CheckpointDataset
from chest_xray.models.training import Checkpoint

ARRAYS: dict[str, list[Array]] = {
    "network": [np.arange(6, dtype=np.float32).reshape(2, 3), np.array(7, np.int64)],
    "best": [],
}
NOTES = [{"loss": 0.5, "val_loss": 0.1 + 0.2}]


@pytest.fixture
def checkpoint(tmp_path: Path) -> Checkpoint:
    """Return a checkpoint in a folder that does not exist yet, as the dataset loads it."""
    return CheckpointDataset(filepath=str(tmp_path / "run" / "checkpoint.npz")).load()


def test_a_checkpoint_round_trip_preserves_arrays_and_notes_bit_for_bit(checkpoint: Checkpoint) -> None:
    checkpoint.save("this", ARRAYS, NOTES)
    found = checkpoint.load("this")
    assert found is not None
    arrays, notes = found
    assert list(arrays) == ["network", "best"]
    assert arrays["best"] == []
    for array, saved in zip(arrays["network"], ARRAYS["network"], strict=True):
        assert array.dtype == saved.dtype
        np.testing.assert_array_equal(array, saved)
    assert notes == NOTES


def test_loading_without_a_checkpoint_returns_nothing(checkpoint: Checkpoint) -> None:
    assert checkpoint.load("this") is None
    checkpoint.clear()  # and clearing does nothing


def test_the_last_checkpoint_replaces_the_previous_one(checkpoint: Checkpoint) -> None:
    checkpoint.save("this", ARRAYS, [])
    checkpoint.save("this", {}, NOTES)
    assert checkpoint.load("this") == ({}, NOTES)
    assert [path.name for path in Path(checkpoint.filepath).parent.iterdir()] == ["checkpoint.npz"]


def test_the_checkpoint_of_another_training_is_ignored_with_a_message(
    checkpoint: Checkpoint, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "chest_xray")
    checkpoint.save("this", ARRAYS, NOTES)
    assert checkpoint.load("other") is None
    assert caplog.messages == [f"Training starts anew: {checkpoint.filepath} is of other data or settings"]
    assert checkpoint.load("this") is not None  # It is not used, but kept.


def test_a_cleared_checkpoint_is_deleted(checkpoint: Checkpoint) -> None:
    checkpoint.save("this", ARRAYS, NOTES)
    checkpoint.clear()
    assert checkpoint.load("this") is None


def test_a_failed_save_keeps_the_previous_checkpoint(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint.save("this", ARRAYS, NOTES)

    def write_half(path: Path, **_: object) -> None:
        path.write_bytes(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(np, "savez", write_half)
    with pytest.raises(OSError, match="no space left"):
        checkpoint.save("this", {}, [])
    assert checkpoint.load("this") is not None


def test_the_dataset_always_exists_and_cannot_be_saved(tmp_path: Path) -> None:
    dataset = CheckpointDataset(filepath=str(tmp_path / "checkpoint.npz"))
    assert dataset.exists()
    with pytest.raises(DatasetError, match="received dict to save, but CheckpointDataset is read-only"):
        dataset.save({})  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(25))
def test_a_damaged_checkpoint_is_reported_and_not_used(
    seed: int, checkpoint: Checkpoint, caplog: pytest.LogCaptureFixture
) -> None:
    rng = random.Random(seed)
    checkpoint.save("a", {"weights": [np.arange(50.0)]}, {"epoch": 3})
    path = Path(checkpoint.filepath)
    whole = path.read_bytes()
    if seed % 5 == 0:
        path.write_bytes(whole[: rng.choice([0, rng.randrange(len(whole))])])
    else:  # in what is stored of the arrays and of the header, which a zip archive has checksums of
        place = rng.randrange(200, 700)
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << rng.randrange(8)]) + whole[place + 1 :])
    found = checkpoint.load("a")
    if found is not None:  # The changed byte has no effect, such as a timestamp of the archive.
        np.testing.assert_array_equal(found[0]["weights"][0], np.arange(50.0))
        assert found[1] == {"epoch": 3}
    else:
        assert "Training starts anew" in caplog.text


def test_a_full_disk_gives_a_one_sentence_error_and_keeps_the_previous_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Checkpoint(str(tmp_path / "checkpoint.npz"))
    place.save("a", {"network": [np.ones(3)]}, [1])

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(np, "savez", fail)
    with pytest.raises(DatasetError, match=r"cannot write .*checkpoint\.npz: No space left on device\. .* Make room"):
        place.save("a", {"network": [np.zeros(3)]}, [2])
    monkeypatch.undo()
    found = place.load("a")
    assert found is not None
    assert found[1] == [1]
