"""What the intervals show and what they do not, before anything is said of it.

Two figures of different images differ where their intervals do not meet, which asks for more than a test at 5% would.
A difference that has an interval of its own, such as the gap between test and validation, is shown where that leaves 0
out.
"""

from typing import Any

from chest_xray.metrics.subgroups import ENOUGH

STRATUM_FIGURES = ("sensitivity", "specificity", "auc")
Interval = dict[str, Any]


def above(first: Interval, second: Interval) -> bool:
    """Check whether the first interval lies wholly above the second; False if either has no end on that side."""
    low, high = first["low"], second["high"]
    return low is not None and high is not None and bool(low > high)


def side_of(figure: Interval, mark: float) -> str | None:
    """Return on which side of a mark an interval lies.

    Args:
        figure: `value`, `low`, `high`; a bound that is None has no end.
        mark: The figure that it is held against.

    Returns:
        "above" or "below", "around" where the interval holds the mark, None where there is no figure.
    """
    if figure["value"] is None:
        return None
    if figure["low"] is not None and figure["low"] > mark:
        return "above"
    return "below" if figure["high"] is not None and figure["high"] < mark else "around"


def weaker_aetiology(metrics: dict[str, Any]) -> str | None:
    """Name the aetiology that is found less often, if the intervals of the two do not meet."""
    found = metrics["test"]["sensitivity_by_aetiology"]
    for worse, better in (("bacterial", "viral"), ("viral", "bacterial")):
        if worse in found and better in found and above(found[better], found[worse]):
            return worse
    return None


def flatters(metrics: dict[str, Any], name: str) -> bool:
    """Check whether a figure at the chosen point is shown to be lower on test than on validation."""
    return side_of(metrics["gap"]["at_chosen"][name], 0) == "below"


def uneven_strata(metrics: dict[str, Any], by: str) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """Find the figures in which the weakest and the strongest stratum of test are shown to differ.

    Args:
        metrics: Of the run.
        by: "aspect" or "size".

    Returns:
        From "sensitivity", "specificity" or "auc" to the weakest and the strongest stratum.
    """
    uneven = {}
    for name in STRATUM_FIGURES:
        known = sorted(comparable_strata(metrics, by, name), key=lambda each: each[name]["value"])
        if known and above(known[-1][name], known[0][name]):
            uneven[name] = known[0], known[-1]
    return uneven


def comparable_strata(metrics: dict[str, Any], by: str, name: str) -> list[dict[str, Any]]:
    """List the strata of test in which a figure rests on `ENOUGH` images to be held against another."""
    strata = (each for each in metrics["test"]["strata"] if each["by"] == by)
    return [each for each in strata if each[name]["low"] is not None and each[name]["n"] >= ENOUGH]


def ranks_better_than_it_decides(test: dict[str, Any]) -> bool:
    """Check whether the AUC lies above the accuracy at the chosen point, which another threshold could then raise."""
    return above(test["auc"], test["at_chosen"]["accuracy"])


def promises_too_much(test: dict[str, Any]) -> bool:
    """Check whether probabilities are shown to be too near to 0 and 1: the slope of the recalibration is below 1."""
    return side_of(test["calibration"]["slope"], 1) == "below"


def off_by_prevalence_alone(test: dict[str, Any]) -> bool:
    """Check whether probabilities are off in level, and by no more than the share of diseased explains."""
    intercept, shift = test["calibration"]["intercept"], test["calibration"]["shift_of_prevalence"]
    return side_of(intercept, 0) in {"above", "below"} and side_of(intercept, shift) == "around"


def undefined(test: dict[str, Any]) -> list[str]:
    """Name the figures over all test images, at the chosen point where they have one, that could not be computed."""
    figures = {**test["at_chosen"], **test["calibration"], "auc": test["auc"], "pr_auc": test["pr_auc"]}
    return [name for name, each in figures.items() if isinstance(each, dict) and each["value"] is None]
