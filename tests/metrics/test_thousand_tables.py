"""Every metric against scikit-learn, or a formula worked out here, on 1,000 random tables with ties and weights."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import expit, logit
from scipy.stats import norm
from sklearn import metrics as sklearn_metrics

from chest_xray.core.types import Array
from chest_xray.metrics.binary import compute_rates, count_outcomes, proportion
from chest_xray.metrics.calibration_error import score_probabilities
from chest_xray.metrics.summary import measure_ranking

NUM_TABLES = 1000
PREVALENCE = 0.16


def random_table(seed: int) -> tuple[Array, Array, Array]:
    """Labels of both classes, probabilities, in half of the tables tied, and whole weights, some of them 0."""
    rng = np.random.default_rng([2018, seed])
    num = int(rng.integers(6, 50))
    label = np.append([0, 1], rng.integers(0, 2, num))
    probability = expit(rng.normal(rng.uniform(0, 2) * (label - 0.5), 1.5))
    if seed % 2:
        probability = np.round(probability * 8) / 8
    return label, probability, np.append([1, 1], rng.integers(0, 4, num)).astype(float)


def tables() -> Iterator[tuple[Array, Array, Array]]:
    return (random_table(seed) for seed in range(NUM_TABLES))


def first(measured: dict[str, Array]) -> dict[str, float]:
    return {name: float(values[0]) for name, values in measured.items()}


def decide(label: Array, decision: Array, weight: Array, prevalence: float = PREVALENCE) -> dict[str, float]:
    return first(compute_rates(count_outcomes(label, decision, weight[None]), prevalence))


def mean(values: Array, weight: Array) -> float:
    """Weighted mean, NaN of nothing."""
    return float(np.average(values, weights=weight)) if weight.sum() else math.nan


def right_of(label: Array, decision: Array, weight: Array, said: int) -> float:
    """Share of those classified so that are."""
    return mean(label[decision == said] == said, weight[decision == said])


def test_metrics_of_decisions_equal_their_definitions() -> None:
    for label, probability, weight in tables():
        decision = (probability >= 0.5).astype(int)
        normal, pneumonia = label == 0, label == 1
        sensitivity, specificity = (mean(decision[of] == label[of], weight[of]) for of in (pneumonia, normal))
        ppv = right_of(label, decision, weight, 1)
        # Images weighted so that PNEUMONIA has the share asked for.
        shares = np.where(pneumonia, PREVALENCE / weight[pneumonia].sum(), (1 - PREVALENCE) / weight[normal].sum())
        both = len(set(decision[weight > 0])) == 2
        spread = np.cov(label, decision, fweights=weight.astype(int))
        expected = {
            "accuracy": mean(decision == label, weight),
            **{"sensitivity": sensitivity, "specificity": specificity, "precision": ppv},
            "npv": right_of(label, decision, weight, 0),
            "balanced_accuracy": mean(
                decision == label, weight * shares / np.where(pneumonia, PREVALENCE, 1 - PREVALENCE)
            ),
            "ppv_realistic": right_of(label, decision, weight * shares, 1),
            "npv_realistic": right_of(label, decision, weight * shares, 0),
            # The harmonic mean; the correlation of two columns of 0 and 1.
            "f1": 0.0 if not sensitivity else 2 / (1 / ppv + 1 / sensitivity),
            "mcc": spread[0, 1] / math.sqrt(spread[0, 0] * spread[1, 1]) if both else math.nan,
            "lr_positive": odds(sensitivity, 1 - specificity),
            "lr_negative": odds(1 - sensitivity, specificity),
        }
        assert decide(label, decision, weight) == pytest.approx(expected, nan_ok=True, rel=1e-9, abs=1e-9)


def odds(part: float, rest: float) -> float:
    return part / rest if rest else math.inf if part else math.nan


@pytest.mark.parametrize("seed", range(50))
def test_metrics_of_decisions_equal_those_of_scikit_learn(seed: int) -> None:
    label, probability, weight = random_table(seed)
    decision, given = (probability >= 0.5).astype(int), {"sample_weight": weight}
    counts = count_outcomes(label, decision, weight[None]).values()
    table = sklearn_metrics.confusion_matrix(label, decision, **given)
    np.testing.assert_array_equal(np.reshape([*counts], (2, 2)), table)
    found = decide(label, decision, weight)
    assert found["balanced_accuracy"] == pytest.approx(
        sklearn_metrics.balanced_accuracy_score(label, decision, **given)
    )
    assert found["f1"] == pytest.approx(sklearn_metrics.f1_score(label, decision, **given))
    if table.all():
        ratios = sklearn_metrics.class_likelihood_ratios(label, decision, **given)
        assert (found["lr_positive"], found["lr_negative"]) == pytest.approx(ratios)
        assert found["mcc"] == pytest.approx(sklearn_metrics.matthews_corrcoef(label, decision, **given))


def test_metrics_of_ranking_equal_those_of_scikit_learn() -> None:
    for label, probability, weight in tables():
        expected = {
            "auc": sklearn_metrics.roc_auc_score(label, probability, sample_weight=weight),
            "pr_auc": sklearn_metrics.average_precision_score(label, probability, sample_weight=weight),
        }
        assert first(measure_ranking(label, probability, weight[None])) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def calibration_error(label: Array, probability: Array, weight: Array) -> float:
    """Bin by bin, as Guo et al. 2017 write it: the share of the bin times |accuracy - confidence|."""
    total = 0.0
    for number in range(15):
        inside = (probability * 15 >= number) & ((probability * 15 < number + 1) | (number == 14))
        mass = weight[inside].sum()
        if mass:
            truth, promise = (np.average(each[inside], weights=weight[inside]) for each in (label, probability))
            total += mass / weight.sum() * abs(truth - promise)
    return total


def test_metrics_of_probabilities_equal_those_of_scikit_learn_or_their_definition() -> None:
    for label, probability, weight in tables():
        held = np.clip(probability, 1e-7, 1 - 1e-7)
        log_odds = logit(held)

        def excess(intercept: float, label: Any = label, log_odds: Any = log_odds, weight: Any = weight) -> float:
            return float(weight @ (label - expit(intercept + log_odds)))

        found = first(score_probabilities(label, probability, weight[None]))
        slope = found.pop("slope")
        expected = {
            "brier": sklearn_metrics.brier_score_loss(label, probability, sample_weight=weight),
            "log_loss": sklearn_metrics.log_loss(label, held, sample_weight=weight),
            "ece": calibration_error(label, probability, weight),
            "intercept": brentq(excess, -60, 60, xtol=1e-13, rtol=1e-13),
        }
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-9)
        assert_most_likely(slope, label, log_odds, weight)


def assert_most_likely(slope: float, label: Array, log_odds: Array, weight: Array) -> None:
    """The likelihood is concave: it is highest where both of its derivatives are 0."""
    drawn = weight > 0
    normal, pneumonia = (log_odds[drawn & (label == each)] for each in (0, 1))
    if normal.max() <= pneumonia.min() or pneumonia.max() <= normal.min():
        assert slope == (math.inf if normal.min() < pneumonia.max() else -math.inf)
        return

    def excess(intercept: float) -> float:
        return float(weight @ (label - expit(intercept + slope * log_odds)))

    intercept = brentq(excess, -1e3, 1e3, xtol=1e-14, rtol=1e-14)
    assert weight @ ((label - expit(intercept + slope * log_odds)) * log_odds) == pytest.approx(0, abs=1e-9)


def test_wilsons_interval_equals_his_formula() -> None:
    rng, z = np.random.default_rng(2018), norm.ppf(0.975)
    for _ in range(NUM_TABLES):
        total = int(rng.integers(1, 700))
        part = int(rng.integers(0, total + 1))
        share = part / total
        middle = (share + z**2 / (2 * total)) / (1 + z**2 / total)
        half = z / (1 + z**2 / total) * math.sqrt(share * (1 - share) / total + z**2 / (4 * total**2))
        expected = {"value": share, "low": max(middle - half, 0), "high": min(middle + half, 1), "n": total}
        found = proportion(part, total).model_dump()
        assert found.pop("method") == "images"
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-9)


def everything(label: Array, probability: Array, weight: Array, threshold: float) -> dict[str, float]:
    return {
        **decide(label, probability >= threshold, weight),
        **first(measure_ranking(label, probability, weight[None])),
        **first(score_probabilities(label, probability, weight[None])),
    }


@pytest.mark.parametrize("seed", range(20))
def test_no_metric_depends_on_the_order_of_images(seed: int) -> None:
    label, probability, weight = random_table(seed)
    order = np.random.default_rng(seed).permutation(len(label))
    plain = everything(label, probability, weight, 0.5)
    assert everything(label[order], probability[order], weight[order], 0.5) == pytest.approx(plain, nan_ok=True)


@pytest.mark.parametrize("seed", range(20))
def test_a_weight_counts_an_image_so_many_times(seed: int) -> None:
    label, probability, weight = random_table(seed)
    times = weight.astype(int)
    repeated = everything(np.repeat(label, times), np.repeat(probability, times), np.ones(times.sum()), 0.5)
    assert repeated == pytest.approx(everything(label, probability, weight, 0.5), nan_ok=True)


@pytest.mark.parametrize("seed", range(0, 40, 2))  # tables without ties, of which none lies on the edge of a bin
def test_with_the_classes_swapped_each_metric_becomes_its_counterpart(seed: int) -> None:
    label, probability, weight = random_table(seed)
    there = everything(label, probability, weight, 0.5)
    swapped = everything(1 - label, 1 - probability, weight, np.nextafter(0.5, 1))
    back = decide(1 - label, probability < 0.5, weight, 1 - PREVALENCE)
    pairs = {"sensitivity": "specificity", "precision": "npv"}
    for one, other in pairs.items():
        assert (swapped[one], swapped[other]) == pytest.approx((there[other], there[one]), nan_ok=True)
    for same in ("accuracy", "balanced_accuracy", "mcc", "auc", "log_loss", "brier", "ece", "slope"):
        assert swapped[same] == pytest.approx(there[same], nan_ok=True)
    assert swapped["intercept"] == pytest.approx(-there["intercept"])
    assert back["ppv_realistic"] == pytest.approx(there["npv_realistic"], nan_ok=True)
    if 0 < there["lr_negative"] < math.inf:
        assert swapped["lr_positive"] == pytest.approx(1 / there["lr_negative"])


@pytest.mark.parametrize("seed", range(20))
def test_the_ranking_does_not_depend_on_a_monotone_change_of_scores(seed: int) -> None:
    label, probability, weight = random_table(seed)
    plain, changed = (measure_ranking(label, each, weight[None]) for each in (probability, probability**3 / 2 - 7))
    assert first(changed) == pytest.approx(first(plain))


@pytest.mark.parametrize("seed", range(20))
def test_f1_does_not_depend_on_how_many_healthy_images_are_cleared(seed: int) -> None:
    label, probability, weight = random_table(seed)
    plain = decide(label, probability >= 0.5, weight)["f1"]
    more = decide(np.append(label, 0), np.append(probability, 0) >= 0.5, np.append(weight, 1000.0))["f1"]
    assert more == pytest.approx(plain)
