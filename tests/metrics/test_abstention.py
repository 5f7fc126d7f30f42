"""Which images are left to a human, and what the others are worth."""

import numpy as np
import pandas as pd
import pytest

from chest_xray.core.types import Array
from chest_xray.metrics.abstention import (
    SIZES,
    find_useful,
    fit_conformal,
    measure_abstention,
    measure_conformal,
    treat_all,
)
from chest_xray.metrics.binary import compute_rates
from chest_xray.metrics.bootstrap import draw_resamples
from chest_xray.metrics.operating_point import choose_band
from tests.builders import make_evaluation, make_point, make_predictions, with_band


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chest_xray.metrics.bootstrap.NUM_RESAMPLES", 100)


# Errors at 0.4 and 0.55. Distances of log odds from those of 0.5 fall from 0.9 to 0.45 as 0.9, 0.8, 0.4, 0.55.
TABLE = make_predictions([1, 0, 1, 0], [0.9, 0.2, 0.4, 0.55])


def test_the_band_refers_at_most_the_share_of_validation_and_no_narrower_one_is_needed() -> None:
    table = pd.DataFrame({"log_odds": [-3.0, -1.0, 0.5, 1.0, 2.0]})
    assert choose_band(table, 1.0, 0.4).half_width == 1.0  # At 1.0 lie no two but 1.0 itself and 0.5.
    for share, num in ((0.1, 0), (0.2, 1), (0.59, 2), (0.6, 3), (0.99, 4)):
        band = choose_band(table, 1.0, share)
        assert (np.abs(table["log_odds"] - 1.0) < band.half_width).sum() == num
        assert (np.abs(table["log_odds"] - 1.0) < band.half_width).mean() <= share
    assert choose_band(pd.DataFrame({"log_odds": [1.0, 1.0, 1.0]}), 1.0, 0.9).half_width == 0  # all at one distance


def test_without_a_band_nothing_is_referred() -> None:
    assert not make_point(0.5).find_referred(np.array([0.0, 1e-9, -5])).any()
    found, _ = measure_abstention(TABLE, TABLE, make_point(0.5), make_evaluation())
    assert found.referral is None


def test_the_bounds_of_the_band_are_answered() -> None:
    assert with_band(make_point(0.5), 0.5).find_referred(np.array([-0.5, -0.4, 0.0, 0.4, 0.5])).tolist() == [
        False,
        True,
        True,
        True,
        False,
    ]


def test_the_area_by_hand() -> None:
    found, _ = measure_abstention(TABLE, TABLE, make_point(0.5), make_evaluation())
    # In order of distance: right, right, wrong, wrong; so error rates of 0, 0, 1/3 and 1/2.
    assert found.risk_coverage.area.value == pytest.approx((1 / 3 + 1 / 2) / 4)
    assert found.risk_coverage.best == pytest.approx((1 / 3 + 1 / 2) / 4)
    assert found.risk_coverage.by_chance == 0.5


def test_an_uninformative_order_has_the_area_of_chance() -> None:
    rng = np.random.default_rng(3)
    log_odds, is_right = rng.normal(size=800), rng.random(800) < 0.8
    table = make_predictions(((log_odds >= 0) == is_right).astype(int).tolist(), (1 / (1 + np.exp(-log_odds))).tolist())
    found, _ = measure_abstention(table, table, make_point(0.5), make_evaluation())
    assert found.risk_coverage.area.value == pytest.approx(found.risk_coverage.by_chance, abs=0.05)


def test_if_all_are_referred_nothing_is_known_of_the_others() -> None:
    found, _ = measure_abstention(TABLE, TABLE, with_band(make_point(0.5), 100), make_evaluation())
    assert found.referral is not None
    assert found.referral.referred.value == found.referral.errors_referred.value == 1
    assert found.referral.answered is None


def test_if_no_decision_is_wrong_no_share_of_errors_is_invented() -> None:
    table = make_predictions([0, 0, 1, 1], [0.1, 0.4, 0.6, 0.9])
    found, _ = measure_abstention(table, table, with_band(make_point(0.5), 0.5), make_evaluation())
    assert found.referral is not None
    assert (found.referral.errors_referred.value, found.referral.errors_referred.n) == (None, 0)
    assert found.risk_coverage.area.value == found.risk_coverage.best == found.risk_coverage.by_chance == 0


def test_limits_of_conformal_sets_by_hand() -> None:
    table = pd.DataFrame({"label": [0] * 9 + [1] * 4, "log_odds": [*range(-9, 0), 1, 2, 3, 4]})
    # NORMAL: the ceil(10 * 0.8) = 8th of nine from below. PNEUMONIA: the ceil(5 * 0.8) = 4th of four from above.
    assert fit_conformal(table, 0.8) == (-2, 1)
    assert fit_conformal(table, 0.9) == (-1, -np.inf)


@pytest.mark.parametrize("label", [0, 1])
def test_a_class_without_validation_images_is_in_every_set(label: int) -> None:
    table = TABLE[TABLE["label"] == label]
    limits = fit_conformal(table, 0.5)
    assert limits[1 - label] == (-np.inf if label == 0 else np.inf)
    draws = draw_resamples(TABLE, 20, 1)
    found = measure_conformal(TABLE, limits, make_evaluation(), draws)
    assert (found.pneumonia_from if label == 0 else found.normal_up_to) is None
    assert found.reached["PNEUMONIA" if label == 0 else "NORMAL"].value == 1
    empty = fit_conformal(table[:0], 0.5)
    assert measure_conformal(TABLE, empty, make_evaluation(), draws).sizes["both"].value == 1


def draw(rng: np.random.Generator, num: int, lost: float = 0.0) -> pd.DataFrame:
    """Scores of both classes, those of NORMAL nearer to PNEUMONIA by `lost`."""
    label = np.arange(num) % 2
    return pd.DataFrame({"label": label, "log_odds": rng.normal(size=num) + 2 * label + lost * (1 - label)})


def simulate_coverage(lost: float) -> Array:
    """The mean share of new images of each class whose set contains the class, over 300 validation sets."""
    rng = np.random.default_rng(2018)
    held = []
    for _ in range(300):
        limits, new = fit_conformal(draw(rng, 78), 0.9), draw(rng, 400, lost)
        score, label = new["log_odds"].to_numpy(), new["label"].to_numpy()
        held.append([(score[label == 0] <= limits[0]).mean(), (score[label == 1] >= limits[1]).mean()])
    return np.mean(held, axis=0)


def test_conformal_sets_reach_their_coverage_on_exchangeable_images() -> None:
    # With 39 images a class the probability is exactly 36 / 40 = 0.9; the standard error is 0.003.
    assert simulate_coverage(0.0) == pytest.approx(0.9, abs=0.01)


def test_conformal_sets_miss_their_coverage_on_shifted_images_and_the_result_shows_it() -> None:
    normal, pneumonia = simulate_coverage(1.0)
    assert normal < 0.7
    assert pneumonia == pytest.approx(0.9, abs=0.01)
    rng = np.random.default_rng(7)
    validation, test = draw(rng, 400), draw(rng, 400, 1.0)
    names = [f"{number}.png" for number in range(400)]
    test = test.assign(path=names, group=names)
    limits = fit_conformal(validation, 0.95)
    options = make_evaluation(conformal_coverage=0.95)
    found = measure_conformal(test, limits, options, draw_resamples(test, 20, 1))
    high = found.reached["NORMAL"].high
    assert high is not None
    assert high < found.promised
    assert sum(found.sizes[name].finite_value for name in SIZES) == pytest.approx(1)


def test_the_decisions_of_a_test_are_of_use_between_its_post_test_probabilities() -> None:
    """By the formula of net benefit: better than treating all above 1 - NPV, than treating none below the PPV."""
    label = [0] * 100 + [1] * 100
    table = make_predictions(label, [0.1] * 90 + [0.9] * 10 + [0.1] * 20 + [0.9] * 80)
    found, curves = measure_abstention(table, table, make_point(0.5), make_evaluation(decision_prevalences=(0.16,)))
    counts = {name: np.array([each]) for name, each in {"tn": 90, "fp": 10, "fn": 20, "tp": 80}.items()}
    rates = compute_rates(counts, 0.16)
    curve = curves[curves["curve"] == "by_decision"].assign(low=lambda each: each["value"])
    low, high = find_useful(curve) or (0, 0)
    assert (low, high) == pytest.approx((1 - rates["npv_realistic"][0], rates["ppv_realistic"][0]), abs=0.01)
    (useful,) = found.useful
    assert useful.by_decision is not None
    assert low < useful.by_decision[0] < useful.by_decision[1] < high  # with the whole band


def test_a_score_of_noise_is_of_no_use() -> None:
    table = make_predictions([0, 1] * 100, [0.3, 0.3, 0.7, 0.7] * 50)
    found, _ = measure_abstention(table, table, make_point(0.5), make_evaluation())
    assert all(each.by_decision is None and each.by_probability is None for each in found.useful)


def test_of_several_useful_ranges_the_longest_is_named() -> None:
    choices = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    low = np.array([9, 0, 9, 9, 0, 9]) + np.maximum(treat_all(choices, 0.3), 0)
    assert find_useful(pd.DataFrame({"x": choices, "prevalence": 0.3, "low": low})) == (0.3, 0.4)


def test_without_a_false_alarm_the_range_of_use_is_not_without_end() -> None:
    """Of 40 healthy images none is classified as PNEUMONIA; resamples alone would show no uncertainty of that."""
    table = make_predictions([0] * 40 + [1] * 40, [0.1] * 60 + [0.9] * 20)
    found, _ = measure_abstention(table, table, make_point(0.5), make_evaluation(decision_prevalences=(0.16,)))
    (useful,) = found.useful
    assert useful.by_decision is not None
    assert useful.by_decision[1] < 0.6
