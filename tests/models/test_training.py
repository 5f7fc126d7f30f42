"""Training is reproducible, keeps the configured epoch, and uses every setting."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from chest_xray.core.types import InputError
from chest_xray.models.inference import score_images
from chest_xray.models.training import Checkpoint, Run, Training, TrainingSets, compile_network
from chest_xray.pipelines.modeling.nodes import build_training_sets, train_model
from tests.builders import TINY_NETWORK, make_pixels, make_run, make_split, make_training
from tests.models.toys import (
    COPIES,
    PREPARATION,
    TRAIN,
    VALIDATION,
    make_images_and_split,
    make_model,
    make_sets,
    weights_differ,
)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Checkpoint:
    """An empty checkpoint."""
    return Checkpoint(str(tmp_path / "checkpoint.npz"))


@pytest.fixture(scope="module")
def training(tmp_path_factory: pytest.TempPathFactory) -> tuple[keras.Model, keras.Model, pd.DataFrame]:
    """A model before and after four epochs, and their history."""
    untrained = make_model()
    checkpoint = Checkpoint(str(tmp_path_factory.mktemp("training") / "checkpoint.npz"))
    return untrained, *train_model(untrained, make_sets(), make_training(epochs=4, learning_rate=0.05), checkpoint)


def test_training_does_not_change_the_untrained_model(training: tuple[keras.Model, keras.Model, pd.DataFrame]) -> None:
    untrained, trained, _ = training
    assert not weights_differ(untrained, make_model())
    assert weights_differ(trained, untrained)


def test_training_reduces_the_loss_and_reports_each_epoch(
    training: tuple[keras.Model, keras.Model, pd.DataFrame],
) -> None:
    _, trained, history = training
    assert history.columns.tolist() == [
        *("epoch", "steps", "seconds", "accuracy", "loss", "val_accuracy", "val_loss", "kept")
    ]
    assert history["epoch"].tolist() == [1, 2, 3, 4]
    assert history["steps"].tolist() == [2, 4, 6, 8]  # 16 images in batches of 8
    assert (history["seconds"] > 0).all()
    assert history["kept"].tolist() == (history["val_loss"] == history["val_loss"].min()).tolist()
    table = score_images(trained, *make_images_and_split(), "validation")
    assert ((table["sigmoid"] >= 0.5) == (table["label"] == 1)).all()


@pytest.fixture(scope="module")
def with_dropout() -> keras.Model:
    """An untrained model."""
    return make_model(network=TINY_NETWORK.model_copy(update={"dropout": 0.5}))


def train_with_copies(untrained: keras.Model, folder: Path, seed: int = 7) -> tuple[keras.Model, pd.DataFrame]:
    """Train a model on images and copies, which are drawn from the seed as its dropout is."""
    sets = make_sets(augmentation=COPIES, seed=seed)
    return train_model(untrained, sets, make_training(), Checkpoint(str(folder / "checkpoint.npz")))


@pytest.fixture(scope="module")
def with_copies(
    with_dropout: keras.Model, tmp_path_factory: pytest.TempPathFactory
) -> tuple[keras.Model, pd.DataFrame]:
    """The trained model and its history."""
    return train_with_copies(with_dropout, tmp_path_factory.mktemp("copies"))


def test_training_twice_with_one_seed_gives_the_same_history_and_predictions(
    with_dropout: keras.Model, with_copies: tuple[keras.Model, pd.DataFrame], tmp_path: Path
) -> None:
    first, images = with_copies, make_images_and_split()
    second, other = (train_with_copies(with_dropout, tmp_path, seed) for seed in (7, 8))
    pd.testing.assert_frame_equal(first[1].drop(columns="seconds"), second[1].drop(columns="seconds"))
    tables = [score_images(trained, *images, "validation") for trained, _ in (first, second, other)]
    pd.testing.assert_frame_equal(tables[0], tables[1], check_exact=True)
    assert (tables[0]["sigmoid"] != tables[2]["sigmoid"]).all()


def validation_loss(model: keras.Model, sets: TrainingSets) -> float:
    probability = model.predict(sets.validation.map(lambda images, _: images), verbose=0)
    labels = np.concatenate([labels for _, labels in sets.validation.as_numpy_iterator()])
    return float(keras.losses.BinaryCrossentropy()(labels, probability))


def test_the_best_epoch_is_kept_and_training_stops_when_patience_runs_out(checkpoint: Checkpoint) -> None:
    sets = make_sets(mislead=True)  # The lower the training loss, the higher the validation loss.
    trained, history = train_model(make_model(), sets, make_training(epochs=6, patience=2), checkpoint)
    assert history["val_loss"].is_monotonic_increasing
    assert history["epoch"].tolist() == [1, 2, 3]
    assert history["kept"].tolist() == [True, False, False]
    assert validation_loss(trained, sets) == pytest.approx(history["val_loss"][0], rel=1e-4)


def test_with_keep_last_training_runs_to_the_last_epoch_and_keeps_it(checkpoint: Checkpoint) -> None:
    sets = make_sets(mislead=True)
    trained, history = train_model(make_model(), sets, make_training(epochs=4, patience=1, keep="last"), checkpoint)
    assert history["kept"].tolist() == [False, False, False, True]
    assert validation_loss(trained, sets) == pytest.approx(history["val_loss"][3], rel=1e-4)


def test_a_model_trained_in_bfloat16_computes_in_float32_afterwards(checkpoint: Checkpoint) -> None:
    options = make_training(epochs=1, precision="mixed_bfloat16")
    trained, _ = train_model(make_model(), make_sets(), options, checkpoint)
    assert {layer.compute_dtype for layer in trained.layers} == {"float32"}


def test_averaged_weights_are_a_moving_average_over_steps_with_the_given_momentum(checkpoint: Checkpoint) -> None:
    sets, options = make_sets(mislead=True), make_training(epochs=1, keep="last")
    after_one, _ = train_model(make_model(), replace(sets, steps_per_epoch=1), options, checkpoint)
    after_two, _ = train_model(make_model(), sets, options, checkpoint)
    averaging = make_training(epochs=1, keep="last", weight_average=0.75)
    averaged, history = train_model(make_model(), sets, averaging, checkpoint)
    for first, second, found in zip(*(each.get_weights() for each in (after_one, after_two, averaged)), strict=True):
        np.testing.assert_allclose(found, 0.75 * first + 0.25 * second, atol=1e-6)
    assert weights_differ(averaged, after_two)
    assert validation_loss(averaged, sets) == pytest.approx(history["val_loss"][0], rel=1e-4)  # validated as averaged


def rates(steps: list[int], **training: Any) -> list[float]:
    """The learning rate at these steps, of four epochs of ten steps."""
    options = make_training(epochs=4, learning_rate=0.1, **training)
    rate = compile_network(make_model(), options, steps_per_epoch=10).optimizer._learning_rate
    return [float(rate(step)) if callable(rate) else float(rate) for step in steps]


def test_the_learning_rate_warms_up_from_0_and_decays_as_a_cosine_to_a_hundredth() -> None:
    # Midway between the end of the warm-up, at step 10, and the last step, it has fallen by half of 0.1 - 0.001.
    found = rates([0, 5, 10, 25, 40], schedule="cosine", warmup_epochs=1)
    assert found == pytest.approx([0, 0.05, 0.1, 0.0505, 0.001], abs=1e-6)


def test_without_warmup_the_learning_rate_decays_from_the_first_step() -> None:
    found = rates([0, 20, 40], schedule="cosine", warmup_epochs=0)
    assert found == pytest.approx([0.1, 0.0505, 0.001], abs=1e-6)


def test_a_constant_learning_rate_has_no_warmup() -> None:
    assert rates([0], schedule="constant", warmup_epochs=1) == pytest.approx([0.1])


def test_smoothed_labels_reach_the_loss() -> None:
    # Of a label 1 smoothed by 0.2 the loss at a probability of 0.8 is -(0.9 log 0.8 + 0.1 log 0.2).
    loss = compile_network(make_model(), make_training(label_smoothing=0.2), 1).loss
    expected = -(0.9 * np.log(0.8) + 0.1 * np.log(0.2))
    assert float(loss(np.array([[1.0]]), np.array([[0.8]]))) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_the_step_size_follows_from_optimiser_and_learning_rate(optimizer: str, checkpoint: Checkpoint) -> None:
    sets, untrained = make_sets(batch_size=16), make_model()
    options = make_training(epochs=1, optimizer=optimizer, learning_rate=0.003, batch_size=16)
    trained, _ = train_model(untrained, sets, options, checkpoint)
    step = float((trained.get_weights()[-1] - untrained.get_weights()[-1])[0])
    # The last bias has the gradient mean(probability - label); Adam's first step is as long as the learning rate.
    pixels, _ = make_images_and_split()
    gradient = float(np.mean(untrained(pixels[:16, ..., None].astype(np.float32) / 255).numpy()[:, 0] - TRAIN))
    # Nesterov's momentum of 0.9 adds that share of the first step to itself.
    expected = -0.003 * (1.9 * gradient if optimizer == "sgd" else np.sign(gradient))
    assert step == pytest.approx(expected, rel=0.01)


def test_an_epoch_has_as_many_steps_with_copies_as_without() -> None:
    sets = [make_sets(augmentation=each, batch_size=5) for each in (None, COPIES)]
    assert [each.steps_per_epoch for each in sets] == [4, 4]  # 16 images in batches of 5
    assert [each.train.num_enlarged for each in sets] == [16, 32]


def test_an_epoch_can_be_several_passes_long() -> None:
    assert make_sets(batch_size=5, passes_per_epoch=3).steps_per_epoch == 10  # 48 images in batches of 5


def test_the_validation_set_has_the_validation_images_in_order_without_copies() -> None:
    pixels, _ = make_images_and_split()
    for augmentation in (None, COPIES):
        sets = make_sets(augmentation=augmentation)
        ((images, labels),) = sets.validation.as_numpy_iterator()
        np.testing.assert_array_equal(images[..., 0], pixels[16:].astype(np.float32) / 255)
        assert labels[:, 0].tolist() == VALIDATION
        assert sets.validation.element_spec[1] == tf.TensorSpec((None, 1), tf.float32)


def test_only_train_images_are_trained_on() -> None:
    assert make_sets().train.rows.tolist() == list(range(16))


@pytest.mark.parametrize(
    ("class_weight", "expected"),
    [("balanced", {0: 2.0, 1: pytest.approx(2 / 3)}), ("none", {0: 1.0, 1: 1.0})],  # 8 / (2 x 2) and 8 / (2 x 6)
)
def test_class_weights_are_inversely_proportional_to_the_number_of_images(
    class_weight: str, expected: dict[int, float]
) -> None:
    split = make_split([0, 0, 1, 1, 1, 1, 1, 1, 0, 0], ["train"] * 8 + ["validation"] * 2)
    sets = build_training_sets(
        make_pixels(10), split, PREPARATION, make_training(class_weight=class_weight), make_run()
    )
    assert sets.class_weight == expected


@pytest.mark.parametrize(
    ("options", "changes", "message"),
    [
        (Training, {"epocs": 3}, "epocs: received 3, but Extra inputs are not permitted"),
        (Training, {"epochs": 0}, "epochs: received 0, but Input should be greater than or equal to 1"),
        (Training, {"learning_rate": 0}, "learning_rate: received 0, but Input should be greater than 0"),
        (Training, {"optimizer": "adagrad"}, "optimizer: received 'adagrad', but Input should be 'adam' or 'sgd'"),
        (Training, {"schedule": "step"}, "schedule: received 'step', but Input should be 'constant' or 'cosine'"),
        (Training, {"keep": "first"}, "keep: received 'first', but Input should be 'best' or 'last'"),
        (Training, {"weight_average": 1.0}, "weight_average: received 1.0, but Input should be less than 1"),
        (Run, {"seed": -1}, "seed: received -1, but Input should be greater than or equal to 0"),
        (Run, {"augmentation": {"tlt": 5}}, "augmentation.tlt: received 5, but Extra inputs are not permitted"),
    ],
)
def test_invalid_options_are_refused(options: type[Any], changes: dict[str, Any], message: str) -> None:
    plain = (make_training() if options is Training else make_run()).model_dump()
    with pytest.raises(InputError, match=message):
        options.model_validate({**plain, **changes})


def test_augmentation_is_inactive_after_training(
    with_dropout: keras.Model, with_copies: tuple[keras.Model, pd.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    trained, _ = with_copies
    assert [type(layer) for layer in trained.layers] == [type(layer) for layer in with_dropout.layers]

    def refuse(*_: Any) -> None:
        raise AssertionError("a test image was altered")

    monkeypatch.setattr("chest_xray.models.input_pipeline.augment", refuse)
    pixels, split = make_images_and_split()
    table = score_images(trained, pixels, split, "validation")
    plainly = trained.predict(pixels[len(TRAIN) :, ..., None] / np.float32(255), verbose=0)[:, 0]
    np.testing.assert_allclose(table["sigmoid"], plainly, atol=1e-6)
    with pytest.raises(Exception, match="a test image was altered"):  # as training does
        next(iter(make_sets(augmentation=COPIES).train.dataset()))
