"""What a comparison of runs supports: of two, and of the arms of the study."""

from collections.abc import Iterator
from typing import Any

from chest_xray.metrics.comparison import REFERENCE
from chest_xray.reporting.i18n import Finding, Name


def summarise_effect(metrics: dict[str, Any]) -> Finding:
    """Return which metrics' intervals exclude 0, and on which side."""
    better = tuple(Name(name) for name, each in metrics.items() if each["difference"]["low"] > 0)
    worse = tuple(Name(name) for name, each in metrics.items() if each["difference"]["high"] < 0)
    if better and worse:
        return Finding("augmentation_mixed", {"better": better, "worse": worse})
    if better:
        return Finding("augmentation_helps", {"better": better})
    return Finding("augmentation_hurts", {"worse": worse}) if worse else Finding("no_difference_shown", {})


def list_differences(comparison: dict[str, Any]) -> Iterator[Finding]:
    """Return each difference with its interval, and the images on which the runs disagree."""
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
    disagree = mcnemar["corrected"] + mcnemar["regressed"]
    key = "mcnemar" if disagree else "same_decisions"
    yield Finding(key, {**mcnemar, "disagree": disagree, "num_images": comparison["num_images"]})


def describe_comparison(steps: dict[str, int]) -> Iterator[Finding]:
    """State whether both runs trained equally long, and what the intervals leave out."""
    if steps["baseline_steps"] == steps["augmented_steps"]:
        yield Finding("equal_steps", {"steps": steps["baseline_steps"]})
    else:
        yield Finding("unequal_steps", steps)
    yield Finding("one_seed", {})


def summarise_arms(study: dict[str, Any]) -> Iterator[Finding]:
    """List what is shown of each arm: for any patients and seed, or for these seeds alone."""
    num_seeds = len(study["seeds"])
    for arm, metrics in study["differences"].items():
        whole = {name: verdict(each["both"]) for name, each in metrics.items()}
        part = {name: verdict(each) for name, each in metrics.items() if not whole[name]}
        if better := _names(whole, 1):
            yield Finding("arm_better", {"arm": arm, "better": better})
        if worse := _names(whole, -1):
            yield Finding("arm_worse", {"arm": arm, "worse": worse})
        if better := _names(part, 1):
            yield Finding("arm_better_these_seeds", {"arm": arm, "better": better, "num_seeds": num_seeds})
        if worse := _names(part, -1):
            yield Finding("arm_worse_these_seeds", {"arm": arm, "worse": worse, "num_seeds": num_seeds})
        if not any((*whole.values(), *part.values())):
            yield Finding("arm_not_shown", {"arm": arm})


def verdict(interval: dict[str, float]) -> int:
    """Return on which side of 0 an interval lies: 1 above, -1 below, 0 where it reaches 0."""
    return int(interval["low"] > 0) - int(interval["high"] < 0)


def _names(verdicts: dict[str, int], side: int) -> tuple[Name, ...]:
    return tuple(Name(name) for name, each in verdicts.items() if each == side)


def list_arm_differences(study: dict[str, Any]) -> Iterator[Finding]:
    """Return each difference with both intervals and its spread over seeds, and McNemar's test of each pair."""
    for arm, metrics in study["differences"].items():
        for name, each in metrics.items():
            yield _difference(study, arm, name, each)
        pairs = study["mcnemar"][arm]
        total = {key: sum(pair[key] for pair in pairs) for key in ("corrected", "regressed")}
        p = {"least": min(pair["p"] for pair in pairs), "most": max(pair["p"] for pair in pairs)}
        yield Finding("arm_mcnemar", {"arm": arm, "num_pairs": len(pairs), **total, "p": p})


def _difference(study: dict[str, Any], arm: str, name: str, each: dict[str, Any]) -> Finding:
    side = verdict(each["both"])
    key = "arm_difference_better" if side > 0 else "arm_difference_worse" if side < 0 else "arm_difference_not_shown"
    points = {part: 100 * each[part] for part in ("value", "low", "high", "deviation", "smallest")}
    values = {
        **{"arm": arm, "metric": Name(name), **points},
        "both": {part: 100 * value for part, value in each["both"].items()},
        "seed": {"least": 100 * min(each["by_seed"]), "most": 100 * max(each["by_seed"])},
        "without": study["arms"][REFERENCE][name]["mean"],
        "given": study["arms"][arm][name]["mean"],
    }
    return Finding(key, values)


def describe_study(study: dict[str, Any]) -> Iterator[Finding]:
    """State whether all trained equally long, what the intervals cover, and how many there are."""
    steps = study["steps"]
    key = "study_equal_steps" if steps["fewest"] == steps["most"] else "study_unequal_steps"
    yield Finding(key, steps)
    counts = {"num_images": study["num_images"], "num_groups": study["num_groups"], "num_seeds": len(study["seeds"])}
    yield Finding("study_over_patients", counts)
    yield Finding("study_over_both", counts)
    num = sum(len(metrics) for metrics in study["differences"].values())
    yield Finding("study_many", {"num": num})


def find_comparison(comparison: dict[str, Any]) -> dict[str, list[Finding]]:
    """Find whether augmentation helped, as far as the numbers tell.

    Args:
        comparison: From `compare_runs`.

    Returns:
        From the key of a heading to what stands below it.
    """
    return {
        "answer": [summarise_effect(comparison["metrics"])],
        "in_numbers": list(list_differences(comparison)),
        "how_compared": list(describe_comparison(comparison["steps"])),
    }
