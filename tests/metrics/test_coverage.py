"""Intervals hold what they promise: of 95% intervals, about 95 of 100 hold the truth.

The bounds are 93% and 97%. Of 1,000 simulations a share of 95% has a standard error of 0.7 points, so that a method
that holds what it promises stays within them 996 times of 1,000; the seed is fixed besides.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from chest_xray.core.types import Array
from chest_xray.metrics.binary import compute_rates, count_outcomes, proportion, weighted_auc
from chest_xray.metrics.bootstrap import draw_patient_resamples, draw_resamples, interval

NUM_SIMULATIONS = 1000
NUM_PATIENTS, NUM_IMAGES = 100, 3  # images of each patient
SHARED = 0.8  # of the variance of a score, by the patient
DISTANCE = 1.5  # between the means of the classes, in standard deviations
# The weights do not depend on the scores, so that those of one drawing serve every simulation.
PATIENT = np.repeat(np.arange(NUM_PATIENTS), NUM_IMAGES)
LABEL = PATIENT % 2
RESAMPLES = 801  # the sample and 800 of its resamples


def simulate(rng: np.random.Generator) -> Array:
    """Scores whose images of one patient are alike."""
    of_patient = rng.normal(size=NUM_PATIENTS)[PATIENT] * SHARED**0.5
    return of_patient + rng.normal(size=len(PATIENT)) * (1 - SHARED) ** 0.5 + DISTANCE * LABEL


def intervals(weights: Array, num: int) -> Iterator[dict[str, tuple[float, float]]]:
    """Low and high of three figures in each simulation."""
    rng = np.random.default_rng(2018)
    for _ in range(num):
        score = simulate(rng)
        rates = compute_rates(count_outcomes(LABEL, score >= DISTANCE / 2, weights), 0.16)
        measured = {
            "auc": weighted_auc(LABEL, score, weights),
            "balanced_accuracy": rates["balanced_accuracy"],
            "npv_realistic": rates["npv_realistic"],
        }
        found = {name: dict(interval(each[0], each[1:])) for name, each in measured.items()}
        yield {name: (each["low"], each["high"]) for name, each in found.items()}


RIGHT = norm.cdf(DISTANCE / 2)  # of either class, in the middle between the means
TRUTH = {
    "auc": norm.cdf(DISTANCE / 2**0.5),
    "balanced_accuracy": RIGHT,
    "npv_realistic": 0.84 * RIGHT / (0.84 * RIGHT + 0.16 * (1 - RIGHT)),
}


def coverage(groups: Array, num: int) -> dict[str, float]:
    weights = draw_patient_resamples(groups, 1)[:RESAMPLES]
    held = dict.fromkeys(TRUTH, 0)
    for found in intervals(weights, num):
        for name, (low, high) in found.items():
            held[name] += int(low <= TRUTH[name] <= high)
    return {name: number / num for name, number in held.items()}


def test_intervals_over_patients_cover_the_truth_in_95_of_100() -> None:
    found = coverage(PATIENT, NUM_SIMULATIONS)
    assert all(0.93 <= share <= 0.97 for share in found.values()), found


def test_intervals_over_images_would_not() -> None:
    found = coverage(np.arange(len(PATIENT)), 200)
    assert all(share < 0.85 for share in found.values()), found


@pytest.mark.parametrize(("share", "total"), [(0.5, 50), (0.8, 234), (0.97, 390), (0.92, 624)])
def test_wilsons_intervals_cover_the_truth_in_95_of_100(share: float, total: int) -> None:
    drawn = np.random.default_rng(2018).binomial(total, share, 20_000)  # standard error 0.15 points
    parts, times = np.unique(drawn, return_counts=True)
    found = [dict(proportion(int(part), total)) for part in parts]
    held = sum(number for each, number in zip(found, times, strict=True) if each["low"] <= share <= each["high"])
    assert 0.93 <= held / 20_000 <= 0.97


RATE, NUM_IN_SERIES, NUM_SERIES = 0.15, 234, 400  # wrong decisions; patients; simulations


def coverage_along_numbers(alike: int) -> dict[str, float]:
    """How often intervals hold the rate of errors, where each error shares its causes with `alike` - 1 before it."""
    names = [f"NORMAL/IM-{number:04d}.jpeg" for number in range(NUM_IN_SERIES)]
    draws = draw_resamples(pd.DataFrame({"path": names, "group": names, "label": 0}), 20, 1)
    noise = np.random.default_rng(2018).normal(size=(NUM_SERIES, NUM_IN_SERIES + alike - 1))
    shared = np.lib.stride_tricks.sliding_window_view(noise, alike, axis=1).sum(axis=2) / alike**0.5
    errors = (shared > norm.isf(RATE)).astype(float)
    resampled = {name: weights[1:RESAMPLES] @ errors.T / NUM_IN_SERIES for name, weights in draws.items()}
    bounds = {str(name): np.quantile(each, [0.025, 0.975], axis=0) for name, each in resampled.items()}
    is_wider = np.ptp(bounds["blocks"], axis=0) > np.ptp(bounds["patients"], axis=0)
    bounds["widest"] = np.where(is_wider, bounds["blocks"], bounds["patients"])
    return {name: float(((low <= RATE) & (high >= RATE)).mean()) for name, (low, high) in bounds.items()}


def test_the_wider_interval_covers_independent_errors_too() -> None:
    assert coverage_along_numbers(1)["widest"] >= 0.94


# With few blocks, percentiles of blocks are somewhat too narrow: 92 and 88 of 100 were measured in 1,000 simulations.
@pytest.mark.parametrize(("alike", "by_blocks", "by_patients"), [(4, 0.89, 0.82), (8, 0.85, 0.65)])
def test_block_intervals_nearly_reach_their_coverage_for_errors_in_runs_and_patient_intervals_do_not(
    alike: int, by_blocks: float, by_patients: float
) -> None:
    found = coverage_along_numbers(alike)
    assert found["widest"] >= by_blocks
    assert found["patients"] <= by_patients
