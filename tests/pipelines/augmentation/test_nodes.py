"""The comparison of two runs, worked by hand on eight images, and the conclusions from it."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from chest_xray.core.types import InputError
from chest_xray.metrics.comparison import Comparison, DifferingSetting, Disagreement, Study, list_differing_settings
from chest_xray.metrics.operating_point import OperatingPoint
from chest_xray.metrics.results import Interval
from chest_xray.pipelines.augmentation.nodes import compare_runs, pair_decisions, tabulate_comparison, write_comparison
from chest_xray.reporting.comparison import (
    describe_comparison,
    draw_paired_differences,
    list_differences,
    summarise_effect,
)
from chest_xray.reporting.i18n import Language
from chest_xray.reporting.report_contents import list_cells
from chest_xray.reporting.style import Labels
from tests.builders import (
    axes_of,
    interval,
    make_comparison,
    make_evaluation,
    make_history,
    make_point,
    make_predictions,
    make_run,
    make_study,
    make_training,
)

LABELS = [0, 0, 0, 0, 1, 1, 1, 1]
# At a threshold of 0.5, the first run is correct on 2 of 4 NORMAL and 3 of 4 PNEUMONIA images; the second on 4 and 2.
FIRST = [0.1, 0.2, 0.6, 0.7, 0.3, 0.5, 0.8, 0.9]
SECOND = [0.1, 0.2, 0.4, 0.3, 0.35, 0.45, 0.8, 0.9]
HALF = make_point(0.5)


def pair_predictions(
    first: pd.DataFrame, second: pd.DataFrame, first_point: OperatingPoint, second_point: OperatingPoint
) -> pd.DataFrame:
    """Decide at the threshold of each run, as their evaluations do, and pair; 30 and 20 steps, 20 of each kept.

    With flips, all of PNEUMONIA and none of NORMAL images are found.
    """
    return pair_decisions(
        {"decisions": decide(first, first_point, HISTORIES[0])},
        {"decisions": decide(second, second_point, HISTORIES[1])},
    )


def decide(table: pd.DataFrame, point: OperatingPoint, history: pd.DataFrame) -> pd.DataFrame:
    log_odds = table["log_odds"]
    is_positive = log_odds >= point.chosen.log_odds
    return table[["path", "group", "aetiology", "label", "probability"]].assign(
        **{"logit_single": log_odds, "decision_single": is_positive},
        **{"logit_flips": table["label"], "decision_flips": table["label"] == 1},
        **{"steps": history["steps"].max(), "kept_steps": history.loc[history["kept"], "steps"].iloc[0]},
    )


HISTORIES = make_history([0.5, 0.4, 0.6], kept=2), make_history([0.5, 0.4], kept=2)


def make_settings(**training: Any) -> dict[str, Any]:
    run = make_run().model_dump(mode="json")
    return {"run": run, "training": make_training(**{"epochs": 3, **training}).model_dump(mode="json")}


def compare(pairs: pd.DataFrame, study: Study | None = None, **training: Any) -> Comparison:
    """Compare, with histories of three and two of three epochs; `training` is of the augmented run alone."""
    first: dict[str, Any] = {"history": HISTORIES[0], "settings": make_settings()}
    second: dict[str, Any] = {"history": HISTORIES[1], "settings": make_settings(**training)}
    return compare_runs(pairs, first, second, make_evaluation(), {"study": study and study.model_dump(mode="json")})


def make_pairs() -> pd.DataFrame:
    return pair_predictions(make_predictions(LABELS, FIRST), make_predictions(LABELS, SECOND), HALF, HALF)


def test_each_image_has_one_row_with_the_predictions_of_both_runs() -> None:
    first, second = make_predictions([0, 1], [0.3, 0.7]), make_predictions([0, 1], [0.4, 0.6])
    pairs = pair_predictions(first, second, make_point(0.3), make_point(0.65))
    names = ("logit_single", "decision_single", "logit_flips", "decision_flips", "steps", "kept_steps")
    assert pairs.columns.tolist() == [
        *("path", "group", "aetiology", "label"),
        *(f"{name}_{run}" for run in ("baseline", "augmented") for name in names),
    ]
    assert pairs["decision_single_baseline"].tolist() == [True, True]  # at the threshold or above, each run at its own
    assert pairs["decision_single_augmented"].tolist() == [False, False]
    np.testing.assert_array_equal(pairs["logit_single_augmented"], second["log_odds"])


def test_pairing_does_not_change_its_inputs() -> None:
    first, second = make_predictions(LABELS, FIRST), make_predictions(LABELS, SECOND)
    pair_predictions(first, second, HALF, HALF)
    pd.testing.assert_frame_equal(first, make_predictions(LABELS, FIRST))
    pd.testing.assert_frame_equal(second, make_predictions(LABELS, SECOND))


def test_one_seed_is_stated_beside_what_a_study_found_over_several() -> None:
    study = make_study(accuracy=(interval(0.06, 0.08, 0.1), interval(0.05, 0.08, 0.11)))
    study = study.model_copy(update={"differences": {"everything": study.differences["flip"]}})
    alone, beside = (
        " ".join(write_comparison(compare(make_pairs(), each), "phantoms", Language(root="en")).split())
        for each in (None, study)
    )
    assert "The study repeated" not in alone
    told = "settings and 3 seeds: augmentation in training changes accuracy by +8.0 points (95% interval over"
    assert told in beside
    assert "test patients and training seeds +5.0 to +11.0)" in beside


def test_runs_evaluated_on_different_images_are_refused() -> None:
    whole = make_predictions(LABELS, FIRST)
    for other, num in ((whole.iloc[1:], 7), (whole.iloc[::-1], 8)):
        with pytest.raises(
            InputError, match=rf"tested on different images \(8 and {num}\); expected the same .* Run `kedro run` again"
        ):
            pair_predictions(whole, other, HALF, HALF)


def test_comparison_has_metrics_of_both_runs_and_their_differences() -> None:
    found = compare(make_pairs())
    assert [getattr(found, f"num_{each}") for each in ("images", "normal", "pneumonia", "groups")] == [8, 4, 4, 8]
    metrics = found.metrics
    plain = {name: (each.baseline, each.augmented, each.difference.value) for name, each in metrics.items()}
    # AUC: of 16 pairs the first has 0.3 above 2, 0.5 above 2, 0.8 and 0.9 above 4: 12; the second 3 + 4 + 4 + 4: 15.
    assert plain == {
        "accuracy": (5 / 8, 6 / 8, 1 / 8),
        "sensitivity": (3 / 4, 2 / 4, -1 / 4),
        "specificity": (2 / 4, 4 / 4, 2 / 4),
        "auc": (12 / 16, 15 / 16, 3 / 16),
    }


def test_the_interval_of_a_difference_is_from_resamples_shared_by_both_runs() -> None:
    difference = compare(make_pairs()).metrics["sensitivity"].difference
    # One of four PNEUMONIA images is lost. No resample can gain, as it could if the runs were resampled separately.
    assert difference.high == 0
    assert -1 <= difference.low < -0.5


def test_runs_that_agree_on_every_image_have_zero_differences() -> None:
    pairs = pair_predictions(make_predictions(LABELS, FIRST), make_predictions(LABELS, FIRST), HALF, HALF)
    found = compare(pairs)
    nothing = {"value": 0, "low": 0, "high": 0, "standard_error": 0, "p": 1}
    for each in found.metrics.values():
        assert each.difference.model_dump(include=set(nothing)) == nothing
    assert found.mcnemar == Disagreement(corrected=0, regressed=0, p=1.0)


def test_swapping_the_runs_changes_the_sign_of_the_differences() -> None:
    there = compare(make_pairs()).metrics
    pairs = pair_predictions(make_predictions(LABELS, SECOND), make_predictions(LABELS, FIRST), HALF, HALF)
    back = compare(pairs).metrics
    for name, each in there.items():
        turned = {"value": -back[name].difference.value, "low": -back[name].difference.high}
        assert each.difference.value == turned["value"]
        assert each.difference.low == pytest.approx(turned["low"])


def test_all_images_of_a_patient_are_resampled_together() -> None:
    pairs = make_pairs()
    once = compare(pairs).metrics
    fourfold = compare(pd.concat([pairs] * 4, ignore_index=True))
    assert (fourfold.num_images, fourfold.num_groups) == (32, 8)
    for name, each in fourfold.metrics.items():
        patients = each.difference.intervals["patients"].model_dump()
        assert patients == pytest.approx(once[name].difference.intervals["patients"].model_dump())


def mcnemar(corrected: int, regressed: int) -> float:
    """Return the p-value for these numbers of corrected and regressed NORMAL images."""
    labels = [0] * (corrected + regressed) + [1]
    first = [0.9] * corrected + [0.1] * regressed + [0.9]
    second = [0.1] * corrected + [0.9] * regressed + [0.9]
    pairs = pair_predictions(make_predictions(labels, first), make_predictions(labels, second), HALF, HALF)
    found = compare(pairs).mcnemar
    assert (found.corrected, found.regressed) == (corrected, regressed)
    return found.p


def test_mcnemars_exact_test_uses_the_images_on_which_the_runs_disagree() -> None:
    # Both tails of a fair coin: 2 x (1 + 6) / 2^6; 2 / 2^5; all of it.
    assert mcnemar(5, 1) == pytest.approx(14 / 64)
    assert mcnemar(1, 5) == pytest.approx(14 / 64)
    assert mcnemar(5, 0) == pytest.approx(2 / 32)
    assert mcnemar(3, 3) == pytest.approx(1)


def test_the_table_has_a_row_for_each_metric() -> None:
    table = tabulate_comparison(make_comparison(accuracy=interval(-0.01234, 0.05, 0.1)))
    assert table.columns.tolist() == ["metric", "n", "baseline", "augmented", "difference", "low", "high", "detectable"]
    assert table["metric"].tolist() == ["accuracy", "sensitivity", "specificity", "auc"]
    assert table.iloc[0, 1:].tolist() == pytest.approx([100, 0.8, 0.85, 0.05, -0.01234, 0.1, 0.03])
    assert table["n"].tolist() == [100, 60, 40, 100]  # sensitivity uses PNEUMONIA images, specificity NORMAL images


BETTER, WORSE = interval(0.001, 0.05, 0.1), interval(-0.1, -0.05, -0.001)
TOUCHING = (interval(0.0, 0.05, 0.1), interval(-0.1, -0.05, 0.0))


def test_an_interval_that_includes_0_shows_no_difference() -> None:
    for same in (interval(-0.1, 0.0, 0.1), *TOUCHING):
        assert summarise_effect(make_comparison(accuracy=same).metrics) == ("no_difference_shown", {})


def test_an_interval_above_0_is_an_improvement_and_one_below_0_a_deterioration() -> None:
    found = summarise_effect(make_comparison(accuracy=BETTER).metrics)
    assert found == ("augmentation_helps", {"better": ("accuracy",)})
    found = summarise_effect(make_comparison(accuracy=BETTER, auc=BETTER).metrics)
    assert found == ("augmentation_helps", {"better": ("accuracy", "auc")})
    found = summarise_effect(make_comparison(specificity=WORSE).metrics)
    assert found == ("augmentation_hurts", {"worse": ("specificity",)})


def test_improvement_and_deterioration_together_are_reported_as_both() -> None:
    found = summarise_effect(make_comparison(specificity=BETTER, auc=BETTER, sensitivity=WORSE).metrics)
    assert found == ("augmentation_mixed", {"better": ("specificity", "auc"), "worse": ("sensitivity",)})


@pytest.mark.parametrize(
    ("change", "verdict"),
    [(BETTER, "better"), (WORSE, "worse"), (TOUCHING[0], "not_shown"), (TOUCHING[1], "not_shown")],
)
def test_each_difference_has_its_verdict(change: Interval, verdict: str) -> None:
    first = next(iter(list_differences(make_comparison(accuracy=change))))
    assert first.key == f"difference_{verdict}"
    assert (first.values["metric"], first.values["n"]) == ("accuracy", 100)
    assert first.values["value"] == 100 * change.finite_value  # in points


def test_each_difference_reports_its_number_of_images() -> None:
    found = list(list_differences(make_comparison()))[:4]
    assert [(finding.values["metric"], finding.values["n"]) for finding in found] == [
        *(("accuracy", 100), ("sensitivity", 60), ("specificity", 40), ("auc", 100))
    ]


def test_disagreement_is_reported_where_there_is_any() -> None:
    for corrected, regressed, key in (
        (0, 0, "same_decisions"),
        (1, 0, "mcnemar"),
        (0, 1, "mcnemar"),
        (3, 2, "mcnemar"),
    ):
        mcnemar = {"corrected": corrected, "regressed": regressed, "p": 0.5}
        last = list(list_differences(make_comparison(changes={"mcnemar": mcnemar})))[-1]
        assert last.key == key
        assert last.values["disagree"] == corrected + regressed


def make_steps(baseline: int, augmented: int) -> dict[str, int]:
    return {
        **{"baseline_steps": baseline, "augmented_steps": augmented},
        **{"baseline_kept": baseline, "augmented_kept": augmented},
    }


def test_equal_and_unequal_training_are_reported_differently() -> None:
    for augmented, key in ((80, "equal_steps"), (79, "unequal_steps"), (81, "unequal_steps")):
        comparison = make_comparison(changes={"steps": make_steps(80, augmented)})
        assert [each.key for each in describe_comparison(comparison)][2:] == [key]


def test_early_stopping_is_reported_where_epochs_are_missing_and_not_where_fewer_were_set() -> None:
    assert compare(make_pairs()).stopped_early == ["augmented"]
    found = compare(make_pairs(), epochs=2)
    assert found.stopped_early == []
    assert "stopped_early_augmented" not in [each.key for each in describe_comparison(found)]
    assert "stopped_early_augmented" in [each.key for each in describe_comparison(compare(make_pairs()))]


def test_settings_that_differ_qualify_the_answer() -> None:
    found = compare(make_pairs(), epochs=1, batch_size=16)
    assert found.settings == [
        DifferingSetting(name="training.epochs", first=3, second=1),
        DifferingSetting(name="training.batch_size", first=8, second=16),
    ]
    page = write_comparison(found, "phantoms", Language(root="en"))
    assert "(without / with: training.epochs: 3 / 1; training.batch_size: 8 / 16)" in page.partition("## In numbers")[0]
    assert "One seed was compared" in page.partition("## In numbers")[0]
    assert compare(make_pairs()).settings == []


def test_the_seed_counts_as_a_differing_setting_and_augmentation_does_not() -> None:
    first, second = make_run(seed=1), make_run(seed=2, copies=3, zoom=0.2)
    runs = [{"run": each.model_dump(mode="json")} for each in (first, second)]
    assert list_differing_settings(*runs) == [DifferingSetting(name="run.seed", first=1, second=2)]
    assert list_differing_settings({"model": {"filters": [4]}}, {"model": {}}) == [
        DifferingSetting(name="model.filters", first=[4], second=None)
    ]


def test_training_and_flips_have_a_cell_each_and_the_headline_is_without_flips() -> None:
    found = compare(make_pairs())
    cells = {(each.run, each.passes): each for each in found.cells}
    assert {name: each.accuracy.value for name, each in cells.items()} == {
        **{("baseline", "single"): 5 / 8, ("baseline", "flips"): 1.0},
        **{("augmented", "single"): 6 / 8, ("augmented", "flips"): 1.0},
    }
    assert cells["baseline", "flips"].specificity.n == 4
    assert (cells["baseline", "flips"].accuracy.low or 0) < 1  # Wilson's, where the bootstrap has no width
    assert found.metrics["accuracy"].difference.value == 1 / 8
    assert {run: each["accuracy"].value for run, each in found.flips.items()} == {
        **{"baseline": 3 / 8, "augmented": 2 / 8}
    }
    table = list_cells(found)
    assert table[["run", "passes"]].to_numpy().tolist() == [list(each) for each in cells]
    assert table["accuracy"][0] == cells["baseline", "single"].accuracy.model_dump(include={"value", "low", "high"})


def test_the_page_states_answer_numbers_and_data_source() -> None:
    comparison = compare(make_pairs())
    page = write_comparison(comparison, "phantoms", Language(root="en"))
    assert page.startswith("# Did augmentation help?\n\nData: phantoms. ")
    headings = [line for line in page.splitlines() if line.startswith("## ")]
    assert headings == ["## Answer", "## In numbers", "## How the two were compared"]
    assert "- No difference shown in accuracy: 62.5% without, 75.0% with; difference +12.5 points (95% interval" in page
    assert "The two runs disagree on 3 of 8 test images: augmentation corrects 2 decisions and makes 1 wrong" in page
    assert "steps: 30 without augmentation and 20 with it (the kept weights are those after 20 and 20)" in page


def test_the_comparison_figure_shows_differences_with_intervals_and_the_data_source() -> None:
    figure = draw_paired_differences(make_comparison(accuracy=interval(-0.02, 0.05, 0.1)), Labels("phantoms"))
    (axes,) = axes_of(figure)
    assert figure.get_supxlabel() == "Data: phantoms"
    assert axes.get_title() == "With minus without augmentation, on the same 100 test images"
    assert axes.get_xlabel() == "percentage points, with 95% interval"
    names = ["AUC: n = 100", "specificity: n = 40", "sensitivity: n = 60", "accuracy: n = 100"]
    assert [label.get_text() for label in axes.get_yticklabels()] == names
    *_, accuracy, estimate, no_change = axes.lines
    assert accuracy.get_xydata().tolist() == [[-2, 3], [10, 3]]
    assert estimate.get_xydata().tolist() == [[5, 3]]
    assert no_change.get_xdata() == [0, 0]
    assert axes.texts[0].get_text() == "without augmentation → with augmentation"
    assert axes.texts[-1].get_text() == "0.800 → 0.850"
