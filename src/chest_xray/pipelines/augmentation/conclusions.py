"""Which sentences the comparison of two runs supports. How each is said stands in `chest_xray.reporting.i18n`."""

from collections.abc import Iterator
from typing import Any

from chest_xray.reporting.i18n import Finding, Name


def answer(metrics: dict[str, Any]) -> Finding:
    """Say which metrics' intervals leave 0 out, and on which side."""
    better = tuple(Name(name) for name, each in metrics.items() if each["difference"]["low"] > 0)
    worse = tuple(Name(name) for name, each in metrics.items() if each["difference"]["high"] < 0)
    if better and worse:
        return Finding("augmentation_mixed", {"better": better, "worse": worse})
    if better:
        return Finding("augmentation_helps", {"better": better})
    return Finding("augmentation_hurts", {"worse": worse}) if worse else Finding("no_difference_shown", {})


def in_numbers(comparison: dict[str, Any]) -> Iterator[Finding]:
    """Give each difference with its interval, and the images on which the runs disagree."""
    counted = {"sensitivity": comparison["num_diseased"], "specificity": comparison["num_healthy"]}
    for name, each in comparison["metrics"].items():
        change = each["difference"]
        key = (
            "difference_better"
            if change["low"] > 0
            else "difference_worse"
            if change["high"] < 0
            else "difference_not_shown"
        )
        points = {bound: 100 * value for bound, value in change.items()}
        n = counted.get(name, comparison["num_images"])
        smallest = 100 * each["smallest"]
        yield Finding(key, {"metric": Name(name), "n": n, **each, **points, "smallest": smallest})
    mcnemar = comparison["mcnemar"]
    disagree = mcnemar["mended"] + mcnemar["broken"]
    key = "mcnemar" if disagree else "same_decisions"
    yield Finding(key, {**mcnemar, "disagree": disagree, "num_images": comparison["num_images"]})


def how_compared(steps: dict[str, int]) -> Iterator[Finding]:
    """Say whether both runs trained equally long, and what the intervals leave out."""
    if steps["baseline_steps"] == steps["augmented_steps"]:
        yield Finding("equal_steps", {"steps": steps["baseline_steps"]})
    else:
        yield Finding("unequal_steps", steps)
    yield Finding("one_seed", {})
