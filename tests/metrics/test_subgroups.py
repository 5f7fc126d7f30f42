"""Strata: where they begin and end, who belongs to them, what cannot be told of small ones; and paired conditions."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from chest_xray.core.types import InputError
from chest_xray.metrics.binary import proportion
from chest_xray.metrics.bootstrap import correct_by_holm, draw_resamples
from chest_xray.metrics.results import Stratum
from chest_xray.metrics.subgroups import (
    MIN_CLASS_IMAGES,
    choose_cuts,
    format_range,
    measure_conditions,
    measure_shape,
    stratify,
)
from chest_xray.metrics.summary import bootstrap_auc
from tests.builders import NONE, make_evaluation, make_point, make_predictions


def make_pictures() -> pd.DataFrame:
    """Six images: two narrow, two of 1.2 and two of 1.5; decided at 0.5."""
    table = make_predictions([0, 1, 0, 1, 0, 0], [0.2, 0.8, 0.6, 0.3, 0.1, 0.7])
    table["aetiology"] = ["none", "viral", "none", "bacterial", "none", "none"]
    return table.assign(width=[10, 11, 12, 12, 15, 15], height=[10, 10, 10, 10, 10, 10])


def compute_strata(table: pd.DataFrame, cuts: dict[str, list[float]]) -> dict[str, Stratum]:
    strata = stratify(table, (table["probability"] >= 0.5).to_numpy(), cuts, 2, draw_resamples(table, 20, 1))
    return {f"{each.by} {each.name}": each for each in strata}


def test_the_size_of_an_image_is_the_side_of_a_square_of_the_same_area() -> None:
    table = pd.DataFrame({"width": [40, 90], "height": [10, 10]})
    assert measure_shape(table, "size").tolist() == [20, 30]
    assert measure_shape(table, "aspect").tolist() == [4, 9]


def test_cuts_of_the_aspect_are_given_and_those_of_the_size_are_quantiles_of_validation() -> None:
    validation = pd.DataFrame({"width": range(1, 102), "height": range(1, 102)})
    cuts = choose_cuts(validation, (1.5, 1.2, 1.5), (0.75, 0.25))
    assert cuts == {"aspect": [1.2, 1.5], "size": [pytest.approx(26), pytest.approx(76)]}


def test_a_stratum_begins_at_its_lower_bound_and_ends_below_the_upper() -> None:
    found = compute_strata(make_pictures(), {"aspect": [1.2, 1.5]})
    named = {name: (each.num_normal, each.num_pneumonia) for name, each in found.items() if "aspect" in name}
    assert named == {"aspect < 1.20": (1, 1), "aspect 1.20-1.50": (1, 1), "aspect ≥ 1.50": (2, 0)}
    bounds = [(each.low, each.high) for name, each in found.items() if "aspect" in name]
    assert bounds == [(None, 1.2), (1.2, 1.5), (1.5, None)]


def test_every_image_belongs_to_one_stratum_of_each_kind() -> None:
    found = compute_strata(make_pictures(), {"aspect": [1.2, 1.5], "size": [11.0]})
    for by in ("aspect", "size"):
        assert sum(each.num_images for name, each in found.items() if by in name) == 6


def test_without_a_cut_there_is_one_stratum() -> None:
    found = [each for each in compute_strata(make_pictures(), {"size": []}).values() if each.by == "size"]
    assert [each.num_images for each in found] == [6]


def test_each_stratum_is_evaluated_on_its_own_images() -> None:
    found = compute_strata(make_pictures(), {"aspect": [1.2, 1.5]})["aspect 1.20-1.50"]
    assert [found.tn, found.fp, found.fn, found.tp] == [0, 1, 1, 0]
    assert (found.sensitivity, found.specificity) == (proportion(0, 1), proportion(0, 1))
    assert (found.auc.value, found.auc.n) == (0, 2)


def test_a_stratum_that_lacks_a_class_has_no_metric_of_it() -> None:
    found = compute_strata(make_pictures(), {"aspect": [1.2, 1.5]})["aspect ≥ 1.50"]
    assert found.sensitivity == NONE.with_n(0)
    assert found.specificity == proportion(1, 2)
    assert found.auc == NONE.with_n(2)


def test_a_stratum_of_one_image_or_none_is_listed() -> None:
    found = compute_strata(make_pictures(), {"aspect": [1.05, 1.15, 9.0]})
    assert (found["aspect 1.05-1.15"].num_images, found["aspect 1.05-1.15"].sensitivity.value) == (1, 1)
    assert found["aspect 1.05-1.15"].auc.value is None
    empty = found["aspect ≥ 9.00"]
    assert (empty.num_images, empty.sensitivity, empty.specificity) == (0, proportion(0, 0), proportion(0, 0))


def test_pneumonia_of_an_aetiology_is_ranked_against_all_normal_images() -> None:
    found = compute_strata(make_pictures(), {})
    assert set(found) == {"aetiology bacterial", "aetiology viral"}
    viral = found["aetiology viral"]
    assert (viral.num_normal, viral.num_pneumonia, viral.auc.n) == (4, 1, 5)
    assert viral.auc.value == 1  # 0.8 is above all four NORMAL
    assert found["aetiology bacterial"].auc.value == 0.5  # 0.3 is above two of them
    assert (viral.sensitivity, viral.specificity) == (proportion(1, 1), proportion(0, 0))


@pytest.mark.parametrize("num", [MIN_CLASS_IMAGES - 1, MIN_CLASS_IMAGES])
def test_the_auc_has_an_interval_where_there_are_enough_images_of_both_classes(num: int) -> None:
    rng = np.random.default_rng(1)
    table = make_predictions([0] * 30 + [1] * num, rng.random(30 + num).tolist())
    area = next(each for each in compute_strata(table, {"size": []}).values() if each.by == "size").auc
    expected = bootstrap_auc(table, draw_resamples(table, 20, 1))
    without_bounds = expected.model_copy(update={"low": None, "high": None, "method": None})
    assert area == (expected if num == MIN_CLASS_IMAGES else without_bounds).with_n(30 + num)


def test_ranges_are_named_in_signs() -> None:
    assert [format_range(None, 1.2, "aspect"), format_range(1.2, 1.5, "aspect")] == ["< 1.20", "1.20-1.50"]
    assert [format_range(229.4, None, "size"), format_range(None, None, "size")] == ["≥ 229", "≥ 0"]


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
