"""Conditions of the same images are compared image by image, and corrected for their number."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from chest_xray.core.options import InputError
from chest_xray.metrics.bootstrap import correct_by_holm
from chest_xray.metrics.conditions import measure_conditions
from tests.builders import make_evaluation, make_point, make_predictions


def make_conditions(num: int = 200) -> dict[str, pd.DataFrame]:
    """Clean images, the same with a little noise, and the same with nothing changed."""
    rng = np.random.default_rng(3)
    labels = [0, 1] * (num // 2)
    clean = rng.normal(np.array(labels) * 0.3 + 0.35, 0.2).clip(0.01, 0.99)
    noisy = (clean - 0.04 * np.array(labels) * rng.random(num)).clip(0.01, 0.99)
    return {name: make_predictions(labels, each.tolist()) for name, each in (("clean", clean), ("noisy", noisy))}


def measure(conditions: dict[str, pd.DataFrame]) -> list[dict[str, Any]]:
    table = measure_conditions(conditions, make_point(0.5), make_evaluation())
    return [{str(name): each for name, each in row.items()} for _, row in table.iterrows()]


def test_a_small_loss_is_shown_by_pairs_and_not_by_intervals_that_overlap() -> None:
    clean, noisy = measure(make_conditions())
    assert noisy["auc_high"] > clean["auc_low"]  # Unpaired, nothing is shown.
    assert noisy["auc_change"] == pytest.approx(noisy["auc"] - clean["auc"], abs=2e-4)
    assert noisy["auc_change_high"] < 0
    assert noisy["auc_p"] < 0.05
    assert noisy["auc_change_high"] - noisy["auc_change_low"] < (noisy["auc_high"] - noisy["auc_low"]) / 5


def test_a_condition_that_changes_nothing_differs_by_nothing() -> None:
    table = make_conditions()["clean"]
    same = measure({"clean": table, "same": table})[1]
    for name in ("accuracy", "auc"):
        assert [same[f"{name}_{part}"] for part in ("change", "change_low", "change_high", "p")] == [0, 0, 0, 1]


def test_the_first_condition_is_compared_with_nothing() -> None:
    first = measure(make_conditions())[0]
    assert np.isnan([first["accuracy_change"], first["accuracy_p"], first["auc_change"], first["auc_p"]]).all()


def test_p_values_are_corrected_for_the_number_of_conditions() -> None:
    conditions = make_conditions()
    alone = measure(conditions)[1]["auc_p"]
    third = conditions["clean"].assign(logit=-conditions["clean"]["logit"])
    found = measure({**conditions, "reversed": third})
    assert [found[1]["auc_p"], found[2]["auc_p"]] == pytest.approx(correct_by_holm([alone, 0.0]), abs=2e-4)
    assert found[2]["auc_p"] < 1e-9
    two = measure({**conditions, "again": conditions["noisy"]})
    assert two[1]["auc_p"] == pytest.approx(2 * alone, abs=2e-4)
    assert alone == pytest.approx(2 * norm.sf(norm.isf(alone / 2)))


def test_conditions_of_other_images_are_refused() -> None:
    conditions = make_conditions()
    conditions["noisy"] = conditions["noisy"].iloc[::-1]
    with pytest.raises(InputError, match=r"conditions \['noisy'\] are not of the same test images .* evaluation again"):
        measure(conditions)
