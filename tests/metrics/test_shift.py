"""Batches are compared with the reference at their own prevalence, and too few images give no verdict."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from chest_xray.core.types import Array, DataFrame
from chest_xray.metrics.shift import (
    MEASURES,
    Reference,
    Shift,
    ShiftRule,
    add_size,
    compare_with_reference,
    describe_reference,
)
from tests.builders import make_reference

RULE = ShiftRule(max_distance=0.25, significance=0.07)


def batch(normal: int, pneumonia: int, **changes: Array) -> DataFrame:
    """Images as in the reference: NORMAL evenly from 0 to 1, and PNEUMONIA from 1 to 2."""
    values = [*(np.arange(normal) + 0.5) / max(normal, 1), *(np.arange(pneumonia) + 0.5) / max(pneumonia, 1) + 1]
    return pd.DataFrame({**dict.fromkeys(MEASURES, values), **changes})


def find(shift: Shift, measure: str) -> Any:
    return next(each for each in shift.measures if each.measure == measure)


@pytest.mark.parametrize(("normal", "pneumonia"), [(200, 200), (380, 20), (20, 380), (400, 0)])
def test_another_prevalence_does_not_count_as_a_shift(normal: int, pneumonia: int) -> None:
    shift = compare_with_reference(batch(normal, pneumonia), make_reference())
    assert shift.prevalence == pytest.approx(pneumonia / 400, abs=0.02)
    assert shift.verdict == "alike"
    assert max(each.distance for each in shift.measures) < 0.03
    assert find(shift, "sharpness").auc == pytest.approx(0.5, abs=0.01)


def test_a_measure_that_moved_is_named_with_its_direction_and_size() -> None:
    moved = np.tile([0.1], 400)  # Of the reference, 5% are below and 95% above.
    shift = compare_with_reference(batch(200, 200, sharpness=moved), make_reference())
    assert shift.verdict == "different"
    assert {each.measure for each in shift.measures if each.verdict == "different"} == {"sharpness"}
    found = find(shift, "sharpness")
    assert found.distance == pytest.approx(0.95, abs=0.01)
    assert found.auc == pytest.approx(0.05, abs=0.01)
    assert (found.median, found.expected_median) == pytest.approx((0.1, 1.0), abs=0.02)
    assert found.p < 1e-9


def test_a_difference_below_the_rule_is_none_however_many_images_show_it() -> None:
    moved = batch(5000, 5000)["size"].to_numpy() + 0.2  # a tenth of the range: distance 0.1
    shift = compare_with_reference(batch(5000, 5000, size=moved), make_reference())
    assert find(shift, "size").distance == pytest.approx(0.1, abs=0.01)
    assert shift.verdict == "alike"


def test_few_images_show_only_a_gross_shift() -> None:
    reference = make_reference()
    shift = compare_with_reference(batch(10, 10), reference)
    assert shift.verdict == "too_few"
    # 0.07 for 7 measures.
    # kolmogi(0.01) = 1.6276; (1.6276 / 0.25)^2 = 42.4; the reference has 100 images: 1 / (1 / 42.4 - 1 / 100) = 73.6
    assert shift.min_images == 74
    assert compare_with_reference(batch(36, 37), reference).verdict == "too_few"
    assert compare_with_reference(batch(37, 37), reference).verdict == "alike"
    assert compare_with_reference(batch(10, 10, aspect=np.full(20, 9.0)), reference).verdict == "different"


def test_equal_values_are_ties_and_no_shift() -> None:
    values = pd.DataFrame({"label": [0, 1] * 100, **dict.fromkeys(MEASURES, [0.2, 0.8] * 100)}).assign(size=512.0)
    shift = compare_with_reference(values, describe_reference(values, RULE))
    assert find(shift, "size").distance == 0
    assert find(shift, "size").auc == 0.5


def test_a_reference_that_is_too_small_gives_no_verdict() -> None:
    few = pd.DataFrame({"label": [0, 1], **{each: [0.0, 1.0] for each in MEASURES}})
    shift = compare_with_reference(batch(500, 500), describe_reference(few, RULE))
    assert shift.min_images is None
    assert {each.verdict for each in shift.measures} <= {"too_few", "different"}


def test_missing_values_do_not_count_and_without_scores_the_prevalence_is_unknown() -> None:
    values = batch(40, 40)
    values["probability"] = np.nan
    values.loc[:9, "ood_score"] = np.nan
    shift = compare_with_reference(values, make_reference())
    assert shift.prevalence is None
    assert [each.measure for each in shift.measures] == list(MEASURES[1:])
    assert find(shift, "ood_score").num_images == 70
    assert find(shift, "size").distance < 0.03  # at the prevalence of the reference


def test_the_order_of_images_and_the_unit_of_a_measure_do_not_matter() -> None:
    values = batch(60, 30, sharpness=np.linspace(0, 3, 90))
    reference = make_reference()
    scaled = reference.model_dump()
    for part in ("normal", "pneumonia"):
        scaled[part]["quantiles"]["sharpness"] = [10 * each for each in scaled[part]["quantiles"]["sharpness"]]
    first = compare_with_reference(values, reference)
    again = compare_with_reference(
        values.sample(frac=1, random_state=1).assign(sharpness=lambda it: 10 * it["sharpness"]),
        Reference.model_validate(scaled),
    )
    assert find(again, "sharpness").distance == pytest.approx(find(first, "sharpness").distance)
    assert find(again, "sharpness").auc == pytest.approx(find(first, "sharpness").auc)
    assert again.prevalence == first.prevalence


def test_size_is_the_side_of_a_square_of_the_same_area() -> None:
    found = add_size(pd.DataFrame({"width": [400, 30], "height": [100, 30]}))
    assert found["size"].tolist() == [200, 30]
    assert found["aspect"].tolist() == [4, 1]


def test_a_reference_of_before_is_compared_by_the_measures_that_it_has() -> None:
    kept = [name for name in MEASURES if name not in ("brightness", "grey_deviation")]
    old = make_reference().model_dump()
    for part in ("normal", "pneumonia"):
        old[part]["quantiles"] = {name: old[part]["quantiles"][name] for name in kept}
    shift = compare_with_reference(batch(200, 200), Reference.model_validate(old))
    assert [each.measure for each in shift.measures] == kept
