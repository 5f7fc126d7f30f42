"""Intervals over patients: the weighted AUC against scikit-learn, and patients drawn whole."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from chest_xray.metrics.bootstrap import (
    NUM_RESAMPLES,
    bootstrap_auc,
    draw_patient_resamples,
    interval,
    resample_weights,
    weighted_auc,
    weighted_average_precision,
)
from chest_xray.metrics.results import Interval
from tests.builders import make_predictions

LABELS = [0, 0, 0, 0, 1, 1, 1, 1]
PROBABILITIES = [0.1, 0.3, 0.35, 0.8, 0.2, 0.6, 0.7, 0.9]


def auc_over_patients(table: pd.DataFrame, seed: int = 1) -> Interval:
    return bootstrap_auc(table, {"patients": draw_patient_resamples(table["group"].to_numpy(), seed)})


def auc(labels: list[int], scores: list[float], weights: list[float]) -> float:
    return float(weighted_auc(np.array(labels), np.array(scores), np.array([weights]))[0])


def test_the_auc_is_the_share_of_pairs_in_the_right_order() -> None:
    # Of the four pairs, 0.7 is above 0.2 and 0.5, and 0.4 is above 0.2 alone.
    assert auc([0, 0, 1, 1], [0.2, 0.5, 0.4, 0.7], [1, 1, 1, 1]) == 0.75


def test_a_tie_counts_half() -> None:
    # 0.5 ties with 0.5 (1/2) and is above 0.2 (1); 0.7 is above both (2): 3.5 of 4.
    assert auc([0, 0, 1, 1], [0.2, 0.5, 0.5, 0.7], [1, 1, 1, 1]) == 0.875


def test_weights_count_an_image_as_often_as_it_was_drawn() -> None:
    # Pairs: 0.4 above 0.2 (3 x 1), 0.4 below 0.5 (2 x 3 wrong), the image at 0.7 not drawn: 3 of 3 + 6.
    assert auc([0, 0, 1, 1], [0.2, 0.5, 0.4, 0.7], [1, 2, 3, 0]) == pytest.approx(1 / 3)


def test_a_resample_of_one_class_alone_has_no_auc() -> None:
    assert np.isnan(auc([0, 0, 1, 1], [0.2, 0.5, 0.4, 0.7], [1, 1, 0, 0]))


def test_a_single_pair_in_the_right_order_is_an_auc_of_1() -> None:
    assert auc([0, 1], [0.2, 0.7], [1, 1]) == 1


def test_average_precision_adds_up_what_each_score_gains_at_its_precision() -> None:
    # From 0.9 down: 1 of 1 is PNEUMONIA, then 1 of 2, at 0.7 two images at once, 2 of 4, and at 0.2 3 of 5.
    label, score = np.array([1, 0, 1, 0, 1]), np.array([0.9, 0.8, 0.7, 0.7, 0.2])
    by_hand = {
        (1, 1, 1, 1, 1): (1 + 2 / 4 + 3 / 5) / 3,
        (0, 1, 2, 1, 1): (2 * 2 / 4 + 3 / 5) / 3,
        (0, 1, 0, 0, 1): 1 / 2,
        (1, 0, 0, 0, 0): 1,
        (0, 1, 0, 1, 0): np.nan,
    }
    found = weighted_average_precision(label, score, np.array(list(by_hand), float))
    np.testing.assert_allclose(found, list(by_hand.values()))


@pytest.mark.parametrize("seed", range(5))
def test_the_weighted_auc_equals_scikit_learn_on_tables_with_ties(seed: int) -> None:
    rng = np.random.default_rng(seed)
    label, score = rng.integers(0, 2, 40), rng.integers(0, 8, 40) / 8
    weights = rng.integers(0, 4, (20, 40)).astype(float)
    theirs = [roc_auc_score(label, score, sample_weight=each) for each in weights]
    np.testing.assert_allclose(weighted_auc(label, score, weights), theirs, rtol=1e-12)


def test_the_auc_does_not_depend_on_the_order_of_images_nor_on_a_monotone_change_of_scores() -> None:
    plain = dict(auc_over_patients(make_predictions(LABELS, PROBABILITIES)))
    assert dict(auc_over_patients(make_predictions(LABELS, PROBABILITIES).iloc[::-1])) == pytest.approx(plain)
    assert dict(auc_over_patients(make_predictions(LABELS, [p**3 / 2 for p in PROBABILITIES]))) == pytest.approx(plain)


def test_every_resample_draws_as_many_patients_as_there_are_and_each_whole() -> None:
    groups = np.array(["b", "a", "b", "c", "b"])
    weights = resample_weights(groups, 1)
    assert weights.shape == (NUM_RESAMPLES, 5)
    np.testing.assert_array_equal(weights[:, 0], weights[:, 2])
    np.testing.assert_array_equal(weights[:, 0], weights[:, 4])
    np.testing.assert_array_equal(weights[:, [0, 1, 3]].sum(axis=1), 3)
    assert weights[:, 1].mean() == pytest.approx(1, abs=0.05)


def test_resamples_come_from_the_seed() -> None:
    groups = np.arange(6)
    np.testing.assert_array_equal(resample_weights(groups, 1), resample_weights(groups, 1))
    assert (resample_weights(groups, 1) != resample_weights(groups, 2)).any()


def test_the_interval_of_an_auc_uses_every_resample_but_not_the_original_sample(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("chest_xray.metrics.bootstrap.NUM_RESAMPLES", 3)
    table = make_predictions(LABELS, PROBABILITIES)
    areas = weighted_auc(np.array(LABELS), np.array(PROBABILITIES), resample_weights(table["group"].to_numpy(), 1))
    assert len(set(areas)) == 3
    assert auc_over_patients(table) == interval(11 / 16, areas).by(
        "patients"
    )  # pairs: 0.2: 1, 0.6 and 0.7: 3, 0.9: 4 of 4


def test_more_images_of_the_same_patients_do_not_narrow_the_interval() -> None:
    rng = np.random.default_rng(0)
    labels = [0, 1] * 20
    probabilities = rng.normal(np.array(labels) * 0.2 + 0.4, 0.2).clip(0, 1).tolist()
    patients = [f"patient {number:02d}" for number in range(40)]
    once = dict(auc_over_patients(make_predictions(labels, probabilities, patients)))
    fourfold = dict(auc_over_patients(make_predictions(labels * 4, probabilities * 4, patients * 4)))
    assert fourfold == pytest.approx(once)
    # Counted as patients of their own, the same images would seem four times as much evidence: half the width.
    naive = dict(auc_over_patients(make_predictions(labels * 4, probabilities * 4, [str(n) for n in range(160)])))
    assert naive["value"] == pytest.approx(once["value"])
    ratio = (naive["high"] - naive["low"]) / (once["high"] - once["low"])
    assert ratio == pytest.approx(0.5, abs=0.1)


def test_an_interval_leaves_out_a_fortieth_on_either_side() -> None:
    resampled = np.arange(41) / 40  # 2.5% and 97.5% are the second and the last but one
    found = interval(0.5, resampled).model_dump()
    assert found == {"value": 0.5, "low": pytest.approx(0.025), "high": pytest.approx(0.975), "method": None}


def test_a_resample_without_a_value_does_not_count() -> None:
    resampled = np.append(np.arange(41) / 40, np.nan)
    assert interval(0.5, resampled).low == pytest.approx(0.025)
