"""Every sentence can be said, and every finding has its sentence."""

import ast
import string
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from chest_xray.options import InputError
from chest_xray.pipelines.augmentation import conclusions as comparing
from chest_xray.pipelines.evaluation import conclusions
from chest_xray.wording import Finding, Name, languages, read_words, render, say
from tests.builders import (
    NONE,
    interval,
    make_comparison,
    make_header_metrics,
    make_run_metrics,
    make_stratum,
    sure,
)

LOW, HIGH = interval(0.6, 0.65, 0.7), interval(0.85, 0.9, 0.95)
ENGLISH = read_words("en")
ABOUT = {"data_source": "phantoms"}
NOT_FINDINGS = {
    *("names", "missing", "what_an_answer_is_worth", "what_a_probability_is_worth"),
    *("source", "conclusions_title", "how_well", "where_it_fails", "validation_and_test", "what_to_try"),
    *("comparison_title", "answer", "in_numbers", "how_compared"),
}


def all_of(metrics: dict[str, Any], difference: dict[str, float] | None = None) -> Iterator[Finding]:
    """What every rule says of one run, well and badly trained."""
    yield from conclusions.how_well(metrics, make_header_metrics(difference))
    yield from conclusions.what_an_answer_is_worth(metrics)
    yield from conclusions.what_a_probability_is_worth(metrics)
    yield from conclusions.where_it_fails(metrics)
    yield from conclusions.validation_and_test(metrics)
    for last, train in ((True, 0.9), (False, 0.99)):
        training = {"train_accuracy": train, "validation_accuracy": 0.9, "best_was_last": last}
        yield from conclusions.what_to_try(metrics, training)


def of_one_run() -> Iterator[Finding]:
    """What the rules say over good and bad figures, in every combination, and where figures are missing."""
    sides, gaps = (LOW, HIGH), (interval(-0.1, -0.05, -0.01), sure(0), interval(0.01, 0.05, 0.1))
    for accuracy, sensitivity, specificity, at_half, gap in product(sides, sides, sides, sides, gaps):
        for bacterial, viral in ((LOW, HIGH), (HIGH, LOW), (HIGH, HIGH)):
            metrics = make_run_metrics(
                **{"accuracy": accuracy, "sensitivity": sensitivity, "specificity": specificity},
                at_half=at_half,
                by_aetiology={"bacterial": bacterial, "viral": viral},
                gap=dict.fromkeys(("accuracy", "sensitivity", "specificity"), gap),
                strata=[make_stratum("< 1", sensitivity=sensitivity), make_stratum("≥ 1", sensitivity=accuracy)],
            )
            metrics["test"]["auc"] = {**interval(0.96, 0.97, 0.98), "n": 100}
            yield from all_of(metrics, gap)
    for slope, intercept in product((0.8, 1, 1.2), (-0.5, 0, 0.5)):
        held = {"slope": sure(slope), "intercept": sure(intercept), "ece_by_chance": slope / 20 - 0.01}
        yield from all_of(make_run_metrics(calibration=held))
    for value in (0.2, 0.5, 0.9):
        yield from all_of(make_run_metrics(ppv_realistic=sure(value), npv_realistic=sure(value)))
    yield from all_of(make_run_metrics(accuracy=interval(0.75, 0.85, 0.9)))
    yield from all_of(make_run_metrics(mcc=NONE, calibration={"slope": {**sure(1), "high": None}}))
    yield from all_of(make_run_metrics(strata=[make_stratum("< 1", specificity=NONE, auc=NONE)]))
    flawless = make_run_metrics()
    flawless["test"]["at_chosen"].update(fn=0, fp=0)
    yield from all_of(flawless)


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
    found = {repr(each): each for each in (*of_one_run(), *of_two_runs())}
    page = render("answer", {"in_numbers": list(found.values())}, ABOUT)
    assert "{" not in page
    assert "None" not in page
    assert {finding.key for finding in found.values()} == set(ENGLISH) - NOT_FINDINGS


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


@pytest.mark.parametrize("module", [conclusions, comparing])
def test_every_key_that_a_rule_names_has_a_sentence(module: object) -> None:
    assert len(keys_in(module)) >= 8
    assert keys_in(module) <= set(ENGLISH)


def placeholders(text: str) -> set[str]:
    """What a sentence fills in, with index and without format: another language may write a number its own way."""
    return {field for _, field, _, _ in string.Formatter().parse(text) if field is not None}


def sentences(language: str) -> dict[str, str]:
    """Every text of a language by its key, those of `names` and `missing` by two."""
    texts: dict[str, str] = {}
    for key, text in read_words(language).items():
        texts |= {f"{key}.{name}": each for name, each in text.items()} if isinstance(text, dict) else {key: text}
    return texts


@pytest.mark.parametrize("language", languages())
def test_every_language_says_every_sentence_with_the_same_values(language: str) -> None:
    texts = {key: placeholders(text) for key, text in sentences(language).items()}
    assert texts == {key: placeholders(text) for key, text in sentences("en").items()}
    for key, text in sentences(language).items():
        assert text == text.strip(), key


def test_every_figure_is_told_with_the_number_of_images_and_its_interval_or_beside_one_that_has_it() -> None:
    for key, text in sentences("en").items():
        fields = placeholders(text)
        figures = {field.removesuffix("[value]") for field in fields if field.endswith("[value]")}
        for name in figures:
            assert {f"{name}[low]", f"{name}[high]"} <= fields or f"{name}[n]" in fields, key
        if figures:
            assert [field for field in fields if field.endswith("[n]") or field == "num_images"], key


def test_a_language_that_nobody_wrote_is_refused() -> None:
    with pytest.raises(InputError, match=r"received the language 'tlh'; expected one of en"):
        render("answer", {}, ABOUT, language="tlh")


def test_names_are_said_in_the_language_and_other_words_as_they_are() -> None:
    words = {"names": {"auc": "площадь", "width": "ширина"}, "told": "{one}; {several}; {plain}"}
    finding = Finding("told", {"one": Name("auc"), "several": (Name("auc"), Name("width")), "plain": "auc"})
    assert say(finding, words) == "площадь; площадь, ширина; auc"
    with pytest.raises(KeyError, match="depth"):
        say(Finding("told", {**finding.values, "one": Name("depth")}), words)


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
    finding = Finding("threshold_helps", {"at_half": {**sure(0.7654), "n": 9}, "gain": 0.0321})
    page = render("answer", {"in_numbers": [finding]}, ABOUT)
    assert "right on 76.5% (75.5% to 77.5%, n = 9); the chosen threshold gives 3.2% more." in page


def test_a_sentence_or_a_value_that_is_missing_is_an_error() -> None:
    with pytest.raises(KeyError, match="no_such_sentence"):
        render("answer", {"in_numbers": [Finding("no_such_sentence", {})]}, ABOUT)
    with pytest.raises(KeyError, match="at_half"):
        render("answer", {"in_numbers": [Finding("threshold_helps", {"gain": 0.1})]}, ABOUT)
