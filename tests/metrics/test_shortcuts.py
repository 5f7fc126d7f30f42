"""Ranking within strata of metadata, by hand and by scikit-learn; a network that knows the size alone is found out."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from chest_xray.metrics.bootstrap import draw_resamples
from chest_xray.metrics.metadata_baseline import compute_auc_within, cut_at_quantiles, measure_shortcuts, score_metadata
from tests.builders import make_predictions


def test_each_stratum_counts_by_its_pairs() -> None:
    label = np.array([1, 0, 0, 1, 1, 0, 1])
    score = np.array([3.0, 1.0, 4.0, 2.0, 5.0, 2.0, 9.0])
    strata = np.array([0, 0, 0, 1, 1, 1, 2])
    # Stratum 0: 1 of 2 pairs in order. Stratum 1: a tie and one in order, 1.5 of 2. Stratum 2: none. 12 pairs in all.
    auc, share = compute_auc_within(label, score, strata, np.ones((1, 7)))
    assert (auc[0], share[0]) == (pytest.approx(2.5 / 4), pytest.approx(4 / 12))
    # The first image counts twice: 2 of 4 pairs, and 3 more pairs in all.
    auc, share = compute_auc_within(label, score, strata, np.array([[2.0, 1, 1, 1, 1, 1, 1]]))
    assert (auc[0], share[0]) == (pytest.approx(3.5 / 6), pytest.approx(6 / 15))


def test_the_mean_equals_scikit_learn_weighted_by_pairs() -> None:
    rng = np.random.default_rng(2)
    label, strata = rng.integers(0, 2, 400), rng.integers(0, 5, 400)
    score = rng.normal(size=400) + label
    areas, pairs = [], []
    for stratum in range(5):
        member = strata == stratum
        areas.append(roc_auc_score(label[member], score[member]))
        pairs.append((label[member] == 1).sum() * (label[member] == 0).sum())
    auc, _ = compute_auc_within(label, score, strata, np.ones((1, 400)))
    assert auc[0] == pytest.approx(np.average(areas, weights=pairs))


def test_without_a_pair_in_any_stratum_there_is_no_area() -> None:
    auc, share = compute_auc_within(np.array([0, 1]), np.array([1.0, 2.0]), np.array([0, 1]), np.ones((1, 2)))
    assert np.isnan(auc[0])
    assert share[0] == 0


def test_strata_are_quintiles_and_equal_values_stay_together() -> None:
    assert np.bincount(cut_at_quantiles(np.arange(100.0))).tolist() == [20] * 5
    assert len(set(cut_at_quantiles(np.ones(30)))) == 1


def make_images(num: int = 600, seed: int = 3) -> pd.DataFrame:
    """Images of which those with pneumonia are narrower on average, as in the Kermany set."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, num)
    width = np.exp(rng.normal(7.2 - 0.4 * label, 0.25)).astype(int)
    return make_predictions(label.tolist(), [0.5] * num).assign(width=width, height=rng.integers(800, 1200, num))


def measure(images: pd.DataFrame, logit: np.ndarray) -> tuple[float, float, float]:
    """Lower and upper bound of the AUC within strata of the metadata score, and the accuracy on conflicting images."""
    images = images.assign(log_odds=logit)
    is_wrong = ((images["width"] <= 1100) != (images["label"] == 1)).to_numpy()
    found = measure_shortcuts(images, score_metadata(images, images), is_wrong, 0.0, draw_resamples(images, 20, 1))
    assert (found.conflict.num_normal, found.conflict.num_pneumonia) == tuple(
        int((images.loc[is_wrong, "label"] == each).sum()) for each in (0, 1)
    )
    wrong = images[is_wrong]
    is_correct = (wrong["log_odds"] >= 0) == (wrong["label"] == 1)
    members = (wrong["label"] >= 0, wrong["label"] == 1, wrong["label"] == 0)
    for share, member in zip(("accuracy", "sensitivity", "specificity"), members, strict=True):
        assert getattr(found.conflict, share).value == pytest.approx(is_correct[member].mean())
        assert getattr(found.conflict, share).n == member.sum()
    counts = pd.crosstab(cut_at_quantiles(images["width"].to_numpy(float)), images["label"])
    pairs = (counts[0] * counts[1]).sum() / (counts[0].sum() * counts[1].sum())
    assert found.within_width.share_of_pairs == pytest.approx(pairs)
    low, high = found.within_score.auc.low, found.within_score.auc.high
    assert low is not None
    assert high is not None
    return low, high, found.conflict.accuracy.finite_value


def test_a_network_that_decides_by_the_width_is_wrong_on_every_conflicting_image() -> None:
    images = make_images()
    low, _, accuracy = measure(images, (1100.5 - images["width"].to_numpy()) / 100)
    assert accuracy == 0
    assert roc_auc_score(images["label"], -images["width"]) > 0.8
    assert low < 0.7  # within strata little of that is left


def test_a_network_that_sees_the_disease_ranks_well_within_strata() -> None:
    images = make_images()
    noise = np.random.default_rng(4).normal(size=len(images))
    low, _, accuracy = measure(images, 4 * (images["label"].to_numpy() - 0.5) + noise)
    assert low > 0.95
    assert accuracy > 0.9


def test_the_score_of_the_metadata_uses_the_product_of_width_and_height() -> None:
    rng = np.random.default_rng(5)
    width, height = np.exp(rng.uniform(-1, 1, (2, 500)) + 7)
    label = ((np.log(width) - 7) * (np.log(height) - 7) > 0).astype(int)  # neither is informative alone
    images = pd.DataFrame({"width": width, "height": height, "label": label})
    assert abs(roc_auc_score(label, width) - 0.5) < 0.1
    assert roc_auc_score(label, score_metadata(images, images)) > 0.9
