"""Arms against none over two seeds, worked by hand on eight images, and the tables of it."""

import numpy as np
import pandas as pd
import pytest

from chest_xray.core.types import InputError
from chest_xray.metrics.comparison import (
    IntervalOverBoth,
    MetricName,
    RepeatedComparison,
    SeedDisagreement,
    StepRange,
    select_same_comparison,
)
from chest_xray.metrics.operating_point import OperatingPointRule
from chest_xray.pipelines.evaluation.nodes import decide_images
from chest_xray.pipelines.experiments.nodes import compare_arms, join_runs
from chest_xray.reporting.tables import tabulate_arms, tabulate_runs
from tests.builders import make_evaluation, make_history, make_point, make_predictions

LABELS = [0, 0, 0, 0, 1, 1, 1, 1]
SEED = make_evaluation(seed=1)
RULE = OperatingPointRule(
    rule="balanced", min_sensitivity=0.9, min_specificity=0.9, min_counterpart=0.5, expected_prevalence=0.5
)
# Cut at 0.5, right on this many of 4 NORMAL and 4 PNEUMONIA, and so many of 16 pairs in order:
POOR = [0.1, 0.2, 0.6, 0.7, 0.3, 0.5, 0.8, 0.9]  # 2, 3, 12
FAIR = [0.1, 0.2, 0.4, 0.6, 0.3, 0.5, 0.8, 0.9]  # 3, 3, 13
GOOD = [0.1, 0.2, 0.3, 0.4, 0.45, 0.5, 0.8, 0.9]  # 4, 3, 16


def decide(probabilities: list[float], steps: int = 10) -> pd.DataFrame:
    history = make_history([0.5, 0.4], kept=1, steps=steps)
    return decide_images(make_predictions(LABELS, probabilities), pd.DataFrame(), make_point(0.5), RULE, history)


def make_runs(**probabilities: list[float]) -> pd.DataFrame:
    return join_runs(**{name: decide(each) for name, each in probabilities.items()})


HELPS = make_runs(none_1=POOR, none_2=FAIR, flip_1=GOOD, flip_2=GOOD)


def test_decisions_are_made_at_the_runs_own_threshold() -> None:
    table = make_predictions([0, 1], [0.3, 0.7])
    found = decide_images(table, pd.DataFrame(), make_point(0.7), RULE, make_history([0.5], kept=1))
    assert found.columns.tolist() == [
        *("path", "group", "aetiology", "label", "log_odds", "probability", "decision", "steps", "kept_steps")
    ]
    assert found["decision"].tolist() == [False, True]
    assert found.steps.tolist() == [10, 10]


def test_each_kind_of_pass_has_its_own_threshold() -> None:
    passes = {"logit_single": [-1.0, 1.0, 2.0, 3.0], "logit_flips": [5.0, 6.0, 8.0, 9.0]}
    corrupted = make_predictions([0, 0, 1, 1], [0.1] * 4).assign(kind="none", strength=0.0, **passes)
    test = make_predictions([0, 1], [0.3, 0.7]).assign(logit_single=[1.0, 2.0], logit_flips=[8.0, 6.0])
    found = decide_images(test, corrupted, make_point(0.7), RULE, make_history([0.5], kept=1))
    # The classes are separated from 2 and from 8 on.
    assert found["decision_single"].tolist() == [False, True]
    assert found["decision_flips"].tolist() == [True, False]
    assert found["logit_flips"].tolist() == [8, 6]
    assert found["decision"].tolist() == [False, True]


def test_runs_stand_below_each_other_under_arm_and_seed() -> None:
    joined = make_runs(none_1=POOR, none_2=FAIR, flip_zoom_tilt_1=GOOD, flip_zoom_tilt_2=POOR)
    assert joined.columns.tolist()[:2] == ["arm", "seed"]
    runs = joined[["arm", "seed"]].drop_duplicates().to_numpy().tolist()
    assert runs == [["none", 1], ["none", 2], ["flip_zoom_tilt", 1], ["flip_zoom_tilt", 2]]
    third = joined[(joined["arm"] == "flip_zoom_tilt") & (joined["seed"] == 1)]
    assert third["probability"].tolist() == GOOD


def test_one_seed_alone_is_refused() -> None:
    with pytest.raises(InputError, match="received 1 seed an arm; expected at least two, to estimate their spread"):
        make_runs(none_1=POOR, flip_1=GOOD)


def test_runs_that_were_tested_on_different_images_are_named() -> None:
    tables = {name: decide(POOR) for name in ("none_1", "none_2", "flip_1", "flip_2")}
    tables["flip_2"] = tables["flip_2"].iloc[::-1]
    with pytest.raises(
        InputError, match=r"^flip_2 and none_1 were tested on different images; .* Run `kedro run --pip"
    ):
        join_runs(**tables)


def test_each_difference_is_the_mean_over_paired_seeds() -> None:
    found = compare_arms(HELPS, SEED)
    assert [getattr(found, f"num_{each}") for each in ("images", "normal", "pneumonia", "groups")] == [8, 4, 4, 8]
    assert found.seeds == [1, 2]
    assert found.arms["none"]["accuracy"].by_seed == [5 / 8, 6 / 8]
    assert found.arms["none"]["accuracy"].mean == 5.5 / 8
    assert found.arms["none"]["accuracy"].deviation == pytest.approx(np.std([5 / 8, 6 / 8], ddof=1))
    differences = found.differences["flip"]
    assert set(found.differences) == {"flip"}
    expected: dict[MetricName, list[float]] = {
        "accuracy": [2 / 8, 1 / 8],
        "sensitivity": [0, 0],
        "specificity": [2 / 4, 1 / 4],
        "auc": [4 / 16, 3 / 16],
    }
    for name, by_seed in expected.items():
        assert differences[name].by_seed == pytest.approx(by_seed)
        assert differences[name].value == pytest.approx(np.mean(by_seed))
        assert differences[name].deviation == pytest.approx(np.std(by_seed, ddof=1))


def test_a_comparison_of_two_runs_quotes_the_study_of_the_same_augmentation() -> None:
    study = compare_arms(HELPS.replace({"arm": {"flip": "everything"}}), SEED)
    change = study.differences["everything"]["accuracy"]
    assert select_same_comparison(study) == RepeatedComparison(
        num_seeds=2, fewest=20, most=20, value=change.value, low=change.both.low, high=change.both.high
    )
    assert select_same_comparison(compare_arms(HELPS, SEED)) is None  # It has no such arm.
    assert select_same_comparison(None) is None


def test_both_arms_are_evaluated_on_the_same_resamples() -> None:
    # The arm never breaks a decision, so no resample of patients may show a loss.
    change = compare_arms(HELPS, SEED).differences["flip"]
    assert change["accuracy"].low >= 0
    nothing = {"value": 0, "low": 0, "high": 0, "standard_error": 0, "detectable": 0, "p": 1, "deviation": 0}
    assert change["sensitivity"].model_dump(include=set(nothing)) == nothing
    assert change["sensitivity"].both == IntervalOverBoth(low=0, high=0, detectable=0)


def test_the_interval_over_patients_is_of_differences_averaged_over_seeds() -> None:
    # Accuracy: images 3 and 4 gain 1 and 1/2 of the seeds. Drawn 0 to 8 times of 8, each counts for 1/8.
    change = compare_arms(HELPS, SEED).differences["flip"]["accuracy"]
    per_image = np.array([0, 0, 0.5, 1, 0, 0, 0, 0])  # the third is right in FAIR already
    assert change.standard_error == pytest.approx(per_image.std() / np.sqrt(8), rel=0.05)
    assert change.detectable == pytest.approx(2.8016 * change.standard_error, rel=1e-4)


def test_seeds_that_disagree_widen_the_interval_over_both_and_not_that_over_patients() -> None:
    steady = make_runs(none_1=POOR, none_2=POOR, flip_1=FAIR, flip_2=FAIR)
    shaky = make_runs(none_1=POOR, none_2=GOOD, flip_1=GOOD, flip_2=GOOD)
    widths = []
    for runs in (steady, shaky):
        change = compare_arms(runs, SEED).differences["flip"]["accuracy"]
        assert change.value == pytest.approx(1 / 8)
        widths.append((change.high - change.low, change.both.high - change.both.low))
    assert widths[0][0] == pytest.approx(widths[1][0], abs=0.1)
    assert widths[1][1] > 2.5 * widths[0][1]


def test_the_order_of_images_and_a_copy_of_every_patient_change_what_they_should() -> None:
    once = compare_arms(HELPS, SEED).differences["flip"]
    doubled = compare_arms(pd.concat([HELPS, HELPS], ignore_index=True), SEED)
    assert (doubled.num_images, doubled.num_groups) == (16, 8)
    for name, each in doubled.differences["flip"].items():
        assert each.standard_error == pytest.approx(once[name].standard_error)


def test_mcnemars_test_pairs_runs_of_one_seed() -> None:
    found = compare_arms(HELPS, SEED).mcnemar["flip"]
    assert found == [
        SeedDisagreement(seed=1, corrected=2, regressed=0, p=0.5),
        SeedDisagreement(seed=2, corrected=1, regressed=0, p=1.0),
    ]


def test_fewest_and_most_steps_are_kept() -> None:
    tables = {name: decide(POOR) for name in ("none_1", "none_2", "flip_1")}
    found = compare_arms(join_runs(**tables, flip_2=decide(POOR, steps=12)), SEED)
    assert found.steps == StepRange(fewest=20, most=24)


def test_the_table_has_a_row_an_arm_and_metric_and_nothing_is_compared_with_itself() -> None:
    table = tabulate_arms(compare_arms(HELPS, SEED))
    assert table[["arm", "metric", "n"]].to_numpy().tolist() == [
        *(["none", "accuracy", 8], ["none", "sensitivity", 4], ["none", "specificity", 4], ["none", "auc", 8]),
        *(["flip", "accuracy", 8], ["flip", "sensitivity", 4], ["flip", "specificity", 4], ["flip", "auc", 8]),
    ]
    assert table.columns[3:].tolist() == [
        *("mean", "deviation", "difference", "low", "high", "detectable", "difference_deviation"),
        *("low_both", "high_both", "detectable_both"),
    ]
    assert table.iloc[:4, 5:].isna().all(axis=None)
    assert table.iloc[4, 5] == 0.1875
    assert not table.iloc[4:].isna().any(axis=None)


def test_the_runs_have_a_row_each_and_metric_with_mcnemars_test_beside_accuracy() -> None:
    table = tabulate_runs(compare_arms(HELPS, SEED))
    assert len(table) == 2 * 2 * 4
    given = table[(table["arm"] == "flip") & (table["metric"] == "accuracy")]
    assert given[["seed", "value", "difference", "corrected", "regressed", "p"]].to_numpy().tolist() == [
        [1, 0.875, 0.25, 2, 0, 0.5],
        [2, 0.875, 0.125, 1, 0, 1.0],
    ]
    others = table[(table["arm"] == "none") | (table["metric"] != "accuracy")]
    assert others[["corrected", "regressed", "p"]].isna().all(axis=None)
    assert table.loc[table["arm"] == "none", "difference"].isna().all()
