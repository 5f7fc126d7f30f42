"""Which sentences the numbers of one run support. How each is said stands in `chest_xray.reporting.i18n`."""

from collections.abc import Iterator
from typing import Any

from chest_xray.core.types import DataFrame
from chest_xray.metrics.subgroups import ENOUGH
from chest_xray.reporting.i18n import Finding, Name

STRATUM_FIGURES = ("sensitivity", "specificity", "auc")
Interval = dict[str, Any]
BAR = 0.80  # test accuracy that the assignment asks for
POINT = 0.01  # a smaller change of accuracy is called none
PICTURES = ("aspect", "size")  # what strata of pictures are cut by


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


def how_well(metrics: dict[str, Any], metadata_metrics: dict[str, Any]) -> Iterator[Finding]:
    """List how the network performs on test, and against the metadata baseline.

    Args:
        metrics: Of the run.
        metadata_metrics: Of the rule on the file's header, on the same images.
    """
    test, point = metrics["test"], metrics["test"]["at_chosen"]
    accuracy = point["accuracy"]
    yield Finding("performance", {**test, **point})
    if accuracy["low"] > BAR:
        yield Finding("above_bar", {"bar": BAR})
    else:
        yield Finding("above_bar_unsure" if accuracy["value"] > BAR else "below_bar", {"bar": BAR})
    majority = max(test["prevalence"], 1 - test["prevalence"])
    yield Finding("above_majority" if accuracy["low"] > majority else "not_above_majority", {"majority": majority})
    yield _against_header(metadata_metrics)
    yield Finding("other_point", {**test["at_other"], "rule": Name(test["at_other"]["rule"])})
    yield Finding("ranking", {"auc": test["auc"]})
    yield Finding("precision_recall", {"pr_auc": test["pr_auc"], "prevalence": test["prevalence"]})
    if missing := undefined(test):
        yield Finding("undefined", {"missing": tuple(Name(name) for name in missing)})


def _against_header(metadata_metrics: dict[str, Any]) -> Finding:
    """Both are judged on the same images, so it is their difference that decides; its values are in points."""
    side = side_of(metadata_metrics["difference"]["accuracy"], 0)
    key = "better_than_header" if side == "above" else "not_better_than_header"
    difference = {bound: 100 * metadata_metrics["difference"]["accuracy"][bound] for bound in ("value", "low", "high")}
    told = {"feature": Name(metadata_metrics["feature"]), "header": metadata_metrics["at_rule"]["accuracy"]}
    return Finding("worse_than_header" if side == "below" else key, {**told, "difference": difference})


def what_an_answer_is_worth(metrics: dict[str, Any]) -> Iterator[Finding]:
    """List the predictive values, in the test split and at a lower prevalence."""
    test, point = metrics["test"], metrics["test"]["at_chosen"]
    if point["precision"]["value"] is not None:
        yield Finding("precision", {**point, "prevalence": test["prevalence"]})
    prevalence = metrics["realistic_prevalence"]
    ppv, npv = point["ppv_realistic"], point["npv_realistic"]
    if side := side_of(ppv, 0.5):
        key = "alarms_mostly_true" if side == "above" else "alarms_mostly_false"
        yield Finding("alarms_either" if side == "around" else key, {"prevalence": prevalence, "ppv": ppv})
    if side := side_of(npv, 1 - prevalence):
        key = "all_clear_informs" if side == "above" else "all_clear_not_shown_to_inform"
        yield Finding(key, {"prevalence": prevalence, "npv": npv, "healthy": 1 - prevalence})


def what_a_probability_is_worth(metrics: dict[str, Any]) -> Iterator[Finding]:
    """List how well the calibrated probabilities hold."""
    test = metrics["test"]
    found = {
        **test["calibration"],
        "prevalence": test["prevalence"],
        "expected": metrics["operating_point"]["expected_prevalence"],
    }
    yield Finding("calibrated", found)
    key = "error_beyond_chance" if found["ece"]["value"] > found["ece_by_chance"] else "error_within_chance"
    yield Finding(key, found)
    if None in (found["slope"]["low"], found["slope"]["high"]) and found["slope"]["value"] is not None:
        yield Finding("slope_open", found)
    elif side := side_of(found["slope"], 1):
        key = "slope_too_extreme" if side == "below" else "slope_too_timid"
        yield Finding("slope_holds" if side == "around" else key, found)
    if side := side_of(found["intercept"], 0):
        key = "level_too_low" if side == "above" else "level_too_high"
        yield Finding("level_holds" if side == "around" else key, found)
    if off_by_prevalence_alone(test):
        yield Finding("level_by_prevalence", found)


def where_it_fails(metrics: dict[str, Any]) -> Iterator[Finding]:
    """List which kinds of images are classified wrongly, and the part of the threshold in it."""
    point = metrics["test"]["at_chosen"]
    counts = {**point, "healthy": point["tn"] + point["fp"], "diseased": point["fn"] + point["tp"]}
    if point["fn"] + point["fp"] == 0:
        yield Finding("no_errors", {})
    elif above(point["sensitivity"], point["specificity"]):
        yield Finding("misses_healthy", counts)
    else:
        key = "misses_diseased" if above(point["specificity"], point["sensitivity"]) else "errors_balanced"
        yield Finding(key, counts)
    yield from _by_aetiology(metrics)
    for by in PICTURES:
        yield from _by_picture(metrics, by)
    at_half = metrics["test"]["at_half"]["accuracy"]
    gain = point["accuracy"]["value"] - at_half["value"]
    key = "threshold_alike" if abs(gain) <= POINT else "threshold_helps" if gain > 0 else "threshold_hurts"
    yield Finding(key, {"at_half": at_half, "gain": abs(gain)})


def _by_aetiology(metrics: dict[str, Any]) -> Iterator[Finding]:
    found = metrics["test"]["sensitivity_by_aetiology"]
    if worse := weaker_aetiology(metrics):
        yield Finding("bacterial_weaker" if worse == "bacterial" else "viral_weaker", found)
    elif {"bacterial", "viral"} <= set(found):
        yield Finding("aetiology_alike", found)


def _by_picture(metrics: dict[str, Any], by: str) -> Iterator[Finding]:
    uneven = uneven_strata(metrics, by)
    for name, (worse, better) in uneven.items():
        ranges = {"worse_range": worse["name"], "better_range": better["name"]}
        yield Finding(
            "stratum_weaker",
            {"by": Name(by), "metric": Name(name), **ranges, "worse": worse[name], "better": better[name]},
        )
    compared = [name for name in STRATUM_FIGURES if len(comparable_strata(metrics, by, name)) > 1]
    if compared and not uneven:
        yield Finding("strata_alike", {"by": Name(by), "metrics": tuple(Name(name) for name in compared)})
    for stratum in metrics["test"]["strata"]:
        lacking = tuple(Name(name) for name in STRATUM_FIGURES if stratum[name]["value"] is None)
        if stratum["by"] == by and lacking:
            yield Finding("stratum_undefined", {**stratum, "by": Name(by), "lacking": lacking})


def validation_and_test(metrics: dict[str, Any]) -> Iterator[Finding]:
    """State whether validation promised more than test held, and on which side."""
    accuracy = _gap(metrics, "accuracy")
    side = side_of(accuracy["gap"], 0)
    key = "validation_strict" if side == "above" else "validation_agrees"
    yield Finding("validation_flatters" if side == "below" else key, accuracy)
    for name in ("specificity", "sensitivity"):
        if flatters(metrics, name):
            yield Finding("specificity_gap" if name == "specificity" else "sensitivity_gap", _gap(metrics, name))


def _gap(metrics: dict[str, Any], name: str) -> dict[str, Any]:
    """Both figures, and their difference in points (hundredths)."""
    gap = {key: 100 * value for key, value in metrics["gap"]["at_chosen"][name].items()}
    return {**{subset: metrics[subset]["at_chosen"][name] for subset in ("validation", "test")}, "gap": gap}


def what_to_try(metrics: dict[str, Any], training: dict[str, Any]) -> Iterator[Finding]:
    """List what to try next.

    Args:
        metrics: Of the run.
        training: `train_accuracy` and `validation_accuracy` of the kept epoch, and `best_was_last`: no
            epoch before the last had as low a validation loss.
    """
    test, point = metrics["test"], metrics["test"]["at_chosen"]
    if flatters(metrics, "accuracy") or flatters(metrics, "specificity"):
        yield Finding("try_robustness", {})
    if above(point["sensitivity"], point["specificity"]):
        yield Finding("try_specificity", point)
    if above(point["specificity"], point["sensitivity"]):
        yield Finding("try_sensitivity", point)
    if ranks_better_than_it_decides(test):
        yield Finding("try_threshold", {"auc": test["auc"], "accuracy": point["accuracy"]})
    if promises_too_much(test):
        yield Finding("try_recalibration", test["calibration"])
    if off_by_prevalence_alone(test):
        yield Finding("try_prevalence", {"prevalence": test["prevalence"], **metrics["operating_point"]})
    if worse := weaker_aetiology(metrics):
        found = test["sensitivity_by_aetiology"]
        yield Finding("try_bacterial" if worse == "bacterial" else "try_viral", found)
    for by in PICTURES:
        if uneven := uneven_strata(metrics, by):
            name = max(uneven, key=lambda each: uneven[each][1][each]["value"] - uneven[each][0][each]["value"])
            told = {"range": uneven[name][0]["name"], "figure": uneven[name][0][name]}
            yield Finding("try_pictures", {"by": Name(by), "metric": Name(name), **told})
    yield from _about_training(training)
    yield Finding("try_other_hospital", {})


def _about_training(training: dict[str, Any]) -> Iterator[Finding]:
    train, validation = training["train_accuracy"], training["validation_accuracy"]
    if train - validation > 3 * POINT:
        yield Finding("try_regularisation", {"train": train, "validation": validation})
    if training["best_was_last"]:
        yield Finding("try_longer", {})


def find_conclusions(
    metrics: dict[str, Any], history: DataFrame, metadata_metrics: dict[str, Any]
) -> dict[str, list[Finding]]:
    """Find what the numbers support: how well, what an answer is worth, where it fails, and what to try next.

    Args:
        metrics: From `compute_metrics`.
        history: One row an epoch; the kept one says how training went.
        metadata_metrics: From `measure_metadata_baseline`: how far the header goes without a look at a pixel.

    Returns:
        From the key of a heading to what stands below it.
    """
    kept = history[history["kept"]].iloc[0]
    training = {
        "train_accuracy": float(kept["accuracy"]),
        "validation_accuracy": float(kept["val_accuracy"]),
        "best_was_last": bool(history["val_loss"].idxmin() == history.index[-1]),
    }
    return {
        "how_well": list(how_well(metrics, metadata_metrics)),
        "what_an_answer_is_worth": list(what_an_answer_is_worth(metrics)),
        "what_a_probability_is_worth": list(what_a_probability_is_worth(metrics)),
        "where_it_fails": list(where_it_fails(metrics)),
        "validation_and_test": list(validation_and_test(metrics)),
        "what_to_try": list(what_to_try(metrics, training)),
    }
