"""Calibration: bins worked by hand, slopes known from how labels were made, and metrics that do not exist."""

import math

import numpy as np
import pytest
from scipy.special import expit, logit

from chest_xray.metrics.calibration_error import (
    calibration_errors,
    compute_error_by_chance,
    recalibrate,
    score_probabilities,
)


def calibration_error(labels: list[int], probabilities: list[float]) -> float:
    return float(calibration_errors(np.array(labels), np.array(probabilities), np.ones((1, len(labels))))[0])


def test_the_calibration_error_is_the_mean_distance_between_promise_and_truth_by_bin() -> None:
    # The bin from 3/15 to 4/15: promised 0.22 + 0.24 + 0.26 = 0.72, true 1. That from 9/15: promised 1.24, true 2.
    assert calibration_error([0, 1, 0, 1, 1], [0.22, 0.24, 0.26, 0.61, 0.63]) == pytest.approx((0.28 + 0.76) / 5)
    # Errors of either sign in one bin make up for each other, in two bins they do not.
    assert calibration_error([0, 1], [0.48, 0.52]) == pytest.approx(0)
    assert calibration_error([0, 1], [0.4, 0.6]) == pytest.approx(0.4)


def test_a_certain_answer_falls_into_the_last_bin() -> None:
    assert calibration_error([1, 0, 1, 0], [1.0, 0.0, 1.0, 0.0]) == 0
    assert calibration_error([0, 1], [1.0, 0.0]) == 1
    assert calibration_error([0, 1], [1.0, 0.95]) == pytest.approx(0.95 / 2)
    # 0.9 x 15 = 13.5 and 0.95 x 15 = 14.25 stand in two bins: what the one lacks does not make up for the other.
    assert calibration_error([1, 0], [0.9, 0.95]) == pytest.approx((0.1 + 0.95) / 2)


def test_the_error_by_chance_equals_many_single_draws() -> None:
    probability = np.random.default_rng(1).random(40)
    rng = np.random.default_rng(2)
    drawn = [calibration_error((rng.random(40) < probability).tolist(), probability.tolist()) for _ in range(2000)]
    assert compute_error_by_chance(probability) == pytest.approx(np.quantile(drawn, 0.95), abs=0.01)


def test_the_error_by_chance_falls_with_the_number_of_images_and_is_none_where_all_is_certain() -> None:
    # Four times the images, half the error.
    few, many = (compute_error_by_chance(np.tile(np.linspace(0.01, 0.99, 50), times)) for times in (1, 4))
    assert many == pytest.approx(few / 2, rel=0.1)
    assert compute_error_by_chance(np.array([0.0, 1.0])) == 0


def recalibration(labels: list[int], logits: list[float]) -> tuple[float, float]:
    slope, intercept = recalibrate(np.array(labels), np.array(logits, float), np.ones((1, len(labels))))
    return float(slope[0]), float(intercept[0])


@pytest.mark.parametrize(("slope", "intercept"), [(1.0, 0.0), (0.5, 0.0), (2.0, 0.0), (1.0, 0.7), (1.0, -0.7)])
def test_a_slope_and_an_intercept_that_were_put_in_are_found_again(slope: float, intercept: float) -> None:
    # Each log odds stands for a million images, of which as many are PNEUMONIA as slope and intercept imply.
    promised = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])
    true = expit(intercept + slope * promised)
    label, logits = np.tile([1, 0], 5), np.repeat(promised, 2)
    found = recalibrate(label, logits, np.stack([true, 1 - true], axis=1).reshape(1, -1))
    assert found[0][0] == pytest.approx(slope)
    if slope == 1:
        assert found[1][0] == pytest.approx(intercept)


def test_log_odds_far_from_0_are_recalibrated_as_well() -> None:
    # Log odds of 9 to 12 where -3 to 3 came true: the slope is 2, and only with an intercept of -21.
    promised = np.array([9.0, 10.0, 11.0, 12.0])
    true = expit(2 * promised - 21)
    found = recalibrate(np.tile([1, 0], 4), np.repeat(promised, 2), np.stack([true, 1 - true], axis=1).reshape(1, -1))
    assert found[0][0] == pytest.approx(2)


@pytest.mark.parametrize("times", [0.001, 1000.0])
def test_a_fit_is_the_same_however_often_all_images_count_alike(times: float) -> None:
    label, logits = np.array([1, 0, 1, 1, 1, 0]), np.array([-1.0, -1.0, 1.0, 1.0, 1.0, 1.0])
    once, often = (recalibrate(label, logits, np.full((1, 6), each)) for each in (1.0, times))
    np.testing.assert_allclose(often, once, rtol=1e-9)
    # One of two at -1 and three of four at 1: log odds of 0 and log 3.
    assert often[0][0] == pytest.approx(math.log(3) / 2)
    assert once[1][0] > 0.1


def test_probabilities_of_two_values_are_recalibrated_by_hand() -> None:
    # At -1 one of four is PNEUMONIA, at 1 three of four: log odds of -log 3 and log 3 instead of -1 and 1.
    slope, intercept = recalibration([1, 0, 0, 0, 1, 1, 1, 0], [-1.0] * 4 + [1.0] * 4)
    assert slope == pytest.approx(math.log(3))
    assert intercept == pytest.approx(0, abs=1e-12)


def test_the_slope_is_infinite_where_a_threshold_separates_the_classes() -> None:
    assert recalibration([0, 0, 1, 1], [-2, -1, 1, 2])[0] == math.inf
    assert recalibration([0, 0, 1, 1], [-2, -1, -1, 2])[0] == math.inf  # also where they touch
    assert recalibration([1, 1, 0, 0], [-2, -1, 1, 2])[0] == -math.inf
    assert math.isfinite(recalibration([0, 1, 0, 1], [-2, -1, 1, 2])[0])


def test_there_is_no_slope_where_all_logits_are_the_same_and_no_metric_of_one_class() -> None:
    slope, intercept = recalibration([0, 1, 1], [0.5, 0.5, 0.5])
    assert math.isnan(slope)
    assert intercept == pytest.approx(math.log(2) - 0.5)
    for label in (0, 1):
        assert all(math.isnan(each) for each in recalibration([label, label], [0.5, 0.7]))


def test_resamples_are_fitted_each_by_itself() -> None:
    rng = np.random.default_rng(3)
    label, logits = rng.integers(0, 2, 30), rng.normal(size=30)
    weights = np.vstack([rng.integers(0, 4, (8, 30)).astype(float), label, np.zeros(30)])
    together = np.array(recalibrate(label, logits, weights))
    alone = np.array([recalibrate(label, logits, each[None]) for each in weights])[:, :, 0].T
    np.testing.assert_allclose(together, alone, rtol=1e-9)
    assert np.isnan(together[:, -2:]).all()  # one class alone, and no image


def test_a_fit_arrives_where_full_steps_would_jump_ever_farther() -> None:
    # One PNEUMONIA image far on the wrong side; the slope is -0.09, and Newton's first full step leads away from it.
    logits = [0, 0.51, 1.1, 1.1, -16.1, 1.9, 0, -0.5]
    slope, _ = recalibration([0, 1, 1, 1, 1, 1, 1, 0], logits)
    assert -0.2 < slope < 0


def test_a_certain_and_wrong_probability_does_not_cost_all() -> None:
    found = score_probabilities(np.array([0, 1]), np.array([1.0, 1.0]), np.ones((1, 2)))
    assert found["log_loss"][0] == pytest.approx(-math.log(1e-7) / 2, rel=1e-6)
    assert found["brier"][0] == 0.5


def test_a_perfect_forecast_of_one_half_has_the_loss_of_theory() -> None:
    found = score_probabilities(np.array([0, 1]), np.array([0.5, 0.5]), np.ones((1, 2)))
    assert found["log_loss"][0] == pytest.approx(math.log(2))
    assert (found["brier"][0], found["ece"][0]) == (0.25, 0)
    assert found["intercept"][0] == pytest.approx(logit(0.5))
