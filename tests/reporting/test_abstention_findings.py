"""What is said of abstention follows from the numbers, at and around each boundary."""

import numpy as np
import pytest

from chest_xray.metrics.binary import proportion
from chest_xray.metrics.results import Interval, Metrics
from chest_xray.reporting.abstention_findings import find_abstention
from tests.builders import changed, interval, make_abstention, make_run_metrics

NUM = 200  # simulated splits


def find_keys(metrics: Metrics) -> dict[str, str]:
    """The key of each finding on the likelihood ratios, with the strength that it names."""
    found = find_abstention(make_abstention(), metrics)["abstention"]
    return {each.key: str(each.values.get("strength", "")) for each in found if "_shift" in each.key}


@pytest.mark.parametrize(
    ("low", "key", "strength"),
    [
        (0.99, "positive_shift_not_shown", ""),
        (1.01, "positive_shift", "shift_minimal"),
        (2.01, "positive_shift", "shift_small"),
        (5.0, "positive_shift", "shift_small"),
        (5.01, "positive_shift", "shift_moderate"),
        (10.0, "positive_shift", "shift_moderate"),
        (10.01, "positive_shift", "shift_large"),
    ],
)
def test_a_shift_is_named_by_the_end_of_its_interval_nearest_to_1(low: float, key: str, strength: str) -> None:
    assert find_keys(make_run_metrics(lr_positive=interval(low, low + 3, low + 9)))[key] == strength
    mirrored = interval(0, 0.5 / low, 1 / low)
    assert find_keys(make_run_metrics(lr_negative=mirrored))[key.replace("positive", "negative")] == strength


def test_without_a_false_alarm_the_answer_pneumonia_has_no_upper_end() -> None:
    ratio = Interval(value=30, low=12, high=None).with_n(100).model_dump()
    metrics = changed(make_run_metrics(), "test.points.balanced", lr_positive=ratio)
    keys = {each.key for each in find_abstention(make_abstention(), metrics)["abstention"]}
    assert "positive_shift_open" in keys
    assert "positive_shift" not in keys


@pytest.mark.parametrize(("reached", "often"), [(0.95, (0, 0.06)), (0.91, (0.2, 0.8)), (0.8, (0.98, 1))])
def test_a_violated_guarantee_is_reported_only_if_it_is_shown(reached: float, often: tuple[float, float]) -> None:
    rng, broken = np.random.default_rng(4), 0
    for _ in range(NUM):
        abstention = make_abstention()
        share = proportion(int(rng.binomial(234, reached)), 234)
        conformal = abstention.conformal.model_copy(update={"reached": {"NORMAL": share}})
        found = find_abstention(abstention.model_copy(update={"conformal": conformal}), make_run_metrics())
        broken += "conformal_broken" in {each.key for each in found["abstention"]}
    assert often[0] <= broken / NUM <= often[1]
