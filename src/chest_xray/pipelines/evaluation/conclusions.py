"""Which sentences the numbers of one run support. How each is said stands in `chest_xray.wording`."""

from collections.abc import Iterator
from typing import Any

from chest_xray.wording import Finding, Name

BAR = 0.80  # test accuracy that the assignment asks for
POINT = 0.01  # a smaller change of accuracy is called none


def how_well(metrics: dict[str, Any], header_rule: dict[str, Any]) -> Iterator[Finding]:
    """Say how the network does on test, and against what needs no network.

    Args:
        metrics: Of the run.
        header_rule: For each feature of the file's header its scores on `train` and `test`.
    """
    test, point = metrics["test"], metrics["test"]["at_chosen"]
    accuracy = point["accuracy"]
    yield Finding("performance", {**test, **point})
    if point["precision"]["value"] is not None:
        yield Finding("precision", {**point, "prevalence": test["prevalence"]})
    yield Finding("other_point", {**test["at_other"], "rule": Name(test["at_other"]["rule"])})
    yield Finding("ranking", {"auc": test["auc"]})
    yield Finding("calibrated", {"ece": test["ece"], "brier": test["brier"]})
    if accuracy["low"] > BAR:
        yield Finding("above_bar", {"bar": BAR})
    else:
        yield Finding("above_bar_unsure" if accuracy["value"] > BAR else "below_bar", {"bar": BAR})
    majority = max(test["prevalence"], 1 - test["prevalence"])
    yield Finding("above_majority" if accuracy["low"] > majority else "not_above_majority", {"majority": majority})
    feature = best_on_train(header_rule)
    header = header_rule[feature]["test"]["accuracy"]
    key = "better_than_header" if accuracy["low"] > header else "not_better_than_header"
    yield Finding(key, {"feature": Name(feature), "header": header})


def best_on_train(header_rule: dict[str, Any]) -> str:
    """Name the feature of the header that tells the classes apart best on train, by balanced accuracy."""
    return max(
        header_rule,
        key=lambda feature: header_rule[feature]["train"]["sensitivity"] + header_rule[feature]["train"]["specificity"],
    )


def where_it_fails(metrics: dict[str, Any]) -> Iterator[Finding]:
    """Say which kind of image is got wrong, and what the threshold has to do with it."""
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


def weaker_aetiology(metrics: dict[str, Any]) -> str | None:
    """Name the aetiology that is found less often, if the intervals of the two do not meet."""
    found = metrics["test"]["sensitivity_by_aetiology"]
    for worse, better in (("bacterial", "viral"), ("viral", "bacterial")):
        if worse in found and better in found and above(found[better], found[worse]):
            return worse
    return None


def validation_and_test(metrics: dict[str, Any]) -> Iterator[Finding]:
    """Say whether validation promised more than test held, and on which side."""
    validation, test = metrics["validation"]["at_chosen"], metrics["test"]["at_chosen"]
    pair = {"validation": validation["accuracy"], "test": test["accuracy"]}
    if above(test["accuracy"], validation["accuracy"]):
        yield Finding("validation_strict", pair)
    else:
        yield Finding("validation_flatters" if flatters(metrics, "accuracy") else "validation_agrees", pair)
    for name in ("specificity", "sensitivity"):
        if flatters(metrics, name):
            yield Finding(f"{name}_gap", {"validation": validation[name], "test": test[name]})


def flatters(metrics: dict[str, Any], name: str) -> bool:
    """Tell whether a metric's interval on validation lies wholly above that on test."""
    return above(metrics["validation"]["at_chosen"][name], metrics["test"]["at_chosen"][name])


def what_to_try(metrics: dict[str, Any], training: dict[str, Any]) -> Iterator[Finding]:
    """Say what follows from what failed.

    Args:
        metrics: Of the run.
        training: `train_accuracy` and `validation_accuracy` of the kept epoch, and `best_was_last`: no
            epoch before the last had as low a validation loss.
    """
    test, point = metrics["test"], metrics["test"]["at_chosen"]
    if flatters(metrics, "accuracy") or flatters(metrics, "specificity"):
        yield Finding("try_robustness", {})
    if test["auc"]["low"] > point["accuracy"]["high"]:
        yield Finding("try_threshold", {"auc": test["auc"], "accuracy": point["accuracy"]})
    train, validation = training["train_accuracy"], training["validation_accuracy"]
    if train - validation > 3 * POINT:
        yield Finding("try_regularisation", {"train": train, "validation": validation})
    if training["best_was_last"]:
        yield Finding("try_longer", {})
    if above(point["specificity"], point["sensitivity"]):
        yield Finding("try_sensitivity", {})
    if worse := weaker_aetiology(metrics):
        yield Finding("try_bacterial" if worse == "bacterial" else "try_viral", {})
    yield Finding("try_other_hospital", {})


def above(first: dict[str, Any], second: dict[str, Any]) -> bool:
    """Tell whether the first interval lies wholly above the second."""
    return bool(first["low"] > second["high"])
