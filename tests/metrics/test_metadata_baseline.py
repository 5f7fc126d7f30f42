"""The rule is fitted on train alone; its scores are those worked by hand."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from chest_xray.core.types import DataFrame
from chest_xray.images.kermany import PUBLISHED
from chest_xray.metrics.metadata_baseline import fit_and_score_thresholds
from chest_xray.reporting.image_figures import draw_metadata_baseline
from chest_xray.reporting.style import Labels


def build_index(train: list[tuple[int, int]], test: list[tuple[int, int]]) -> DataFrame:
    """Width and label of each image; heights and bytes say nothing."""
    rows = [("train", *row) for row in train] + [("test", *row) for row in test]
    table = pd.DataFrame(rows, columns=["split", "width", "label"])
    return table.assign(height=100, bytes=1000, path="train/NORMAL/other.png")


# Train: PNEUMONIA images are the narrow ones, but for one. The best cut is at 20: sensitivity 2/3, specificity 1.
TRAIN = [(10, 1), (20, 1), (40, 1), (30, 0), (50, 0), (60, 0)]
TEST = [(10, 1), (15, 1), (25, 1), (20, 0), (30, 0)]


def test_threshold_and_scores_equal_a_calculation_by_hand() -> None:
    rule = fit_and_score_thresholds(build_index(TRAIN, TEST)).features["width"]
    assert (rule.threshold, rule.direction, rule.unit) == (20, "at most", "pixels")
    assert rule.train.sensitivity == pytest.approx(2 / 3)
    assert rule.train.specificity == 1
    # At most 20 in test: 10, 15 (PNEUMONIA) and 20 (NORMAL). Of 6 pairs, 5 are in order: 25 is wider than 20.
    scores = {"num": 5, "accuracy": 3 / 5, "sensitivity": 2 / 3, "specificity": 1 / 2, "auc": 5 / 6}
    assert rule.test.model_dump() == pytest.approx(scores)


def test_test_images_do_not_move_the_threshold() -> None:
    other = [(width * 7, 1 - label) for width, label in TEST]
    first, second = (fit_and_score_thresholds(build_index(TRAIN, test)).features["width"] for test in (TEST, other))
    assert first.threshold == second.threshold
    assert first.test != second.test


def test_bytes_are_a_feature_only_of_files_that_are_as_published() -> None:
    index = build_index(TRAIN, TEST)
    assert set(fit_and_score_thresholds(index).features) == {"width", "height", "aspect"}
    name, (_, size) = next(iter(PUBLISHED.items()))
    published = index.assign(path=[name, *index["path"][1:]], bytes=[size, *index["bytes"][1:]])
    assert set(fit_and_score_thresholds(published).features) == {"width", "height", "aspect", "bytes"}
    assert set(fit_and_score_thresholds(published.assign(bytes=1000)).features) == {"width", "height", "aspect"}


def test_the_direction_follows_train() -> None:
    mirrored = [(100 - width, label) for width, label in TRAIN]
    rule = fit_and_score_thresholds(build_index(mirrored, TEST)).features["width"]
    assert (rule.threshold, rule.direction) == (80, "at least")


def test_a_feature_without_information_scores_one_half() -> None:
    assert fit_and_score_thresholds(build_index(TRAIN, TEST)).features["height"].test.auc == pytest.approx(0.5)


def test_the_area_equals_scikit_learn_with_ties() -> None:
    rng = np.random.default_rng(0)
    rows = [(int(rng.integers(1, 30) + 8 * label), int(label)) for label in rng.integers(0, 2, 300)]
    rule = fit_and_score_thresholds(build_index(rows, rows)).features["width"]
    labels, widths = [label for _, label in rows], [width for width, _ in rows]
    assert rule.direction == "at least"
    assert rule.test.auc == pytest.approx(roc_auc_score(labels, widths))


def test_doubling_every_size_doubles_the_threshold_and_keeps_the_scores() -> None:
    index = build_index(TRAIN, TEST)
    rule, doubled = (
        fit_and_score_thresholds(each).features["width"] for each in (index, index.assign(width=2 * index["width"]))
    )
    assert doubled.threshold == 2 * rule.threshold
    assert doubled.test == rule.test


def test_the_figure_has_a_curve_a_feature_and_names_its_data() -> None:
    index = build_index(TRAIN, TEST)
    figure: Any = draw_metadata_baseline(index, fit_and_score_thresholds(index), Labels("phantoms"))
    *labels, chance, threshold = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert (chance, threshold) == ("chance", "threshold fitted on train")
    assert labels == ["width: AUC 0.833", "height: AUC 0.500", "width over height: AUC 0.833"]
    assert figure.get_supxlabel() == "Data: phantoms"
