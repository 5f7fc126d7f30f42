"""The classifier of views recognises upright frontal chests, and runs on NumPy as it was trained in Keras."""

import numpy as np
import pytest
from PIL import Image

from chest_xray.core.types import Array, InputError
from chest_xray.images.phantoms import PARTS, draw_body_part, draw_phantom
from chest_xray.images.view_examples import KINDS, SIDE, VIEWS, draw_views
from chest_xray.models.views import (
    ViewTraining,
    build_view_network,
    classify_view,
    compute_ood_score,
    compute_view_logits,
    find_upright,
    fit_view_classifier,
    read_weights,
    score_views,
)
from tests.builders import make_pixels

EXAMPLES = {
    **dict.fromkeys(KINDS, 10),
    **{"frontal": 250, "upside down": 150, "lying": 150, "other phantom": 150, "picture": 60},
}


def phantoms(first: int, number: int) -> Array:
    drawn = (draw_phantom(np.random.default_rng(seed), "none") for seed in range(first, first + number))
    return np.stack([np.asarray(Image.fromarray(each).resize((SIDE, SIDE))) for each in drawn])


@pytest.fixture(scope="module")
def classifier() -> dict[str, Array]:
    options = {"phantoms": 6, "pools": 1, "passes": 12, "hidden": 16, "learning_rate": 0.004, "seed": 1}
    return fit_view_classifier(phantoms(0, 60), ViewTraining.model_validate({"examples": EXAMPLES, **options}))


def test_other_orientations_and_objects_are_distinguished_from_upright_chests(classifier: dict[str, Array]) -> None:
    chests, rng = phantoms(500, 40), np.random.default_rng(5)
    assert np.mean(compute_ood_score(chests, classifier) < 0.5) > 0.9
    for view, images in {"upside_down": chests[:, ::-1], "lying": np.rot90(chests, axes=(1, 2))}.items():
        logits = compute_view_logits(images, classifier)
        assert np.mean(score_views(logits) > 0.5) > 0.9
        assert np.mean([classify_view(each) == view for each in logits]) > 0.8
    hands = np.stack([draw_body_part(rng, "hand", SIDE) for _ in range(20)])
    assert np.mean(compute_ood_score(hands, classifier) > 0.5) > 0.9


def test_chests_are_turned_upright(classifier: dict[str, Array]) -> None:
    chests = phantoms(500, 20)
    upright, turns = find_upright(np.rot90(chests, axes=(1, 2)), classifier)
    assert np.mean(turns == 3) > 0.8
    np.testing.assert_array_equal(upright[turns == 3], chests[turns == 3])
    assert np.mean(find_upright(chests, classifier)[1] == 0) > 0.8


def test_logits_equal_those_of_keras_for_an_image_and_its_mirror_image() -> None:
    network, pixels = build_view_network(8), make_pixels(5, SIDE, SIDE)
    grey = pixels.astype(np.float64) / 255
    standard = (grey - grey.mean(axis=(1, 2), keepdims=True)) / grey.std(axis=(1, 2), keepdims=True)
    standard = standard.clip(-3, 3)[..., None]
    expected = (network.predict(standard, verbose=0) + network.predict(standard[:, :, ::-1], verbose=0)) / 2
    np.testing.assert_allclose(compute_view_logits(pixels, read_weights(network)), expected, atol=1e-4)


def test_a_misspelt_kind_of_example_is_refused() -> None:
    options = {"phantoms": 3, "pools": 1, "passes": 1, "hidden": 4, "learning_rate": 0.1, "seed": 1}
    with pytest.raises(
        InputError, match=r"examples: .*limbs is not a kind of example; expected some of frontal, upside down"
    ):
        ViewTraining.model_validate({"examples": {"limbs": 3}, **options})


def test_the_score_is_the_probability_of_all_but_the_first_view() -> None:
    logits = np.array([[np.log(3), 0, 0, 0, 0, 0], [800, 0, 0, 0, 0, 0], [0, 0, 0, 800, 0, 0]])
    np.testing.assert_allclose(score_views(logits), [5 / 8, 0, 1], atol=1e-12)
    assert classify_view(logits[2]) == VIEWS[3]
    assert classify_view(np.array([9.0, 0, 1, 0, 0, 0])) == VIEWS[2]


def test_a_classifier_depends_on_its_seed_alone() -> None:
    def draw(seed: int) -> tuple[Array, Array]:
        return draw_views(phantoms(0, 3), dict.fromkeys(KINDS, 3), 3, np.random.default_rng(seed))

    images, views = draw(1)
    assert images.shape == (3 * len(KINDS), SIDE, SIDE)
    assert images.dtype == np.uint8
    counts = {view: 3 * sum(kind[1] == view for kind in KINDS.values()) for view in VIEWS}
    assert dict(zip(VIEWS, np.bincount(views).tolist(), strict=True)) == counts
    np.testing.assert_array_equal(draw(1)[0], images)
    assert (draw(2)[0] != images).any()


@pytest.mark.parametrize("part", PARTS)
def test_a_body_part_is_drawn_with_contrast_and_differs_each_time(part: str) -> None:
    rng = np.random.default_rng(0)
    first, second = draw_body_part(rng, part, 40), draw_body_part(rng, part, 40)
    assert first.shape == (40, 40)
    assert first.dtype == np.uint8
    assert first.std() > 10
    assert (first != second).any()


def test_lungs_are_dark_beside_a_bright_spine_in_a_frontal_phantom() -> None:
    chest = draw_body_part(np.random.default_rng(0), "chest", 64).astype(int)
    middle = chest[28:34]
    assert middle[:, 30:34].mean() > middle[:, 14:22].mean() + 20
    assert middle[:, 30:34].mean() > middle[:, 42:50].mean() + 20
