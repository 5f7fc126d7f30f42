"""Training can be repeated and keeps its best epoch; the threshold is chosen as it was asked for."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from chest_xray.augment import Augmentation
from chest_xray.network import build_network
from chest_xray.options import InputError
from chest_xray.pipelines.modeling.nodes import (
    OperatingPointRule,
    Training,
    TrainingSets,
    build_model,
    build_training_sets,
    choose_operating_point,
    predict_validation,
    train_model,
)
from chest_xray.types import Array
from tests.builders import TINY_NETWORK, make_pixels, make_predictions, make_split, make_training

TRAIN, VALIDATION = [0, 1] * 8, [0, 1] * 4
NO_COPIES, COPIES = Augmentation(), Augmentation(copies=1, horizontal_flip=True, tilt=10)


def make_images_and_split(*, mislead: bool = False) -> tuple[Array, pd.DataFrame]:
    """Dark healthy and bright diseased images; where `mislead`, validation has it the other way round."""
    labels = np.array(TRAIN + VALIDATION)
    pixels = (make_pixels(len(labels)) // 4 + 128 * labels[:, None, None]).astype(np.uint8)
    labels[len(TRAIN) :] = (labels[len(TRAIN) :] + mislead) % 2
    return pixels, make_split(labels.tolist(), ["train"] * len(TRAIN) + ["validation"] * len(VALIDATION))


def make_sets(*, mislead: bool = False, augmentation: Augmentation = NO_COPIES, **training: Any) -> TrainingSets:
    return build_training_sets(*make_images_and_split(mislead=mislead), make_training(**training), augmentation)


def make_model(seed: int = 7) -> keras.Model:
    return build_model(make_pixels(1), TINY_NETWORK, make_training(seed=seed))


def weights_differ(first: keras.Model, second: keras.Model) -> bool:
    return any((a != b).any() for a, b in zip(first.get_weights(), second.get_weights(), strict=True))


def test_the_first_weights_come_from_the_seed() -> None:
    assert not weights_differ(make_model(), make_model())
    assert weights_differ(make_model(), make_model(seed=8))


def test_the_network_is_built_for_the_prepared_size() -> None:
    model = build_model(make_pixels(1, height=16, width=24), TINY_NETWORK, make_training())
    assert model.input_shape == (None, 16, 24, 1)


@pytest.fixture(scope="module")
def training() -> tuple[keras.Model, keras.Model, pd.DataFrame]:
    """A model before and after four epochs, and their history."""
    untrained = make_model()
    return untrained, *train_model(untrained, make_sets(), make_training(epochs=4, learning_rate=0.05))


def test_training_does_not_change_the_untrained_model(training: tuple[keras.Model, keras.Model, pd.DataFrame]) -> None:
    untrained, trained, _ = training
    assert not weights_differ(untrained, make_model())
    assert weights_differ(trained, untrained)


def test_training_learns_and_tells_each_epoch(training: tuple[keras.Model, keras.Model, pd.DataFrame]) -> None:
    _, trained, history = training
    assert history.columns.tolist() == [
        *("epoch", "steps", "seconds", "accuracy", "auc", "loss", "val_accuracy", "val_auc", "val_loss", "kept")
    ]
    assert history["epoch"].tolist() == [1, 2, 3, 4]
    assert history["steps"].tolist() == [2, 4, 6, 8]  # 16 images in batches of 8
    assert (history["seconds"] > 0).all()
    assert history["kept"].tolist() == (history["val_loss"] == history["val_loss"].min()).tolist()
    table = predict_validation(trained, *make_images_and_split())
    assert ((table["probability"] >= 0.5) == (table["label"] == 1)).all()


def test_training_with_one_seed_gives_the_same_model_twice() -> None:
    untrained = make_model()
    trained, history = train_model(untrained, make_sets(augmentation=COPIES), make_training())
    again, history_again = train_model(untrained, make_sets(augmentation=COPIES), make_training())
    assert not weights_differ(trained, again)
    pd.testing.assert_frame_equal(history.drop(columns="seconds"), history_again.drop(columns="seconds"))
    assert weights_differ(trained, untrained)


def validation_loss(model: keras.Model, sets: TrainingSets) -> float:
    probability = model.predict(sets.validation.map(lambda images, _: images), verbose=0)
    labels = np.concatenate([labels for _, labels in sets.validation.as_numpy_iterator()])
    return float(keras.losses.BinaryCrossentropy()(labels, probability))


def test_the_best_epoch_is_kept_and_training_stops_when_patience_is_out() -> None:
    sets = make_sets(mislead=True)  # The better it learns, the worse it validates.
    trained, history = train_model(make_model(), sets, make_training(epochs=6, patience=2))
    assert history["val_loss"].is_monotonic_increasing
    assert history["epoch"].tolist() == [1, 2, 3]
    assert history["kept"].tolist() == [True, False, False]
    assert validation_loss(trained, sets) == pytest.approx(history["val_loss"][0], rel=1e-4)


def test_a_model_trained_in_bfloat16_computes_in_float32_afterwards() -> None:
    trained, _ = train_model(make_model(), make_sets(), make_training(epochs=1, precision="mixed_bfloat16"))
    assert {layer.compute_dtype for layer in trained.layers} == {"float32"}


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_one_step_is_as_long_as_optimiser_and_learning_rate_say(optimizer: str) -> None:
    sets, untrained = make_sets(batch_size=16), make_model()
    options = make_training(epochs=1, optimizer=optimizer, learning_rate=0.003, batch_size=16)
    trained, _ = train_model(untrained, sets, options)
    step = float((trained.get_weights()[-1] - untrained.get_weights()[-1])[0])
    # The last bias has the gradient mean(probability - label); Adam's first step is as long as the learning rate.
    pixels, _ = make_images_and_split()
    gradient = float(np.mean(untrained(pixels[:16, ..., None].astype(np.float32) / 255).numpy()[:, 0] - TRAIN))
    assert step == pytest.approx(-0.003 * (gradient if optimizer == "sgd" else np.sign(gradient)), rel=0.01)


def test_an_epoch_has_as_many_steps_with_copies_as_without() -> None:
    sets = [make_sets(augmentation=each, batch_size=5) for each in (NO_COPIES, COPIES)]
    assert [each.steps_per_epoch for each in sets] == [4, 4]  # 16 images in batches of 5
    assert [each.train.num_enlarged for each in sets] == [16, 32]


def test_validation_holds_the_validation_images_in_order_and_no_copies() -> None:
    pixels, split = make_images_and_split()
    for augmentation in (NO_COPIES, COPIES):
        sets = build_training_sets(pixels, split, make_training(), augmentation)
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
def test_class_weights_are_inverse_to_the_number_of_images(class_weight: str, expected: dict[int, float]) -> None:
    split = make_split([0, 0, 1, 1, 1, 1, 1, 1, 0, 0], ["train"] * 8 + ["validation"] * 2)
    sets = build_training_sets(make_pixels(10), split, make_training(class_weight=class_weight), NO_COPIES)
    assert sets.class_weight == expected


def test_the_validation_table_has_the_validation_images_alone() -> None:
    table = predict_validation(build_network((16, 16), TINY_NETWORK), *make_images_and_split())
    assert table["label"].tolist() == VALIDATION
    assert set(table["subset"]) == {"validation"}
    assert table["probability"].dtype == np.float32


def choose(rule: str, labels: Sequence[int], probabilities: Sequence[float], least: float = 0.75) -> dict[str, Any]:
    options = OperatingPointRule.model_validate({"rule": rule, "min_sensitivity": least})
    return choose_operating_point(make_predictions(labels, probabilities), options)


# Diseased at 0.9, 0.7, 0.5, 0.3 and healthy at 0.8, 0.6, 0.4, 0.2.
LABELS, PROBABILITIES = [1, 0, 1, 0, 1, 0, 1, 0], [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2]


@pytest.mark.parametrize(
    ("least", "threshold", "sensitivity", "specificity"),
    [
        (0.1, 0.9, 0.25, 1.0),
        (0.25, 0.9, 0.25, 1.0),
        (0.26, 0.7, 0.5, 0.75),
        (0.75, 0.5, 0.75, 0.5),
        (0.76, 0.3, 1.0, 0.25),
        (1.0, 0.3, 1.0, 0.25),
    ],
)
def test_the_highest_threshold_that_finds_enough_of_the_diseased(
    least: float, threshold: float, sensitivity: float, specificity: float
) -> None:
    assert choose("sensitivity", LABELS, PROBABILITIES, least) == {
        "threshold": pytest.approx(threshold),
        "rule": "sensitivity",
        "sensitivity": sensitivity,
        "specificity": specificity,
    }


def test_the_threshold_where_sensitivity_and_specificity_together_are_largest() -> None:
    # Sums at the diseased: 0.9: 1/4 + 1; 0.8: 2/4 + 1; 0.6: 3/4 + 3/4; 0.4: 1 + 2/4.
    labels, probabilities = [1, 1, 0, 1, 0, 1, 0, 0], [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2]
    found = choose("balanced_accuracy", labels, probabilities)
    assert found["threshold"] == pytest.approx(0.8)  # of three equal sums the highest threshold
    assert (found["sensitivity"], found["specificity"]) == (0.5, 1.0)
    # With the healthy image at 0.5 diseased instead, 0.4 is alone: 1 + 2/3 against 2/5 + 1, 3/5 + 2/3 and 4/5 + 2/3.
    labels[4] = 1
    found = choose("balanced_accuracy", labels, probabilities)
    assert found["threshold"] == pytest.approx(0.4)
    assert (found["sensitivity"], found["specificity"]) == (1.0, pytest.approx(2 / 3))


def test_equal_sums_are_equal_whatever_thirds_come_to_in_floats() -> None:
    # At 0.8: 2/3 + 1; at 0.6: 1 + 2/3.
    found = choose("balanced_accuracy", [1, 1, 0, 1, 0, 0], [0.9, 0.8, 0.7, 0.6, 0.3, 0.1])
    assert found["threshold"] == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("labels", "probabilities", "threshold", "sensitivity", "specificity"),
    [
        ([0, 1, 0, 1], [1.0, 1.0, 1.0, 1.0], 1.0, 1.0, 0.0),  # nothing tells the classes apart
        ([0, 0, 1, 1], [1.0, 0.9, 0.2, 0.1], 0.1, 1.0, 0.0),  # the wrong way round
    ],
)
def test_the_threshold_is_a_probability_that_was_given_even_where_none_does_better_than_chance(
    labels: list[int], probabilities: list[float], threshold: float, sensitivity: float, specificity: float
) -> None:
    found = choose("balanced_accuracy", labels, probabilities)
    assert found == {
        **{"threshold": pytest.approx(threshold), "rule": "balanced_accuracy"},
        **{"sensitivity": sensitivity, "specificity": specificity},
    }


def test_images_of_one_probability_are_called_alike() -> None:
    # 0.6 is shared by a diseased and a healthy image: the threshold takes both or neither.
    found = choose("sensitivity", [1, 1, 0, 0], [0.9, 0.6, 0.6, 0.1], 1.0)
    assert (found["threshold"], found["sensitivity"], found["specificity"]) == (pytest.approx(0.6), 1.0, 0.5)


def test_the_reported_figures_are_those_at_the_threshold() -> None:
    rng = np.random.default_rng(0)
    labels, probabilities = rng.integers(0, 2, 60), (rng.integers(0, 11, 60) / 10).astype(np.float32)
    for rule in ("sensitivity", "balanced_accuracy"):
        found = choose(rule, labels.tolist(), probabilities.tolist())
        called = probabilities >= found["threshold"]
        assert found["sensitivity"] == pytest.approx(called[labels == 1].mean())
        assert found["specificity"] == pytest.approx(1 - called[labels == 0].mean())


def test_the_order_of_images_does_not_matter() -> None:
    backwards = choose("sensitivity", LABELS[::-1], PROBABILITIES[::-1])
    assert backwards == choose("sensitivity", LABELS, PROBABILITIES)


@pytest.mark.parametrize(
    ("options", "changes", "message"),
    [
        (Training, {"epocs": 3}, "epocs: received 3, but Extra inputs are not permitted"),
        (Training, {"epochs": 0}, "epochs: received 0, but Input should be greater than or equal to 1"),
        (Training, {"learning_rate": 0}, "learning_rate: received 0, but Input should be greater than 0"),
        (Training, {"optimizer": "adagrad"}, "optimizer: received 'adagrad', but Input should be 'adam' or 'sgd'"),
        (OperatingPointRule, {"rule": "best"}, "rule: received 'best', but Input should be 'balanced_accuracy' or"),
        (OperatingPointRule, {"min_sensitivity": 95}, "min_sensitivity: received 95, but Input should be less than or"),
    ],
)
def test_impossible_options_are_refused(options: type[Any], changes: dict[str, Any], message: str) -> None:
    of_training = make_training().model_dump()
    plain = of_training if options is Training else {"rule": "sensitivity", "min_sensitivity": 0.9}
    with pytest.raises(InputError, match=message):
        options.model_validate({**plain, **changes})
