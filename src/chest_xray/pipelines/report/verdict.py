"""What a reader in a hurry should know of a run, as far as the numbers and their intervals tell."""

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

from chest_xray.reporting.conclusions import BAR
from chest_xray.reporting.evidence import above, flatters
from chest_xray.reporting.i18n import Finding, Name

Tone = Literal["good", "unsure", "bad"]


class Verdict(NamedTuple):
    """A sentence, what it is about, and whether it speaks for the network or against it."""

    topic: str
    tone: Tone
    finding: Finding


def judge(metrics: dict[str, Any], header_metrics: dict[str, Any]) -> list[Verdict]:
    """Give the verdict over one run: what sums it up first, then what it rests on.

    Args:
        metrics: Of the run.
        header_metrics: Of the rule that reads no pixel, on the same images.
    """
    marks = [_against_what_was_asked(metrics), _against_the_header(metrics, header_metrics)]
    tones = {mark.tone for mark in marks}
    tone: Tone = "bad" if "bad" in tones else "unsure" if "unsure" in tones else "good"
    return [Verdict("whole", tone, Finding(f"verdict_{tone}", {})), *marks, *_weaknesses(metrics)]


def _against_what_was_asked(metrics: dict[str, Any]) -> Verdict:
    accuracy = metrics["test"]["at_chosen"]["accuracy"]
    tone = _clear(accuracy, BAR)
    return Verdict("asked", tone, Finding(f"asked_{tone}", {"accuracy": accuracy, "bar": BAR}))


def _against_the_header(metrics: dict[str, Any], header_metrics: dict[str, Any]) -> Verdict:
    """Both decide on the same images, so the interval of their difference tells; its values are in points."""
    difference = header_metrics["difference"]["accuracy"]
    tone = _clear(difference, 0)
    values = {
        "accuracy": metrics["test"]["at_chosen"]["accuracy"],
        "header": header_metrics["at_rule"]["accuracy"],
        "feature": Name(header_metrics["feature"]),
        "difference": {bound: 100 * difference[bound] for bound in ("value", "low", "high")},
    }
    return Verdict("header", tone, Finding(f"header_{tone}", values))


def _clear(figure: dict[str, float], mark: float) -> Tone:
    """Good where the whole interval lies above a mark, unsure where the value alone does."""
    return "good" if figure["low"] > mark else "unsure" if figure["value"] > mark else "bad"


def _weaknesses(metrics: dict[str, Any]) -> Iterator[Verdict]:
    point = metrics["test"]["at_chosen"]
    counts = {**point, "healthy": point["tn"] + point["fp"], "diseased": point["fn"] + point["tp"]}
    if point["fn"] + point["fp"] == 0:
        yield Verdict("errors", "good", Finding("no_errors", {}))
    elif above(point["sensitivity"], point["specificity"]):
        yield Verdict("errors", "bad", Finding("weak_on_healthy", counts))
    elif above(point["specificity"], point["sensitivity"]):
        yield Verdict("errors", "bad", Finding("weak_on_diseased", counts))
    else:
        yield Verdict("errors", "unsure", Finding("weak_on_neither", counts))
    if flatters(metrics, "accuracy"):
        pair = {name: metrics[name]["at_chosen"]["accuracy"] for name in ("validation", "test")}
        yield Verdict("validation", "bad", Finding("verdict_flatters", pair))


def judge_augmentation(answer: Finding) -> Verdict:
    """Give the tone to what the comparison of two runs answers."""
    tones: dict[str, Tone] = {"augmentation_helps": "good", "augmentation_hurts": "bad"}
    return Verdict("augmentation", tones.get(answer.key, "unsure"), answer)
