"""Curves are those of scikit-learn, and their bands those of resamples one by one."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_curve

from chest_xray.core.types import Array
from chest_xray.metrics.bootstrap import resample_weights
from chest_xray.metrics.curves import NUM_CUTS, compute_rank_curves, compute_threshold_curves
from chest_xray.pipelines.evaluation.nodes import compute_curves
from tests.builders import make_evaluation, make_point, make_predictions

SEED = 5
NUM_IMAGES = 60


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
