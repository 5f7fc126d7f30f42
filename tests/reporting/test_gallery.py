"""All false negatives, the worst false positives and typical decisions are shown, each under its own map."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from chest_xray.images.preprocessing import Preparation
from chest_xray.models.network import build_network
from chest_xray.pipelines.robustness.nodes import Gallery, draw_gallery, select_cases
from chest_xray.reporting.image_figures import SIDE, draw_pair
from tests.builders import TINY_NETWORK, TITLE, make_pixels, make_point, make_predictions, make_split

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


def test_a_score_at_the_threshold_is_positive_and_scores_that_round_to_1_keep_their_order() -> None:
    scores = [0.5, 0.1, 0.9, 0.6, 0.7, 0.6, 0.95, 0.8, 0.05, 0.3, 0.2]
    assert make_cases(scores)["decision"].tolist().count("false_negative") == 1
    table = make_predictions([0, 0, 1], [1.0, 1.0, 0.9]).assign(logit=[40.0, 50.0, 2.0])
    options = Gallery(max_false_negatives=1, num_false_positives=2, num_typical=1)
    cases = select_cases(table, make_split([0, 0, 1], "test"), make_point(0.5), options)
    assert cases[cases["decision"] == "false_positive"]["row"].tolist() == [1, 0]


def test_more_misses_than_are_drawn_are_counted() -> None:
    misses = make_cases(max_false_negatives=1).query("decision == 'false_negative'")
    assert misses[["probability", "of"]].to_numpy().tolist() == [[0.1, 2]]


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """A light and a dark picture, twice as wide as high."""
    paths = [tmp_path / "PNEUMONIA/light.x.png", tmp_path / "NORMAL/dark.png"]
    for path, grey in zip(paths, (200, 40), strict=True):
        path.parent.mkdir()
        Image.new("L", (60, 30), grey).save(path)
    return paths


def decode(picture: bytes) -> Any:
    with Image.open(io.BytesIO(picture)) as image:
        return np.asarray(image.convert("RGB"), float)


def test_each_case_is_shown_plain_and_below_its_map_in_its_own_proportions(files: list[Path]) -> None:
    model, pixels = build_network((16, 16), TINY_NETWORK), make_pixels(13, 16, 16)
    cases = make_cases().iloc[[0, 2]].assign(path=[str(path) for path in files], width=60, height=30)
    drawn = draw_gallery(model, pixels, cases, Preparation(width=16, height=16))
    assert drawn["cases"]["name"].tolist() == ["light.x", "dark"]
    assert not {"path", "row"} & set(drawn["cases"])
    for row, grey in enumerate((200, 40)):
        plain, overlay = (decode(drawn[f"{kind}_{row}"]) for kind in ("plain", "overlay"))
        assert plain.shape == overlay.shape == (SIDE // 2, SIDE, 3)
        np.testing.assert_allclose(plain, grey, atol=3)


def test_a_map_colours_where_there_is_evidence_and_nothing_else(files: list[Path]) -> None:
    evidence = np.zeros((16, 16), np.float32)
    evidence[:, 8:] = 1
    case: dict[Any, Any] = {"path": str(files[1]), "width": 60, "height": 30}
    plain, overlay = map(decode, draw_pair(case, evidence, Preparation(width=16, height=16)))
    np.testing.assert_allclose(overlay[:, : SIDE // 3], plain[:, : SIDE // 3], atol=6)
    right = overlay[:, -SIDE // 3 :].mean(axis=(0, 1))
    assert right[0] > right[2] + 20  # yellow
    for geometry in ("crop", "pad"):  # which the network sees as a square
        square = draw_pair(case, evidence, Preparation(width=16, height=16, geometry=geometry))
        assert decode(square[0]).shape == (SIDE, SIDE, 3)
