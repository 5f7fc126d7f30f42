"""Maps that depend on the weights pass, maps that do not fail, and the rank correlation is Spearman's."""

from typing import Any

import keras
import numpy as np
import pytest
from scipy.stats import spearmanr

from chest_xray.core.types import Array, Model
from chest_xray.models.gradcam import MapSanity, compare_maps, grad_cam, rank_correlations, shuffle_downwards
from chest_xray.models.network import build_network
from chest_xray.pipelines.experiments.nodes import join_models
from chest_xray.pipelines.robustness.nodes import check_maps
from tests.builders import TINY_NETWORK, make_pixels, make_split

IMAGES = np.random.default_rng(0).uniform(0, 1, (12, 16, 16, 1)).astype(np.float32)


def make_sanity(**changes: Any) -> MapSanity:
    return MapSanity.model_validate({"num_images": 12, "least_maps": 3, "most_alike": 0.5, "seed": 1, **changes})


def make_network(seed: int = 3) -> Model:
    keras.utils.set_random_seed(seed)
    return build_network((16, 16), TINY_NETWORK)


def show_edges(_: Model, images: Array) -> Array:
    """Maps that do not depend on the network: edges of the image (Adebayo et al. 2018, section 5)."""
    return np.hypot(*np.gradient(images[..., 0], axis=(1, 2)))


def show_constant(_: Model, images: Array) -> Array:
    return np.full(images.shape[:3], 0.5, np.float32)


def show_first_kernel(model: Model, images: Array) -> Array:
    """Maps that depend only on the last layer: a ramp up or down, by the sign of its first weight."""
    up = model.layers[-1].get_weights()[0][0, 0] > 0
    ramp = np.arange(1, 257, dtype=np.float32).reshape(16, 16)
    return np.repeat((ramp if up else ramp[::-1, ::-1])[None], len(images), axis=0)


@pytest.mark.parametrize("explain", [show_edges, show_constant])
def test_maps_that_do_not_depend_on_the_network_fail(explain: Any) -> None:
    found = compare_maps(make_network(), IMAGES, explain, make_sanity())
    assert found.verdict == "does_not_depend"
    for step in found.steps:
        assert step.num_maps == 12
        assert step.correlation is not None
        assert step.correlation.method is None
        assert step.correlation.model_dump(exclude={"method"}) == pytest.approx({"value": 1.0, "low": 1.0, "high": 1.0})


def test_maps_that_change_with_the_weights_pass() -> None:
    model = make_network()
    bias = model.layers[-1].get_weights()[1]
    model.layers[-1].set_weights([np.array([[1.0], [-1.0], [-1.0], [-1.0]], np.float32), bias])
    # In whichever place the 1 ends up, it is not the first: shuffling the kernel once with this seed says so.
    seed = next(s for s in range(9) if np.random.default_rng(s).permutation([1, -1, -1, -1])[0] < 0)
    found = compare_maps(model, IMAGES, show_first_kernel, make_sanity(seed=seed))
    assert found.verdict == "depends"
    assert (last := found.steps[-1].correlation) is not None
    assert last.value == pytest.approx(-1.0)


def test_without_maps_the_check_is_inconclusive() -> None:
    found = compare_maps(make_network(), IMAGES, lambda _, images: 0 * images[..., 0], make_sanity())
    assert found.verdict == "undecided"
    assert (found.steps[0].num_maps, found.steps[0].correlation) == (0, None)


def test_too_few_maps_are_inconclusive() -> None:
    def two_maps(model: Model, images: Array) -> Array:
        return np.where(np.arange(12)[:, None, None] < 2, show_edges(model, images), 0)

    found = compare_maps(make_network(), IMAGES, two_maps, make_sanity())
    assert found.steps[-1].num_maps == 2
    assert found.verdict == "undecided"


def test_the_cascade_shuffles_layers_cumulatively_from_the_output_down() -> None:
    model = make_network()
    before = model.get_weights()
    seen = []
    for names, copy in shuffle_downwards(model, 2):
        same = [np.array_equal(*pair) for pair in zip(copy.get_weights()[::2], before[::2], strict=True)]
        seen.append((names, same))
    # Kernels of two Conv2D and two Dense layers; biases are 0 in an untrained network.
    expected = [[True, True, True, False], [True, True, False, False], [True, False, False, False], [False] * 4]
    assert [same for _, same in seen] == expected
    assert [names for names, _ in seen] == [[model.layers[place].name] for place in (-1, -3, 3, 1)]
    for weight, old, new in zip(model.get_weights(), before, copy.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, old)  # The network itself is not touched.
        np.testing.assert_array_equal(np.sort(new, axis=None), np.sort(old, axis=None))  # Shuffled, not redrawn.


def test_members_of_an_ensemble_are_shuffled_in_parallel() -> None:
    joined = join_models(make_network(3), make_network(4))
    steps = [names for names, _ in shuffle_downwards(joined, 1)]
    assert [len(names) for names in steps] == [2, 2, 2, 2]


def test_the_check_is_deterministic_and_does_not_change_the_network() -> None:
    model, pixels = make_network(), make_pixels(20, 16, 16)
    before = grad_cam(model, IMAGES)
    split = make_split([0, 1] * 10, ["train"] * 5 + ["test"] * 15)
    first, again = (check_maps(model, pixels, split, make_sanity()) for _ in range(2))
    assert first == again
    assert first.num_images == 12
    assert len(first.steps) == 4
    assert check_maps(model, pixels, split, make_sanity(num_images=99)).num_images == 15
    np.testing.assert_array_equal(grad_cam(model, IMAGES), before)


def test_the_correlation_agrees_with_spearman() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.uniform(0, 1, (2, 5, 4, 6)).round(1)  # with ties
    expected = [spearmanr(a.ravel(), b.ravel()).statistic for a, b in zip(first, second, strict=True)]
    np.testing.assert_allclose(rank_correlations(first, second), expected)


def test_constant_maps_are_equal_to_each_other_only_and_empty_maps_are_left_out() -> None:
    even, empty = np.full((2, 2), 0.5), np.zeros((2, 2))
    ramp = np.array([[0.1, 0.2], [0.3, 0.4]])
    pairs = [(even, even), (even, ramp), (empty, ramp), (ramp, empty), (ramp, ramp), (ramp, 1 - ramp)]
    first, second = (np.stack(each) for each in zip(*pairs, strict=True))
    np.testing.assert_allclose(rank_correlations(first, second), [1, 0, 1, -1])
