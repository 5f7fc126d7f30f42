"""Metrics of counts and rankings, worked by hand and compared with published tables; curves and their bands.

Curves are those of scikit-learn, and their bands those of resamples one by one.
"""

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

from chest_xray.core.types import Array
from chest_xray.metrics.binary import (
    NUM_CUTS,
    compute_rank_curves,
    compute_rates,
    compute_threshold_curves,
    count_outcomes,
    divide_or_nan,
    proportion,
    proportions,
    weighted_auc,
    weighted_average_precision,
)
from chest_xray.metrics.bootstrap import resample_weights
from chest_xray.pipelines.evaluation.nodes import compute_curves
from tests.builders import make_evaluation, make_point, make_predictions

# At 0.5: NORMAL 0.1, 0.2, 0.4 right and 0.6 wrong; PNEUMONIA 0.3 wrong and 0.5, 0.7, 0.8, 0.9 and 0.95 right.
LABELS = np.array([0, 0, 0, 0, 1, 1, 1, 1, 1, 1])
PROBABILITIES = np.array([0.1, 0.2, 0.4, 0.6, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95])
SEED = 5
NUM_IMAGES = 60


def evaluate(tn: int, fp: int, fn: int, tp: int, prevalence: float = 0.5) -> dict[str, float]:
    counts = {
        name: np.array([float(each)]) for name, each in zip(("tn", "fp", "fn", "tp"), (tn, fp, fn, tp), strict=True)
    }
    return {name: float(values[0]) for name, values in compute_rates(counts, prevalence).items()}


def test_images_are_counted_in_each_resample_by_how_often_they_were_drawn() -> None:
    weights = np.stack([np.ones(10), np.arange(10)])
    found = count_outcomes(LABELS, PROBABILITIES >= 0.5, weights)
    assert {name: each.tolist() for name, each in found.items()} == {
        **{"tn": [3, 0 + 1 + 2], "fp": [1, 3]},
        **{"fn": [1, 4], "tp": [5, 5 + 6 + 7 + 8 + 9]},
    }


def test_a_screening_table_worked_by_hand() -> None:
    # Of 1,000 children 160 have pneumonia; 120 of these and 84 of the healthy are positive.
    found = evaluate(tn=756, fp=84, fn=40, tp=120, prevalence=0.5)
    assert found == pytest.approx(
        {
            **{"accuracy": 0.876, "sensitivity": 0.75, "specificity": 0.9, "balanced_accuracy": 0.825},
            **{"precision": 120 / 204, "npv": 756 / 796, "f1": 240 / 364},
            **{"ppv_realistic": 0.375 / 0.425, "npv_realistic": 0.45 / 0.575},
            **{"lr_positive": 7.5, "lr_negative": 0.25 / 0.9},
            "mcc": (120 * 756 - 84 * 40) / math.sqrt(204 * 160 * 840 * 796),
        }
    )


def test_predictive_values_at_the_observed_prevalence_equal_the_observed_ones() -> None:
    found = evaluate(tn=756, fp=84, fn=40, tp=120, prevalence=0.16)
    assert found["ppv_realistic"] == pytest.approx(found["precision"])
    assert found["npv_realistic"] == pytest.approx(found["npv"])


def test_without_positive_decisions_there_is_no_precision() -> None:
    found = evaluate(tn=4, fp=0, fn=6, tp=0)
    assert {name for name, each in found.items() if math.isnan(each)} == {
        *("precision", "ppv_realistic", "mcc", "lr_positive")
    }
    assert (found["sensitivity"], found["specificity"], found["f1"], found["lr_negative"]) == (0, 1, 0, 1)


def test_without_negative_decisions_there_is_no_npv() -> None:
    found = evaluate(tn=0, fp=4, fn=0, tp=6)
    assert {name for name, each in found.items() if math.isnan(each)} == {"npv", "npv_realistic", "mcc", "lr_negative"}
    assert found["lr_positive"] == 1


def test_where_no_decision_is_wrong_the_positive_ratio_is_infinite_and_the_negative_one_0() -> None:
    found = evaluate(tn=4, fp=0, fn=0, tp=6)
    assert (found["lr_positive"], found["lr_negative"], found["mcc"]) == (math.inf, 0, 1)


def test_where_every_all_clear_is_wrong_the_negative_ratio_is_infinite() -> None:
    # No NORMAL image is cleared, and 3 of 6 PNEUMONIA are: (3 / 6) / (0 / 4).
    found = evaluate(tn=0, fp=4, fn=3, tp=3)
    assert (found["lr_negative"], found["lr_positive"]) == (math.inf, 0.5)


def test_division_by_zero_is_nan_unless_infinity_is_requested() -> None:
    part, whole = np.array([3.0, 0.0, 3.0]), np.array([0.0, 0.0, 2.0])
    np.testing.assert_array_equal(divide_or_nan(part, whole), [math.nan, math.nan, 1.5])
    np.testing.assert_array_equal(divide_or_nan(part, whole, infinite=True), [math.inf, math.nan, 1.5])


@pytest.mark.parametrize(
    ("part", "total", "low", "high"),
    # Newcombe 1998 (Statistics in Medicine 17:857-872), table I, method 3.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_intervals_are_those_that_newcombe_published_for_wilsons_method(
    part: int, total: int, low: float, high: float
) -> None:
    found = proportion(part, total)
    assert found.model_dump() == {
        "value": part / total,
        "low": pytest.approx(low, abs=5e-5),
        "high": pytest.approx(high, abs=5e-5),
        "method": "images",
        "n": total,
    }


def test_the_interval_of_a_share_mirrors_that_of_the_rest() -> None:
    part, rest = proportion(7, 40), proportion(33, 40)
    assert part.low == pytest.approx(1 - (rest.high or 0))


def test_a_share_of_nothing_is_none() -> None:
    assert proportion(0, 0).model_dump() == {"value": None, "low": None, "high": None, "method": None, "n": 0}


def test_each_share_has_its_number_of_images() -> None:
    found = proportions({"tn": 3, "fp": 1, "fn": 2, "tp": 5})
    asked = {"accuracy": 11, "sensitivity": 7, "specificity": 4, "precision": 6, "npv": 5}
    assert {name: each.n for name, each in found} == asked
    right = {"accuracy": 8, "sensitivity": 5, "specificity": 3, "precision": 5, "npv": 3}
    assert {name: round(each.value * each.n) for name, each in found} == right


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


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of the resamples: they are gone through one by one here."""
    monkeypatch.setattr("chest_xray.metrics.bootstrap.NUM_RESAMPLES", 200)


@pytest.fixture
def predictions() -> pd.DataFrame:
    """Sixty images of twenty patients, with scores of two decimals, of which several are equal.

    Of 20 NORMAL and 40 PNEUMONIA: each vertex of the curves is a place at which bands are computed.
    """
    rng = np.random.default_rng(0)
    labels = rng.permutation([0] * 20 + [1] * 40)
    scores = np.clip((labels + rng.normal(0.5, 0.7, NUM_IMAGES)) / 2, 0.01, 0.99).round(2)
    table = make_predictions(
        labels.tolist(), scores.tolist(), [f"patient{number % 20}" for number in range(NUM_IMAGES)]
    )
    assert table["probability"].duplicated().sum() > 5
    return table


def pick(curves: pd.DataFrame, curve: str) -> pd.DataFrame:
    return curves[curves["curve"] == curve]


def resample_one_by_one(predictions: pd.DataFrame, read_off: Callable[[Array], float]) -> list[float]:
    """The 95% of what a function of weights says, over those resamples that have both classes."""
    weights = resample_weights(predictions["group"].to_numpy(), SEED)
    found = [read_off(each) for each in weights if len(set(predictions["label"][each > 0])) == 2]
    bounds: list[float] = np.percentile(found, [2.5, 97.5]).tolist()
    return bounds


def test_vertices_are_those_worked_by_hand() -> None:
    curves = compute_rank_curves(make_predictions([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]), SEED)
    roc, precision = pick(curves, "roc"), pick(curves, "precision_recall")
    assert roc[["x", "value"]].to_numpy().tolist() == [[0, 0], [0, 0.5], [0.5, 0.5], [0.5, 1], [1, 1]]
    # From 0.8 on one of two is found, without a false alarm; from 0.35 on both, with one.
    assert precision["x"].tolist() == [0, 0.5, 0.5, 1]
    assert precision["value"].tolist() == [1, 1, 0.5, pytest.approx(2 / 3)]


def test_vertices_equal_scikit_learn(predictions: pd.DataFrame) -> None:
    curves = compute_rank_curves(predictions, SEED)
    label, score = predictions["label"], predictions["probability"]
    roc, precision = pick(curves, "roc"), pick(curves, "precision_recall")
    expected = roc_curve(label, score, drop_intermediate=False)[:2]
    np.testing.assert_array_equal(roc[["x", "value"]].to_numpy().T, expected)
    area = (precision["x"].diff() * precision["value"]).sum()
    assert area == pytest.approx(average_precision_score(label, score), abs=1e-12)


@pytest.mark.parametrize("part", [0, 0.3, 0.6, 1])
def test_the_roc_curve_has_the_band_of_its_resamples(predictions: pd.DataFrame, part: float) -> None:
    def read_off(weights: Array) -> float:
        drawn = roc_curve(predictions["label"], predictions["probability"], sample_weight=weights)
        return float(np.interp(x + 1e-9, drawn[0], drawn[1]))  # A hair further on: where it rises, above.

    roc = pick(compute_rank_curves(predictions, SEED), "roc")
    x, _, *band = roc[["x", "value", "low", "high"]].iloc[int(part * (len(roc) - 1))]
    assert band == pytest.approx(resample_one_by_one(predictions, read_off))
    assert x == 1 or band[0] < band[1]


@pytest.mark.parametrize("part", [0.2, 0.5, 0.8, 1])
def test_precision_has_the_band_of_its_resamples(predictions: pd.DataFrame, part: float) -> None:
    def read_off(weights: Array) -> float:
        drawn = precision_recall_curve(predictions["label"], predictions["probability"], sample_weight=weights)
        precision, recall, _ = (each[::-1] for each in drawn)
        return float(precision[1:][np.argmax(recall[1:] >= x - 1e-9)])

    curve = pick(compute_rank_curves(predictions, SEED), "precision_recall")
    x, _, *band = curve[["x", "value", "low", "high"]].iloc[int(part * (len(curve) - 1))]
    assert band == pytest.approx(resample_one_by_one(predictions, read_off))
    assert band[0] < band[1]


@pytest.mark.parametrize(("curve", "label"), [("sensitivity", 1), ("specificity", 0)])
def test_shares_at_a_threshold_have_the_band_of_their_resamples(
    predictions: pd.DataFrame, curve: str, label: int
) -> None:
    cuts = np.array([-2.0, 0.0, predictions["logit"].iloc[7], 3.0])
    cuts.sort()

    def share(right: Array, counted: Array, weights: Array) -> float:
        return float(np.average(right, weights=weights[counted]))

    found = pick(compute_threshold_curves(predictions, cuts, SEED), curve)
    assert found["x"].tolist() == cuts.tolist()
    for cut, row in zip(cuts, found.itertuples(), strict=True):
        right = ((predictions["logit"] >= cut) == label).to_numpy()
        counted = (predictions["label"] == label).to_numpy()
        assert row.value == pytest.approx(right[counted].mean())
        bounds = resample_one_by_one(predictions, partial(share, right[counted], counted))
        assert [row.low, row.high] == pytest.approx(bounds)


def test_a_second_image_of_each_patient_with_the_same_score_changes_nothing(predictions: pd.DataFrame) -> None:
    twice, cuts = pd.concat([predictions, predictions], ignore_index=True), np.linspace(-3, 3, 7)
    pd.testing.assert_frame_equal(compute_rank_curves(twice, SEED), compute_rank_curves(predictions, SEED))
    pd.testing.assert_frame_equal(
        compute_threshold_curves(twice, cuts, SEED), compute_threshold_curves(predictions, cuts, SEED)
    )


DEGENERATE = {
    "all scores equal": make_predictions([0, 1, 0, 1, 1], [0.5] * 5),
    "three images": make_predictions([0, 1, 1], [0.3, 0.2, 0.9]),
    "probabilities of 0 and 1": make_predictions([0, 1, 0, 1], [0.0, 1.0, 1.0, 0.0]),
    "one patient": make_predictions([0, 1, 1], [0.3, 0.2, 0.9], ["one"] * 3),
    "everything right": make_predictions([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9]),
}


@pytest.mark.parametrize("table", DEGENERATE.values(), ids=DEGENERATE)
def test_bands_are_ordered_and_finite_for_any_input(table: pd.DataFrame) -> None:
    curves = compute_curves(table, table, table, make_point(0.5), make_evaluation(seed=SEED))
    numbers = curves[["x", "value", "low", "high"]]
    assert np.isfinite(numbers.to_numpy()).all()
    assert (curves["low"] <= curves["high"] + 1e-12).all()
    assert numbers["low"].min() >= -1e-12
    assert numbers["high"].max() <= 1 + 1e-12
    assert numbers["value"].between(0, 1).all()


def test_where_all_scores_are_equal_the_curve_and_its_band_are_the_diagonal() -> None:
    roc = pick(compute_rank_curves(DEGENERATE["all scores equal"], SEED), "roc")
    assert roc[["x", "value"]].to_numpy().tolist() == [[0, 0], [1, 1]]
    np.testing.assert_allclose(roc[["low", "high"]], [[0, 0], [1, 1]], atol=1e-8)


def test_every_curve_names_its_subset_and_its_number_of_images(predictions: pd.DataFrame) -> None:
    validation, shifted = predictions.head(30), pd.concat([predictions.head(30)] * 2, ignore_index=True)
    curves = compute_curves(validation, shifted, predictions, make_point(0.5), make_evaluation(seed=SEED))
    found = curves.groupby("subset")["num_images"].unique().map(list).to_dict()
    assert found == {"validation": [30], "corrupted": [60], "test": [60]}
    assert set(zip(curves["subset"], curves["curve"], strict=True)) == {
        *((subset, curve) for subset in ("validation", "test") for curve in ("roc", "precision_recall")),
        *((subset, curve) for subset in ("corrupted", "test") for curve in ("sensitivity", "specificity")),
    }
    cuts = pick(curves[curves["subset"] == "test"], "sensitivity")
    assert len(cuts) == NUM_CUTS
    assert cuts["x"].iloc[0] == predictions["logit"].min() - 1
    assert cuts["value"].iloc[[0, -1]].tolist() == [1, 0]
