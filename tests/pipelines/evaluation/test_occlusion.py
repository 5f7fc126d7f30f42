"""Covering hides what it should, keeps what it should, and tells nothing of what it hides."""

from typing import Any

import numpy as np
import pytest

from chest_xray.pipelines.evaluation.occlusion import (
    Occlusion,
    central_region,
    cover,
    draw_occlusion,
    measure_occlusion,
    predict_occluded,
)
from chest_xray.types import Array
from tests.builders import TITLE, axes_of, make_evaluation, make_pixels, make_point, make_predictions, make_split
from tests.pipelines.evaluation.test_nodes import make_grey_reader


def make_occlusion(**changes: Any) -> Occlusion:
    return Occlusion.model_validate({"shape": "box", "width": 0.5, "height": 0.5, **changes})


def test_a_box_covers_its_shares_of_the_sides_from_the_middle() -> None:
    expected = np.zeros((8, 12), bool)
    expected[2:6, 4:8] = True  # half of 8 rows, a third of 12 columns
    np.testing.assert_array_equal(central_region((8, 12), make_occlusion(width=1 / 3)), expected)


def test_an_ellipse_leaves_the_corners_of_its_box() -> None:
    found = central_region((8, 8), make_occlusion(shape="ellipse", width=0.99, height=0.99))
    # The middles of a row lie at 1/8, 3/8, 5/8, 7/8 of the half side: (7/8, 5/8) is 1.075 away and out, (7/8, 3/8) in.
    assert found[0].tolist() == [False, False, True, True, True, True, False, False]
    assert found[1].tolist() == [False] + [True] * 6 + [False]
    assert found[3].all()
    np.testing.assert_array_equal(found, found[::-1, ::-1])


def test_what_is_not_hidden_stays_and_what_is_gets_the_mean_of_the_rest() -> None:
    pixels, hidden = make_pixels(3, 8, 8), central_region((8, 8), make_occlusion())
    before = pixels.copy()
    covered = cover(pixels, hidden)
    assert covered.dtype == np.uint8
    np.testing.assert_array_equal(covered[:, ~hidden], pixels[:, ~hidden])
    for image, original in zip(covered, pixels, strict=True):
        assert set(image[hidden]) == {round(original[~hidden].mean())}
    np.testing.assert_array_equal(pixels, before)


def test_a_covered_picture_tells_nothing_of_what_it_hides() -> None:
    pixels, hidden = make_pixels(1, 8, 8), central_region((8, 8), make_occlusion())
    brighter = np.where(hidden, 255, pixels).astype(np.uint8)
    np.testing.assert_array_equal(cover(pixels, hidden), cover(brighter, hidden))


def make_pictures() -> Array:
    """Four images of 8 x 8 whose centres are black, white, black, white and whose borders are all of grey 100."""
    pixels = np.full((4, 8, 8), 100, np.uint8)
    pixels[:, 2:6, 2:6] = np.array([0, 255, 0, 255], np.uint8)[:, None, None]
    return pixels


def test_the_network_sees_the_border_alone_and_the_centre_alone() -> None:
    split = make_split([0, 1, 0, 1], ["train", "test", "test", "test"])
    table, examples = predict_occluded(make_grey_reader(4, 0.5), make_pictures(), split, make_occlusion())
    assert table["shown"].tolist() == ["border"] * 3 + ["centre"] * 3
    assert table["label"].tolist() == [1, 0, 1] * 2
    # Even pictures: of the border's grey, or of the centre's.
    greys = np.array([100, 100, 100, 255, 0, 255]) / 255
    np.testing.assert_allclose(table["logit"], 4 * (greys - 0.5), rtol=1e-5, atol=1e-5)
    assert examples.shape == (3, 8, 8)
    np.testing.assert_array_equal(examples[0], make_pictures()[1])  # the first diseased test image
    assert set(examples[1].ravel()) == {100}
    assert set(examples[2].ravel()) == {255}


def test_each_view_is_measured_at_the_threshold_and_by_rank() -> None:
    whole = make_predictions([0, 1, 1], [0.1, 0.6, 0.9])
    views = {"border": [0.5, 0.5, 0.5], "centre": [0.7, 0.6, 0.9]}
    occluded = [make_predictions([0, 1, 1], scores).assign(shown=name) for name, scores in views.items()]
    import pandas as pd

    table = measure_occlusion(whole, pd.concat(occluded), make_point(0.6), make_evaluation(seed=1))
    assert table["shown"].tolist() == ["whole", "border", "centre"]
    assert table["n"].tolist() == [3, 3, 3]
    assert table["accuracy"].tolist() == [1.0, 0.3333, 0.6667]
    assert table["auc"].tolist() == [1.0, 0.5, 0.5]  # all alike; one pair right and one wrong
    assert set(table["run"]) == {TITLE}
    figure = draw_occlusion(make_pictures()[:3], table, "phantoms")
    assert figure.get_supxlabel() == "Data: phantoms"
    assert figure.get_suptitle() == f"What is left to see, {TITLE}: n = 3; AUC 0.5 is chance"
    titles = [place.get_title().splitlines() for place in axes_of(figure)]
    assert [lines[0] for lines in titles] == ["the whole picture", "the border alone", "the centre alone"]
    assert titles[1][1].startswith("AUC 0.500 (")
    assert titles[2][2] == "accuracy 0.667"


@pytest.mark.parametrize("width", [0.0, 1.0])
def test_a_region_of_nothing_or_of_everything_is_refused(width: float) -> None:
    with pytest.raises(ValueError, match=f"width: received {width}"):
        make_occlusion(width=width)
