"""The network is built for the images and seed of its run, and scores the corrupted validation images."""

from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest

from chest_xray.images.corruptions import list_corrupted
from chest_xray.images.preprocessing import Preparation
from chest_xray.models.inference import score_images
from chest_xray.models.network import is_float32, join_networks, without_sigmoid
from chest_xray.pipelines.modeling.nodes import (
    build_model,
    predict_corrupted_validation,
    prepare_scoring,
    record_settings,
)
from tests.builders import TINY_NETWORK, make_pixels, make_run, make_split, make_training
from tests.images.test_validation_corruptions import make_corruptions as make_corruptions
from tests.models.toys import make_model, weights_differ


def test_the_initial_weights_depend_on_the_seed() -> None:
    assert not weights_differ(make_model(), make_model())
    assert weights_differ(make_model(), make_model(seed=8))


def test_the_network_is_built_for_the_prepared_size() -> None:
    model = build_model(make_pixels(1, height=16, width=24), TINY_NETWORK, make_run())
    assert model.input_shape == (None, 16, 24, 1)


def test_every_image_is_scored_under_every_condition_and_the_condition_is_recorded() -> None:
    split, corruptions = make_split([0, 1], "validation"), make_corruptions()
    table = list_corrupted(split, "validation", corruptions)
    pixels, model = make_pixels(len(table)), make_model()
    found = predict_corrupted_validation(model, pixels, split, corruptions)
    assert found[["kind", "strength", "label"]].equals(table[["kind", "strength", "label"]])
    probability = model(pixels[..., None].astype(np.float32) / 255).numpy()[:, 0]
    np.testing.assert_allclose(found["sigmoid"], probability, rtol=1e-5)


def test_flip_tta_averages_the_logits_of_an_image_and_its_mirror_image() -> None:
    model, images = make_model(), make_pixels(3)[..., None].astype(np.float32) / 255
    asked = prepare_scoring(model, make_run().model_copy(update={"flip_tta": True}))
    logit, mirrored = (without_sigmoid(model)(each).numpy() for each in (images, images[:, :, ::-1]))
    assert np.abs(logit - mirrored).min() > 1e-3
    np.testing.assert_allclose(without_sigmoid(asked)(images), (logit + mirrored) / 2, rtol=1e-5)
    np.testing.assert_allclose(asked(images), asked(images[:, :, ::-1]), rtol=1e-6)
    assert prepare_scoring(model, make_run()) is model


@pytest.mark.parametrize("flip_tta", [False, True])
def test_a_network_scores_in_bfloat16_if_the_run_asks_for_it(tmp_path: Path, flip_tta: bool) -> None:
    model, pixels, split = make_model(), make_pixels(4), make_split([0, 1, 0, 1], "test")
    options = {"flip_tta": flip_tta, "scoring_precision": "mixed_bfloat16"}
    asked = prepare_scoring(model, make_run().model_copy(update=options))
    assert is_float32(model)
    assert not is_float32(asked)
    plain = prepare_scoring(model, make_run().model_copy(update={"flip_tta": flip_tta}))
    expected, found = (score_images(each, pixels, split, "test")["logit"] for each in (plain, asked))
    assert 0 < np.abs(found - expected).max() < 0.05
    asked.save(tmp_path / "asked.keras")
    loaded = keras.saving.load_model(tmp_path / "asked.keras")
    np.testing.assert_array_equal(score_images(loaded, pixels, split, "test")["logit"], found)


@pytest.mark.parametrize("flip_tta", [False, True])
def test_predictions_contain_logits_without_and_with_flips(tmp_path: Path, flip_tta: bool) -> None:
    model = make_model(1)
    asked = prepare_scoring(model, make_run().model_copy(update={"flip_tta": flip_tta}))
    asked.save(tmp_path / "asked.keras")
    split, pixels = make_split([0, 1, 1], "test"), make_pixels(3)
    found = score_images(keras.saving.load_model(tmp_path / "asked.keras"), pixels, split, "test", both_passes=True)
    single, mirrored = (
        score_images(model, each, split, "test")["logit"].to_numpy() for each in (pixels, pixels[:, :, ::-1])
    )
    np.testing.assert_allclose(found["logit_single"], single, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found["logit_flips"], (single + mirrored) / 2, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(found["logit"], found["logit_flips" if flip_tta else "logit_single"])
    alone = score_images(asked, pixels, split, "test")
    assert "logit_flips" not in alone
    np.testing.assert_allclose(found["logit"], alone["logit"], rtol=1e-5, atol=1e-6)


def test_a_mean_of_several_networks_has_one_logit() -> None:
    joined = join_networks([make_model(1), make_model(2)])
    found = score_images(joined, make_pixels(2), make_split([0, 1], "test"), "test", both_passes=True)
    assert "logit" in found
    assert "logit_single" not in found


def test_settings_are_recorded_as_plain_values() -> None:
    preparation, history = Preparation(width=16, height=16), pd.DataFrame({"epoch": [1, 2]})
    found = record_settings(history, TINY_NETWORK, make_training(epochs=3), preparation, make_run(seed=5))
    assert found["trained"] == {"epochs": 2}
    assert found["training"]["epochs"] == 3
    assert found["run"]["seed"] == 5
    assert found["model"]["filters"] == [2, 4]


def test_a_network_with_flip_tta_can_be_saved_and_added_to_an_ensemble(tmp_path: Path) -> None:
    images = make_pixels(3)[..., None].astype(np.float32) / 255
    asked = [prepare_scoring(make_model(seed), make_run().model_copy(update={"flip_tta": True})) for seed in (1, 2)]
    joined = join_networks(asked)
    joined.save(tmp_path / "joined.keras")
    again = keras.saving.load_model(tmp_path / "joined.keras", safe_mode=True)
    np.testing.assert_array_equal(again(images), joined(images))
