"""Each view of a test image is scored, evaluated and drawn separately."""

import numpy as np
import pandas as pd
import pytest

from chest_xray.core.types import Array
from chest_xray.pipelines.robustness.nodes import measure_occlusion, predict_occluded
from chest_xray.reporting.image_figures import draw_occlusion
from chest_xray.reporting.style import Labels
from tests.builders import TITLE, axes_of, make_evaluation, make_point, make_predictions, make_split
from tests.images.test_corruptions import make_occlusion
from tests.pipelines.evaluation.test_nodes import make_grey_reader


def make_pictures() -> Array:
    """Four images of 8 x 8 whose centres are black, white, black, white and whose borders are all of grey 100."""
    pixels = np.full((4, 8, 8), 100, np.uint8)
    pixels[:, 2:6, 2:6] = np.array([0, 255, 0, 255], np.uint8)[:, None, None]
    return pixels


def test_the_network_is_scored_on_the_border_only_and_on_the_centre_only() -> None:
    split = make_split([0, 1, 0, 1], ["train", "test", "test", "test"])
    table, examples = predict_occluded(make_grey_reader(4, 0.5), make_pictures(), split, make_occlusion())
    assert table["shown"].tolist() == ["border"] * 3 + ["centre"] * 3
    assert table["label"].tolist() == [1, 0, 1] * 2
    # Constant images, with the grey of the border or of the centre.
    greys = np.array([100, 100, 100, 255, 0, 255]) / 255
    np.testing.assert_allclose(table["logit"], 4 * (greys - 0.5), rtol=1e-5, atol=1e-5)
    assert examples.shape == (3, 8, 8)
    np.testing.assert_array_equal(examples[0], make_pictures()[1])  # the first PNEUMONIA test image
    assert set(examples[1].ravel()) == {100}
    assert set(examples[2].ravel()) == {255}


def test_each_view_is_evaluated_at_the_threshold_and_by_auc() -> None:
    whole = make_predictions([0, 1, 1], [0.1, 0.6, 0.9])
    views = {"border": [0.5, 0.5, 0.5], "centre": [0.7, 0.6, 0.9]}
    occluded = [make_predictions([0, 1, 1], scores).assign(shown=name) for name, scores in views.items()]
    table = measure_occlusion(whole, pd.concat(occluded), make_point(0.6), make_evaluation(seed=1))
    assert table["shown"].tolist() == ["whole", "border", "centre"]
    assert table["n"].tolist() == [3, 3, 3]
    assert table["accuracy"].tolist() == pytest.approx([1, 1 / 3, 2 / 3])
    assert table["auc"].tolist() == [1.0, 0.5, 0.5]  # all equal; one pair correct and one wrong
    assert set(table["run"]) == {TITLE}
    figure = draw_occlusion(make_pictures()[:3], table, Labels("phantoms"))
    assert figure.get_supxlabel() == "Data: phantoms"
    assert figure.get_suptitle() == (
        f"Covered test images, {TITLE}: n = 3; AUC 0.5 is chance; differences are paired, with 95% intervals"
    )
    titles = [place.get_title().splitlines() for place in axes_of(figure)]
    assert [lines[0] for lines in titles] == ["whole image", "border alone", "centre alone"]
    assert titles[1][1:] == ["AUC 0.500"]  # no resample differs, so that there is no interval
    low, high = (f"{table[f'auc_change_{bound}'][2]:+.3f}" for bound in ("low", "high"))
    assert titles[2][1:] == ["AUC 0.500, a difference of", f"-0.500 ({low} to {high})".replace("-", "\N{MINUS SIGN}")]
