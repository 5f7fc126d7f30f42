"""An ensemble averages the logits of its members, and their histories."""

import keras
import numpy as np
import pandas as pd
import pytest

from chest_xray.core.types import Array
from chest_xray.models.network import build_network
from chest_xray.pipelines.experiments.nodes import average_histories, join_models, tabulate_members
from tests.builders import TINY_NETWORK, make_history, make_run_metrics, sure

IMAGES = np.array([0.25, 0.5, 1.0], np.float32)[:, None, None, None] * np.ones((1, 8, 8, 1), np.float32)


def make_grey_reader(slope: float, bias: float) -> keras.Model:
    """A model whose logit is slope x mean grey + bias."""
    output = keras.layers.Dense(1, activation="sigmoid")
    model = keras.Sequential([keras.layers.Input((8, 8, 1)), keras.layers.GlobalAveragePooling2D(), output])
    output.set_weights([np.array([[slope]], np.float32), np.array([bias], np.float32)])
    return model


def score(model: keras.Model) -> Array:
    return model.predict(IMAGES, verbose=0)[:, 0]


def test_the_ensemble_returns_the_sigmoid_of_the_mean_logit() -> None:
    joined = join_models(make_grey_reader(8.0, 0.0), make_grey_reader(0.0, -1.0), make_grey_reader(-2.0, 4.0))
    # Logits of the greys 0.25, 0.5 and 1: 2, 4, 8; -1, -1, -1; 3.5, 3, 2. Their means are 1.5, 2 and 3.
    np.testing.assert_allclose(score(joined), 1 / (1 + np.exp([-1.5, -2.0, -3.0])), rtol=1e-6)
    # The mean of the probabilities would be 0.712 for the first.
    assert score(joined)[0] == pytest.approx(0.818, abs=0.001)


def test_the_order_of_members_does_not_matter_and_a_single_member_is_unchanged() -> None:
    first, second = make_grey_reader(8.0, 0.0), make_grey_reader(-2.0, 1.0)
    np.testing.assert_allclose(score(join_models(first, second)), score(join_models(second, first)), rtol=1e-6)
    np.testing.assert_allclose(score(join_models(first, first)), score(first), rtol=1e-6)


def test_building_an_ensemble_does_not_change_its_members() -> None:
    members = [build_network((8, 8), TINY_NETWORK.model_copy(update={"filters": (2,)})) for _ in range(2)]
    names, before = [member.name for member in members], [score(member) for member in members]
    join_models(*members)
    assert [member.name for member in members] == names
    for member, said in zip(members, before, strict=True):
        np.testing.assert_array_equal(score(member), said)


def test_histories_are_averaged_over_common_epochs_and_their_cost_is_summed() -> None:
    first = make_history([0.6, 0.4, 0.5], kept=2, steps=10).assign(loss=[0.8, 0.6, 0.1])
    second = make_history([0.2, 0.3], kept=1, steps=10).assign(loss=[0.4, 0.4])
    averaged = average_histories(first, second)
    expected = pd.DataFrame(
        {
            **{"epoch": [1, 2], "steps": [20, 40], "seconds": [3.0, 3.0], "loss": [0.6, 0.5], "accuracy": [0.8, 0.8]},
            **{"val_loss": [0.4, 0.35], "val_accuracy": [0.75, 0.75], "kept": [False, True]},
        }
    )
    pd.testing.assert_frame_equal(averaged, expected, check_dtype=False)


def test_averaging_does_not_change_the_histories() -> None:
    history = make_history([0.6, 0.4], kept=1)
    average_histories(history, history)
    pd.testing.assert_frame_equal(history, make_history([0.6, 0.4], kept=1))


def test_the_table_lists_members_with_mean_and_standard_deviation() -> None:
    first, second = make_run_metrics(accuracy=sure(0.8)), make_run_metrics(accuracy=sure(0.9))
    table = tabulate_members(first=first, second=second).set_index("member")
    assert table.index.tolist() == ["first", "second", "mean", "deviation"]
    assert table["accuracy"].tolist() == pytest.approx([0.8, 0.9, 0.85, 0.1 / 2**0.5])
    assert table.loc["deviation", "specificity"] == 0
