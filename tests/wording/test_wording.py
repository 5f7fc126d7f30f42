"""Every sentence can be said, and every finding has its sentence."""

import ast
import string
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

from chest_xray.pipelines.augmentation import conclusions as comparing
from chest_xray.pipelines.evaluation import conclusions, scrutiny
from chest_xray.wording import Finding, _words, render
from tests.builders import interval, make_comparison, make_header_rule, make_run_metrics, sure
from tests.pipelines.evaluation.test_scrutiny import make_map_sanity, make_occlusion_table, make_robustness_table

LOW, HIGH = interval(0.6, 0.65, 0.7), interval(0.85, 0.9, 0.95)
ABOUT = {"data_source": "phantoms"}
NOT_FINDINGS = {
    *("source", "conclusions_title", "how_well", "where_it_fails", "validation_and_test", "what_to_try"),
    *("comparison_title", "answer", "in_numbers", "how_compared"),
    *("scrutiny_title", "maps", "occlusion", "robustness"),
}


def of_one_run() -> Iterator[Finding]:
    """What the rules say over good and bad figures, in every combination."""
    sides = (LOW, HIGH)
    for accuracy, sensitivity, specificity, at_half, validation in product(sides, sides, sides, sides, sides):
        for bacterial, viral in ((LOW, HIGH), (HIGH, LOW), (HIGH, HIGH)):
            metrics = make_run_metrics(
                **{"accuracy": accuracy, "sensitivity": sensitivity, "specificity": specificity},
                at_half=at_half,
                by_aetiology={"bacterial": bacterial, "viral": viral},
                validation=dict.fromkeys(("accuracy", "sensitivity", "specificity"), validation),
            )
            metrics["test"]["auc"] = interval(0.96, 0.97, 0.98)
            yield from conclusions.how_well(metrics, make_header_rule(0.75))
            yield from conclusions.where_it_fails(metrics)
            yield from conclusions.validation_and_test(metrics)
            for last, train in ((True, 0.9), (False, 0.99)):
                training = {"train_accuracy": train, "validation_accuracy": 0.9, "best_was_last": last}
                yield from conclusions.what_to_try(metrics, training)
    unsure = make_run_metrics(accuracy=interval(0.75, 0.85, 0.9))
    yield from conclusions.how_well(unsure, make_header_rule())
    flawless = make_run_metrics()
    flawless["test"]["at_chosen"].update(fn=0, fp=0)
    yield from conclusions.where_it_fails(flawless)


def of_scrutiny() -> Iterator[Finding]:
    for verdict in ("depends", "does_not_depend", "undecided"):
        yield from scrutiny.judge_maps(make_map_sanity(verdict))
    for border, centre in ((0.53, 0.9), (0.51, 0.92)):
        yield from scrutiny.judge_occlusion(make_occlusion_table(border, centre))
    yield from scrutiny.judge_robustness(make_robustness_table(blur=[0.5], noise=[0.9]))


def of_two_runs() -> Iterator[Finding]:
    better, worse = interval(0.01, 0.05, 0.1), interval(-0.1, -0.05, -0.01)
    for comparison in (
        *(make_comparison(), make_comparison(auc=better), make_comparison(auc=worse)),
        make_comparison(auc=better, accuracy=worse),
    ):
        yield comparing.answer(comparison["metrics"])
        yield from comparing.in_numbers(comparison)
    alike = make_comparison()
    alike["mcnemar"] = {"mended": 0, "broken": 0, "p": 1.0}
    yield from comparing.in_numbers(alike)
    for steps in (80, 60):
        names = ("baseline_steps", "augmented_steps", "baseline_kept", "augmented_kept")
        yield from comparing.how_compared(dict(zip(names, (80, steps, 70, 50), strict=True)))


def test_every_finding_can_be_written_and_every_sentence_can_be_found() -> None:
    found = {(each.key, *sorted(each.values)): each for each in (*of_one_run(), *of_scrutiny(), *of_two_runs())}
    page = render("answer", {"in_numbers": list(found.values())}, ABOUT)
    assert "{" not in page
    assert "None" not in page
    assert {finding.key for finding in found.values()} == set(_words()) - NOT_FINDINGS


def keys_in(module: object) -> set[str]:
    """Every literal key of a Finding in a module: its first argument, or what is assigned to `key`."""
    tree = ast.parse(Path(str(getattr(module, "__file__", ""))).read_text(encoding="utf-8"))
    places: list[ast.expr] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Finding":
            places.append(node.args[0])
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "key":
            places.append(node.value)
    found = set()
    while places:
        place = places.pop()
        if isinstance(place, ast.IfExp):
            places += [place.body, place.orelse]
        elif isinstance(place, ast.Constant):
            found.add(str(place.value))
    return found


@pytest.mark.parametrize("module", [conclusions, scrutiny, comparing])
def test_every_key_that_a_rule_names_has_a_sentence(module: object) -> None:
    assert len(keys_in(module)) >= 8
    assert keys_in(module) <= set(_words())


def test_every_sentence_is_a_format_that_python_can_read() -> None:
    for key, text in _words().items():
        assert text == text.strip(), key
        assert list(string.Formatter().parse(text)), key


def test_a_page_has_its_title_source_headings_and_a_bullet_a_finding() -> None:
    sections = {
        "answer": [Finding("no_difference_shown", {})],
        "in_numbers": [],
        "how_compared": [Finding("one_seed", {})],
    }
    lines = render("comparison_title", sections, ABOUT).split("\n")
    assert lines[:3] == [
        "# Did augmentation help?",
        "",
        "Data: phantoms. For teaching and research; not a medical device, not for diagnosis.",
    ]
    assert lines[3:7] == [
        "",
        "## Answer",
        "",
        "- No difference shown: every 95% interval of the differences includes 0.",
    ]
    assert "## In numbers" not in lines  # nothing stands below it
    assert lines[8] == "## How the two were compared"
    assert lines[-1] == ""


def test_numbers_are_written_as_the_sentence_says() -> None:
    finding = Finding("threshold_helps", {"at_half": sure(0.7654), "gain": 0.0321})
    page = render("answer", {"in_numbers": [finding]}, ABOUT)
    assert "Cut at 0.5 it would be right on 76.5%; the chosen threshold gives 3.2% more." in page


def test_a_sentence_or_a_value_that_is_missing_is_an_error() -> None:
    with pytest.raises(KeyError, match="no_such_sentence"):
        render("answer", {"in_numbers": [Finding("no_such_sentence", {})]}, ABOUT)
    with pytest.raises(KeyError, match="at_half"):
        render("answer", {"in_numbers": [Finding("threshold_helps", {"gain": 0.1})]}, ABOUT)
