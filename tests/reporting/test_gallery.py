"""All false negatives, the worst false positives and typical decisions are shown, each under its own map."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from chest_xray.models.gradcam import grad_cam
from chest_xray.models.network import build_network
from chest_xray.pipelines.robustness.nodes import Gallery, draw_gallery, select_cases
from chest_xray.reporting.robustness_figures import LEGEND
from tests.builders import TINY_NETWORK, TITLE, axes_of, make_pixels, make_point, make_predictions, make_split

# At 0.5: two misses, three alarms, three found, three cleared.
LABELS = [1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0]
SCORES = [0.4, 0.1, 0.9, 0.6, 0.7, 0.6, 0.95, 0.8, 0.05, 0.3, 0.2]


def make_cases(scores: list[float] = SCORES, **changes: Any) -> pd.DataFrame:
    options = {"max_false_negatives": 100, "num_false_positives": 2, "num_typical": 1, **changes}
    split = make_split([0, 0, *LABELS], ["train", "validation"] + ["test"] * 11)
    return select_cases(make_predictions(LABELS, scores), split, make_point(0.5), Gallery.model_validate(options))


def test_all_misses_the_worst_alarms_and_hits_near_the_median_are_chosen() -> None:
    cases = make_cases()
    assert cases["decision"].tolist() == [
        *("false_negative", "false_negative", "false_positive", "false_positive", "true_positive", "true_negative")
    ]
    assert cases["probability"].tolist() == [0.1, 0.4, 0.95, 0.8, 0.7, 0.2]
    assert cases["of"].tolist() == [2, 2, 3, 3, 3, 3]
    assert cases["row"].tolist() == [3, 2, 8, 9, 6, 12]  # Two images that are not of test stand before.
    assert set(cases["threshold"]) == {0.5}
    assert set(cases["run"]) == {TITLE}
    assert cases["aetiology"].tolist() == ["bacterial"] * 2 + ["none"] * 2 + ["bacterial", "none"]
    assert cases["path"][0] == "PNEUMONIA/001.png"


def test_a_score_at_the_threshold_is_called_and_scores_that_round_to_1_keep_their_order() -> None:
    scores = [0.5, 0.1, 0.9, 0.6, 0.7, 0.6, 0.95, 0.8, 0.05, 0.3, 0.2]
    assert make_cases(scores)["decision"].tolist().count("false_negative") == 1
    table = make_predictions([0, 0, 1], [1.0, 1.0, 0.9]).assign(logit=[40.0, 50.0, 2.0])
    options = Gallery(max_false_negatives=1, num_false_positives=2, num_typical=1)
    cases = select_cases(table, make_split([0, 0, 1], "test"), make_point(0.5), options)
    assert cases[cases["decision"] == "false_positive"]["row"].tolist() == [1, 0]


def test_more_misses_than_are_drawn_are_counted() -> None:
    misses = make_cases(max_false_negatives=1).query("decision == 'false_negative'")
    assert misses[["probability", "of"]].to_numpy().tolist() == [[0.1, 2]]


def test_each_case_is_drawn_once_under_its_map_with_name_score_and_aetiology() -> None:
    model, pixels = build_network((16, 16), TINY_NETWORK), make_pixels(13, 16, 16)
    pages = draw_gallery(model, pixels, make_cases(), "phantoms")
    misses, alarms, typical = pages.values()
    assert list(pages) == ["false_negatives", "false_positives", "typical_decisions"]
    assert [page.get_supxlabel() for page in pages.values()] == ["Data: phantoms"] * 3
    shown = [place for place in axes_of(misses) if place.images]
    assert [place.get_title() for place in shown] == ["001\nscore 0.100, bacterial", "000\nscore 0.400, bacterial"]
    picture, heat = shown[0].images
    np.testing.assert_array_equal(picture.get_array(), pixels[3])
    expected = grad_cam(model, pixels[[3]].astype(np.float32)[..., None] / 255)[0]
    np.testing.assert_allclose(heat.get_array(), expected, atol=1e-5)
    assert heat.get_alpha().max() < 0.6  # The picture shows through everywhere.
    assert not heat.get_alpha()[expected == 0].any()
    title = f"{TITLE}, threshold 0.500\nFalse negatives: 2 of 2, lowest score first\n{LEGEND}"
    assert misses.get_suptitle() == title
    assert "False positives: 2 of 3, highest score first" in alarms.get_suptitle()
    assert "True positives: 1 of 3, nearest to their median score\nTrue negatives: 1 of 3" in typical.get_suptitle()


@pytest.mark.parametrize(("num", "rows"), [(0, 1), (5, 1), (6, 2), (23, 5)])
def test_a_page_has_as_many_rows_as_it_takes(num: int, rows: int) -> None:
    split = make_split([1] * 30, "test")
    table = make_predictions([1] * 30, [0.1] * num + [0.9] * (30 - num))
    options = Gallery(max_false_negatives=100, num_false_positives=1, num_typical=1)
    cases = select_cases(table, split, make_point(0.5), options)
    pages = draw_gallery(build_network((16, 16), TINY_NETWORK), make_pixels(30, 16, 16), cases, "phantoms")
    misses = pages["false_negatives"]
    assert len(axes_of(misses)) == 5 * rows
    assert sum(bool(place.images) for place in axes_of(misses)) == num
    assert ("False negatives: none" in misses.get_suptitle()) == (num == 0)
