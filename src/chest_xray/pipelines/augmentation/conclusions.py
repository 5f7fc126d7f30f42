"""Which sentences the comparison of two runs supports. How each is said stands in `chest_xray.wording`."""

from collections.abc import Iterator
from typing import Any

from chest_xray.wording import Finding


def answer(metrics: dict[str, Any]) -> Finding:
    """Say which metrics' intervals leave 0 out, and on which side."""
    better = [name for name, each in metrics.items() if each["difference"]["low"] > 0]
    worse = [name for name, each in metrics.items() if each["difference"]["high"] < 0]
    if better and worse:
        sides = {
            "better": _join(better),
            "better_verb": _verb(better),
            "worse": _join(worse),
            "worse_verb": _verb(worse),
        }
        return Finding("augmentation_mixed", sides)
    if named := better or worse:
        key = "augmentation_helps" if better else "augmentation_hurts"
        return Finding(key, {"metrics": _join(named), "verb": _verb(named)})
    return Finding("no_difference_shown", {})


def in_numbers(comparison: dict[str, Any]) -> Iterator[Finding]:
    """Give each difference with its interval, and the images on which the runs disagree."""
    for name, each in comparison["metrics"].items():
        change = each["difference"]
        verdict = "better" if change["low"] > 0 else "worse" if change["high"] < 0 else "not shown"
        metric = "AUC" if name == "auc" else name.capitalize()
        points = {name: 100 * value for name, value in change.items()}
        yield Finding("difference", {"metric": metric, **each, **points, "verdict": verdict})
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


def _join(names: list[str]) -> str:
    words = ["AUC" if name == "auc" else name for name in names]
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]


def _verb(names: list[str]) -> str:
    return "is" if len(names) == 1 else "are"
