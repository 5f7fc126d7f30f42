"""The sentences on an arm follow from its two intervals; and the figure shows them."""

from typing import Any

import numpy as np
import pytest

from chest_xray.metrics.results import Interval
from chest_xray.pipelines.experiments.nodes import write_study
from chest_xray.reporting.comparison import describe_study, draw_arms, list_arm_differences, summarise_arms
from chest_xray.reporting.i18n import Language
from chest_xray.reporting.style import Labels
from tests.builders import axes_of, interval, make_study

WIDE, ABOVE, BELOW = interval(-0.2, 0.0, 0.2), interval(0.01, 0.05, 0.1), interval(-0.1, -0.05, -0.01)
NOTHING = interval(0.0, 0.0, 0.0)


def findings(**metrics: tuple[Interval, Interval]) -> list[tuple[str, dict[str, Any]]]:
    return [(key, dict(values)) for key, values in summarise_arms(make_study(changes=None, **metrics))]


def test_an_arm_whose_intervals_all_include_0_is_not_shown_to_differ() -> None:
    touching = interval(0.0, 0.05, 0.1)
    for same in (WIDE, touching, interval(-0.1, -0.05, 0.0)):
        assert findings(accuracy=(same, same)) == [("arm_not_shown", {"arm": "flip"})]


def test_findings_distinguish_other_seeds_from_these_seeds() -> None:
    assert findings(accuracy=(ABOVE, ABOVE)) == [("arm_better", {"arm": "flip", "better": ("accuracy",)})]
    assert findings(auc=(BELOW, BELOW)) == [("arm_worse", {"arm": "flip", "worse": ("auc",)})]
    these = {"arm": "flip", "num_seeds": 3}
    assert findings(accuracy=(ABOVE, WIDE)) == [("arm_better_these_seeds", {**these, "better": ("accuracy",)})]
    assert findings(accuracy=(BELOW, WIDE)) == [("arm_worse_these_seeds", {**these, "worse": ("accuracy",)})]


def test_an_arm_can_be_better_and_worse() -> None:
    found = findings(specificity=(ABOVE, ABOVE), auc=(ABOVE, ABOVE), sensitivity=(BELOW, WIDE))
    assert [key for key, _ in found] == ["arm_better", "arm_worse_these_seeds"]
    assert found[0][1]["better"] == ("specificity", "auc")


@pytest.mark.parametrize(
    ("patients", "both", "key"),
    [
        (ABOVE, ABOVE, "arm_difference_better"),
        (BELOW, BELOW, "arm_difference_worse"),
        (ABOVE, WIDE, "arm_difference_these_seeds"),
        (WIDE, WIDE, "arm_difference_not_shown"),
        (NOTHING, WIDE, "arm_difference_not_shown"),
        (NOTHING, NOTHING, "arm_difference_none"),
    ],
)
def test_a_difference_is_described_by_the_interval_over_both(patients: Any, both: Any, key: str) -> None:
    first = next(iter(list_arm_differences(make_study(accuracy=(patients, both)))))
    assert first.key == key
    assert first.values["metric"] == "accuracy"
    assert first.values["low"] == 100 * patients.low  # in points
    assert first.values["both"]["high"] == 100 * both.high
    assert first.values["seed"] == {"least": pytest.approx(-1), "most": pytest.approx(3)}


def test_the_pairs_of_one_arm_are_reported_together() -> None:
    last = list(list_arm_differences(make_study()))[-1]
    assert last == (
        "arm_mcnemar",
        {"arm": "flip", "num_pairs": 3, "corrected": 9, "regressed": 3, "p": {"least": 0.01, "most": 0.5}},
    )


def test_equal_and_unequal_training_are_distinguished_and_the_number_of_differences_is_stated() -> None:
    study = make_study()
    keys = [finding.key for finding in describe_study(study)]
    assert keys == ["study_equal_steps", "study_over_patients", "study_over_both", "study_many"]
    assert list(describe_study(study))[-1].values == {"num": 4}
    unequal = make_study(changes={"steps": {"fewest": 80, "most": 81}})
    assert next(iter(describe_study(unequal))) == ("study_unequal_steps", {"fewest": 80, "most": 81})


def test_the_page_names_the_uncertainty_that_each_interval_covers() -> None:
    page = write_study(make_study(accuracy=(ABOVE, WIDE)), "phantoms", Language(root="en"))
    assert page.startswith("# What does each part of augmentation do?\n\nData: phantoms. ")
    headings = [line for line in page.splitlines() if line.startswith("## ")]
    assert headings == ["## Answer", "## In numbers", "## How the arms were compared"]
    assert (
        "- `flip` is better in accuracy for these 3 seeds, by more than the choice of test patients explains; " in page
    )
    assert (
        "(95% interval over test patients +1.0 to +10.0; "
        "over test patients and training seeds \N{MINUS SIGN}20.0 to +20.0)" in page
    )
    assert "Minimum detectable difference with 80% power: 3.0 points, 6.0 over seeds as well." in page


def test_the_figure_shows_both_intervals_and_every_seed() -> None:
    figure = draw_arms(make_study(accuracy=(ABOVE, WIDE)), Labels("phantoms"))
    assert figure.get_supxlabel() == "Data: phantoms"
    titles = [axes.get_title() for axes in axes_of(figure)]
    assert titles == ["accuracy: n = 100", "sensitivity: n = 60", "specificity: n = 40", "AUC: n = 100"]
    both, patients, mean, seeds, no_change = axes_of(figure)[0].lines
    np.testing.assert_allclose(both.get_xydata(), [[-20, 0], [20, 0]])
    np.testing.assert_allclose(patients.get_xydata(), [[1, 0], [10, 0]])
    np.testing.assert_allclose(mean.get_xydata(), [[5, 0]])
    np.testing.assert_allclose(seeds.get_xydata(), [[-1, -0.25], [1, -0.25], [3, -0.25]])
    assert no_change.get_xdata() == [0, 0]
