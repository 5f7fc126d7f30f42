"""How often rules fire on simulated splits: rarely without an effect, often with a large one, and in between."""

import numpy as np
import pytest

from chest_xray.metrics.binary import proportion
from chest_xray.metrics.results import Decisions
from chest_xray.reporting.conclusions import classify_errors, describe_errors, suggest_next_steps
from tests.builders import changed, make_run_metrics

PNEUMONIA, NORMAL, NUM = 390, 234, 300  # as on test; and simulated splits
RARELY, SOMETIMES, MOSTLY = (0, 0.05), (0.1, 0.9), (0.9, 1)


def is_within(hits: list[bool], bounds: tuple[float, float]) -> bool:
    return bounds[0] <= sum(hits) / len(hits) <= bounds[1]


def simulate_decisions(sensitivity: float, specificity: float, rng: np.random.Generator) -> Decisions:
    tp, tn = int(rng.binomial(PNEUMONIA, sensitivity)), int(rng.binomial(NORMAL, specificity))
    rates = {"sensitivity": proportion(tp, PNEUMONIA), "specificity": proportion(tn, NORMAL)}
    counts = {"tp": tp, "fn": PNEUMONIA - tp, "tn": tn, "fp": NORMAL - tn}
    return make_run_metrics().test.at_chosen.model_copy(update={**rates, **counts})


@pytest.mark.parametrize(
    ("sensitivity", "specificity", "often"), [(0.9, 0.9, RARELY), (0.95, 0.9, SOMETIMES), (0.98, 0.87, MOSTLY)]
)
def test_a_class_is_named_as_the_weaker_one(sensitivity: float, specificity: float, often: tuple[float, float]) -> None:
    rng = np.random.default_rng(1)
    kinds = [classify_errors(simulate_decisions(sensitivity, specificity, rng))[0] for _ in range(NUM)]
    assert is_within([kind == "normal" for kind in kinds], often)
    assert "pneumonia" not in kinds or often == RARELY


@pytest.mark.parametrize(("share", "often"), [(0.5, RARELY), (0.65, SOMETIMES), (0.85, MOSTLY)])
def test_a_threshold_is_named_as_better_than_one_half(share: float, often: tuple[float, float]) -> None:
    """Of 40 decisions that the threshold changes, it corrects this share."""
    rng, keys = np.random.default_rng(2), []
    for _ in range(NUM):
        corrected = int(rng.binomial(40, share))
        metrics = changed(make_run_metrics(), "test.points.balanced", tn=100, tp=100)
        half = changed(metrics, "test.at_half", tn=100 - corrected, tp=100 + 40 - corrected)
        keys.append(list(describe_errors(half))[-1].key)
    assert is_within([key == "threshold_helps" for key in keys], often)
    assert is_within([key == "threshold_hurts" for key in keys], RARELY)


@pytest.mark.parametrize(("train", "often"), [(0.95, RARELY), (0.965, SOMETIMES), (0.985, MOSTLY)])
def test_overfitting_is_named(train: float, often: tuple[float, float]) -> None:
    """Validation accuracy of 781 images is 0.95."""
    rng, hits = np.random.default_rng(3), []
    metrics = changed(make_run_metrics(), "validation", num_images=781)
    for _ in range(NUM):
        training = {"accuracy": train, "val_accuracy": rng.binomial(781, 0.95) / 781}
        hits.append("try_regularisation" in {each.key for each in suggest_next_steps(metrics, training)})
    assert is_within(hits, often)
