"""Rules for the conclusions that the metrics of a run support; `chest_xray.reporting.i18n` holds the sentences."""

from collections.abc import Iterator
from typing import Any

from chest_xray.core.types import DataFrame
from chest_xray.metrics.binary import proportion
from chest_xray.metrics.bootstrap import widest
from chest_xray.metrics.results import (
    Decisions,
    Estimate,
    Interval,
    Measured,
    MetadataMetrics,
    Metrics,
    Stratum,
    SubsetMetrics,
)
from chest_xray.metrics.subgroups import MIN_CLASS_IMAGES
from chest_xray.models.gradcam import MapComparison
from chest_xray.reporting.i18n import Finding, Name

STRATUM_METRICS = ("sensitivity", "specificity", "auc")
REQUIRED_ACCURACY = 0.80  # test accuracy that the assignment requires
SIGNIFICANCE = 0.05  # of p-values
SHAPE_PROPERTIES = ("aspect", "size")  # image properties that define strata
UNALTERED = "none"  # the name of the condition without corruption
CHANCE = 0.5  # AUC of a score without information


def is_above(first: Interval, second: Interval) -> bool:
    """Check whether the first interval lies wholly above the second."""
    return first.low is not None and second.high is not None and first.low > second.high


def find_side(interval: Interval, reference: float) -> str | None:
    """Return where an interval lies: "above", "below" or "around" a reference value; None without a value."""
    if interval.value is None:
        return None
    if interval.low is not None and interval.low > reference:
        return "above"
    return "below" if interval.high is not None and interval.high < reference else "around"


def find_weaker_aetiology(metrics: Metrics) -> str | None:
    """Return the aetiology with the lower sensitivity, or None if the intervals overlap."""
    sensitivity = metrics.test.sensitivity_by_aetiology
    for worse, better in (("bacterial", "viral"), ("viral", "bacterial")):
        if {worse, better} <= set(sensitivity) and is_above(sensitivity[better], sensitivity[worse]):
            return worse
    return None


def is_lower_on_test(metrics: Metrics, name: str) -> bool:
    """Check whether a metric at the chosen threshold is shown to be lower on test than on validation."""
    return find_side(getattr(metrics.gap.at_chosen, name), 0) == "below"


def _find_uneven_strata(metrics: Metrics, by: str) -> dict[str, tuple[Stratum, Stratum]]:
    """Return the weakest and the strongest stratum for each metric in which the two are shown to differ."""
    uneven = {}
    for name in STRATUM_METRICS:
        strata = _list_comparable_strata(metrics, by, name)
        if strata and is_above(getattr(strata[-1], name), getattr(strata[0], name)):
            uneven[name] = strata[0], strata[-1]
    return uneven


def _list_comparable_strata(metrics: Metrics, by: str, name: str) -> list[Stratum]:
    """Return the strata of enough images in the order of a metric."""
    pairs = [(stratum, getattr(stratum, name)) for stratum in metrics.test.strata if stratum.by == by]
    pairs = [pair for pair in pairs if pair[1].low is not None and pair[1].n >= MIN_CLASS_IMAGES]
    return [stratum for stratum, _ in sorted(pairs, key=lambda pair: pair[1].value)]


def in_points(difference: Measured) -> Measured:
    """Convert a difference to percentage points."""
    shares = {name: getattr(difference, name) for name in ("value", "low", "high")}
    return difference.model_copy(update={name: share and 100 * share for name, share in shares.items()})


def assess_performance(metrics: Metrics, metadata_metrics: MetadataMetrics) -> Iterator[Finding]:
    """Assess the network on test, alone and in comparison with the metadata baseline on the same images."""
    test, point = metrics.test, metrics.test.at_chosen
    accuracy = point.accuracy
    yield Finding("performance", {**dict(test), **dict(point)})
    key = "above_bar_unsure" if accuracy.finite_value > REQUIRED_ACCURACY else "below_bar"
    if find_side(accuracy, REQUIRED_ACCURACY) == "above":
        key = "above_bar"
    yield Finding(key, {"bar": REQUIRED_ACCURACY})
    majority = max(test.prevalence, 1 - test.prevalence)
    key = "above_majority" if find_side(accuracy, majority) == "above" else "not_above_majority"
    yield Finding(key, {"majority": majority})
    difference = metadata_metrics.difference.accuracy
    keys = {"above": "better_than_baseline", "around": "not_better_than_baseline", "below": "worse_than_baseline"}
    values = {"feature": Name(metadata_metrics.feature), "baseline": metadata_metrics.at_rule.accuracy}
    yield Finding(keys[find_side(difference, 0) or "around"], {**values, "difference": in_points(difference)})
    for rule, other in test.points.items():
        if rule != test.rule:
            yield Finding("other_point", {**dict(other), "rule": Name(rule)})
    for rule, threshold in metrics.operating_point.points.items():
        if threshold.reached is not None:
            key = "holds_in_every_condition" if threshold.reached else "fails_in_some_condition"
            yield Finding(key, {**dict(threshold), "rule": Name(rule)})
    yield Finding("ranking" if test.auc.finite_value < 1 else "ranking_separated", {"auc": test.auc})
    if test.auc.finite_value < 1:
        yield Finding("precision_recall", {"pr_auc": test.pr_auc, "prevalence": test.prevalence})
    values = {**dict(point), **dict(test.calibration), "auc": test.auc, "pr_auc": test.pr_auc}
    if missing := [name for name, value in values.items() if isinstance(value, Interval) and value.value is None]:
        yield Finding("undefined", {"missing": tuple(map(Name, missing))})


def assess_shortcuts(metrics: Metrics, metadata_metrics: MetadataMetrics) -> Iterator[Finding]:
    """Report how the network ranks images with similar metadata, and classifies those that the baseline gets wrong."""
    shortcuts = metadata_metrics.shortcuts
    for by, within in (("width", shortcuts.within_width), ("metadata_score", shortcuts.within_score)):
        if not within.auc.is_point and (side := find_side(within.auc, CHANCE)):
            keys = {"above": "within_ranks", "around": "within_not_shown", "below": "within_reversed"}
            yield Finding(keys[side], {**dict(within), "by": Name(by), "whole": metrics.test.auc})
    conflict = shortcuts.conflict
    if side := find_side(conflict.accuracy, CHANCE):
        keys = {"above": "conflict_mostly_right", "around": "conflict_undecided", "below": "conflict_mostly_wrong"}
        yield Finding(keys[side], {**dict(conflict), "feature": Name(metadata_metrics.feature)})


def describe_intervals(metrics: Metrics) -> Iterator[Finding]:
    """Compare the intervals of accuracy over images, patients and blocks, and report runs of errors in file numbers."""
    dependence = metrics.dependence
    if dependence is None:
        return
    intervals = dependence.intervals["accuracy"]
    by_method = {str(interval.method): interval for interval in intervals}
    values = {"block_length": dependence.block_length, "method": Name(f"over_{widest(*intervals).method}")}
    yield Finding("widest_interval", {**by_method, **values})
    num_tests = {"num_tests": len(dependence.runs)}
    clustered = [test for test in dependence.runs if test.p_holm < SIGNIFICANCE and test.num_runs < test.expected]
    for test in clustered:
        yield Finding("errors_in_runs", {**dict(test), **num_tests})
    if dependence.runs and not clustered:
        yield Finding("errors_in_no_runs", num_tests)


def assess_predictive_values(metrics: Metrics) -> Iterator[Finding]:
    """Assess PPV and NPV, in the test split and at a realistic prevalence."""
    point, prevalence = metrics.test.at_chosen, metrics.realistic_prevalence
    if point.precision.value is not None:
        yield Finding("precision", {**dict(point), "prevalence": metrics.test.prevalence})
    ppv, npv = _bound_predictive_values(point, prevalence)
    if ppv.value is not None:
        yield Finding("ppv_elsewhere", {"prevalence": prevalence, "ppv": ppv})
    if side := find_side(npv, 1 - prevalence):
        key = "npv_elsewhere_informs" if side == "above" else "npv_elsewhere_not_shown"
        yield Finding(key, {"prevalence": prevalence, "npv": npv, "healthy": 1 - prevalence})


def _bound_predictive_values(point: Decisions, prevalence: float) -> tuple[Estimate, Estimate]:
    """Return PPV and NPV at a prevalence; without false positives or negatives, their lower bound is from Wilson's.

    If a sample has no error of a kind, no resample has one, and a bootstrap would show no uncertainty.
    """
    ppv, npv = point.ppv_realistic, point.npv_realistic
    if None in (ppv.value, npv.value, point.sensitivity.low, point.specificity.low):
        return ppv, npv
    sensitivity, specificity = point.sensitivity.low or 0.0, point.specificity.low or 0.0
    detected, false_alarms = sensitivity * prevalence, (1 - specificity) * (1 - prevalence)
    cleared, missed = specificity * (1 - prevalence), (1 - sensitivity) * prevalence
    if point.fp == 0:
        ppv = ppv.model_copy(update={"low": detected / (detected + false_alarms)})
    if point.fn == 0:
        npv = npv.model_copy(update={"low": cleared / (cleared + missed)})
    return ppv, npv


def assess_calibration(metrics: Metrics) -> Iterator[Finding]:
    """Assess the calibrated probabilities, adjusted to the prevalence of test."""
    test, calibration = metrics.test, metrics.test.calibration
    expected = metrics.operating_point.calibration.expected_prevalence
    values = {**dict(calibration), "prevalence": test.prevalence, "expected": expected}
    slope = calibration.slope
    yield Finding("calibrated", values)
    if calibration.ece_by_chance is not None:
        is_beyond = calibration.ece.finite_value > calibration.ece_by_chance
        yield Finding("error_beyond_chance" if is_beyond else "error_within_chance", values)
    if None in (slope.low, slope.high) and slope.value is not None:
        yield Finding("slope_open", values)
    elif side := find_side(slope, 1):
        keys = {"above": "slope_too_timid", "around": "slope_holds", "below": "slope_too_extreme"}
        yield Finding(keys[side], values)
    # If a threshold separates the classes without error, the slope is undefined and the intercept not informative.
    if slope.value is not None and (side := find_side(calibration.intercept, 0)):
        keys = {"above": "level_too_low", "around": "level_holds", "below": "level_too_high"}
        yield Finding(keys[side], values)


def classify_errors(point: Decisions) -> tuple[str, dict[str, Any]]:
    """Return the class with the higher rate of errors, and metrics and counts.

    It is "normal" or "pneumonia", "balanced" if neither is shown, or "none" if there is no error.
    """
    counts = {**dict(point), "num_normal": point.tn + point.fp, "num_pneumonia": point.fn + point.tp}
    if point.fn + point.fp == 0:
        return "none", {"n": point.tn + point.tp}
    if is_above(point.sensitivity, point.specificity):
        return "normal", counts
    return "pneumonia" if is_above(point.specificity, point.sensitivity) else "balanced", counts


def describe_errors(metrics: Metrics) -> Iterator[Finding]:
    """Describe which images are misclassified, and what the choice of the threshold changes."""
    point = metrics.test.at_chosen
    kind, counts = classify_errors(point)
    keys = {"normal": "misses_normal", "pneumonia": "misses_pneumonia", "balanced": "errors_balanced"}
    yield Finding(keys.get(kind, "no_errors"), counts)
    sensitivity = metrics.test.sensitivity_by_aetiology
    if worse := find_weaker_aetiology(metrics):
        yield Finding("bacterial_weaker" if worse == "bacterial" else "viral_weaker", sensitivity)
    elif {"bacterial", "viral"} <= set(sensitivity):
        yield Finding("aetiology_alike", sensitivity)
    for by in SHAPE_PROPERTIES:
        yield from _compare_strata(metrics, by)
    yield _compare_with_half(metrics.test)


def _compare_with_half(test: SubsetMetrics) -> Finding:
    """Compare the chosen threshold with 0.5 by McNemar's exact test.

    Moving a threshold changes all decisions on a class in one direction, so that the counts give the discordant pairs.
    """
    from scipy.stats import binomtest

    changes = [getattr(test.at_chosen, cell) - getattr(test.at_half, cell) for cell in ("tp", "tn")]
    corrected, changed = sum(change for change in changes if change > 0), sum(map(abs, changes))
    p = float(binomtest(corrected, changed).pvalue) if changed else 1.0
    key = "threshold_alike"
    if p < SIGNIFICANCE:
        key = "threshold_helps" if 2 * corrected > changed else "threshold_hurts"
    counts = {"corrected": corrected, "regressed": changed - corrected, "p": p}
    return Finding(key, {"at_half": test.at_half.accuracy, **counts})


def _compare_strata(metrics: Metrics, by: str) -> Iterator[Finding]:
    uneven = _find_uneven_strata(metrics, by)
    for name, (worse, better) in uneven.items():
        values = {"worse_range": worse.name, "better_range": better.name, "metric": Name(name)}
        pair = {"worse": getattr(worse, name), "better": getattr(better, name)}
        num = len(_list_comparable_strata(metrics, by, name))
        yield Finding("stratum_weaker", {"by": Name(by), "num": num, **values, **pair})
    compared = [name for name in STRATUM_METRICS if len(_list_comparable_strata(metrics, by, name)) > 1]
    if compared and not uneven:
        yield Finding("strata_alike", {"by": Name(by), "metrics": tuple(map(Name, compared))})
    for stratum in metrics.test.strata:
        lacking = tuple(Name(name) for name in STRATUM_METRICS if getattr(stratum, name).value is None)
        if stratum.by == by and lacking:
            yield Finding("stratum_undefined", {**dict(stratum), "by": Name(by), "lacking": lacking})


def compare_validation_and_test(metrics: Metrics) -> Iterator[Finding]:
    """Compare validation and test by metrics that do not depend on the prevalence, because it differs."""

    def compare(metric: str) -> dict[str, Interval]:
        estimates = {name: getattr(subset.at_chosen, metric) for name, subset in metrics.subsets.items()}
        return {**estimates, "gap": in_points(getattr(metrics.gap.at_chosen, metric))}

    keys = {"above": "validation_strict", "around": "validation_agrees", "below": "validation_flatters"}
    gap = metrics.gap.at_chosen.balanced_accuracy
    if not gap.is_point:
        yield Finding(keys[find_side(gap, 0) or "around"], compare("balanced_accuracy"))
    for name in ("specificity", "sensitivity"):
        if is_lower_on_test(metrics, name):
            yield Finding(f"{name}_gap", compare(name))


def suggest_next_steps(metrics: Metrics, kept: Any) -> Iterator[Finding]:
    """Suggest what to try next; `kept` is the row of `history` of the epoch whose weights were kept."""
    test, point, gap = metrics.test, metrics.test.at_chosen, metrics.gap.at_chosen
    if is_lower_on_test(metrics, "balanced_accuracy") or is_lower_on_test(metrics, "specificity"):
        yield Finding("try_other_validation", {})
    if is_above(point.sensitivity, point.specificity):
        yield Finding("try_specificity", dict(point))
    if is_above(point.specificity, point.sensitivity):
        yield Finding("try_sensitivity", dict(point))
    if {find_side(gap.sensitivity, 0), find_side(gap.specificity, 0)} == {"above", "below"}:
        pair = {name: in_points(getattr(gap, name)) for name in ("sensitivity", "specificity")}
        yield Finding("try_threshold", {**pair, "num_images": test.num_images})
    slope, intercept = test.calibration.slope, test.calibration.intercept
    if None not in (slope.low, slope.high) and find_side(slope, 1) in {"above", "below"}:
        yield Finding("try_recalibration", dict(test.calibration))
    if slope.value is not None and find_side(intercept, 0) in {"above", "below"}:
        yield Finding("try_bias", dict(test.calibration))
    if worse := find_weaker_aetiology(metrics):
        key = "try_bacterial" if worse == "bacterial" else "try_viral"
        yield Finding(key, test.sensitivity_by_aetiology)
    for by in SHAPE_PROPERTIES:
        if uneven := _find_uneven_strata(metrics, by):
            gaps = {name: getattr(pair[1], name).value - getattr(pair[0], name).value for name, pair in uneven.items()}
            name = max(gaps, key=gaps.__getitem__)
            values = {"range": uneven[name][0].name, "found": getattr(uneven[name][0], name)}
            yield Finding("try_strata", {"by": Name(by), "metric": Name(name), **values})
    num = metrics.validation.num_images
    validation = proportion(round(float(kept["val_accuracy"]) * num), num)
    # Without an interval: the train images are all that the network has learnt from, not a sample of them. Rounded as
    # it is written, so that no sentence contradicts its numbers.
    train = round(float(kept["accuracy"]), 3)
    if find_side(validation, train) == "below":
        yield Finding("try_regularisation", {"train": train, "validation": validation})
    yield Finding("try_other_hospital", {})


def find_conclusions(
    metrics: Metrics, history: DataFrame, metadata_metrics: MetadataMetrics
) -> dict[str, list[Finding]]:
    """Return what the results of `compute_metrics`, `train_model` and `measure_metadata_baseline` show, by heading."""
    return {
        "how_well": [*assess_performance(metrics, metadata_metrics), *describe_intervals(metrics)],
        "lungs_or_shape": list(assess_shortcuts(metrics, metadata_metrics)),
        "what_an_answer_is_worth": list(assess_predictive_values(metrics)),
        "what_a_probability_is_worth": list(assess_calibration(metrics)),
        "where_it_fails": list(describe_errors(metrics)),
        "validation_and_test": list(compare_validation_and_test(metrics)),
        "what_to_try": list(suggest_next_steps(metrics, history[history["kept"]].iloc[0])),
    }


def _read_interval(row: Any, name: str) -> Estimate:
    value, low, high = (float(row[f"{name}{bound}"]) for bound in ("", "_low", "_high"))
    return Estimate(value=value, low=low, high=high, n=int(row["n"]))


def _is_worse(row: Any, name: str) -> bool:
    """Check whether a metric is shown to be lower than in the first condition; p is corrected for multiple tests."""
    return bool(row[f"{name}_change"] < 0 and row[f"{name}_p"] < SIGNIFICANCE)


def assess_maps(map_sanity: MapComparison) -> Iterator[Finding]:
    """Report whether the Grad-CAM maps passed the randomisation test."""
    yield Finding(f"maps_{map_sanity.verdict}", {**dict(map_sanity), **dict(map_sanity.steps[-1])})
    yield Finding("maps_limits", {})


def assess_occlusion(occlusion_table: DataFrame) -> Iterator[Finding]:
    """Report whether the border alone ranks better than chance, and the centre alone worse than the whole image."""
    rows = {row["shown"]: row for row in occlusion_table.to_dict("records")}
    auc = {view: _read_interval(row, "auc") for view, row in rows.items()}
    keys = {"above": "border_informative", "around": "border_uninformative", "below": "border_reversed"}
    yield Finding(keys[find_side(auc["border"], CHANCE) or "around"], auc)
    change = _read_interval(rows["centre"], "auc_change")
    key = "centre_worse" if _is_worse(rows["centre"], "auc") else "centre_alike"
    key = "centre_same" if change.is_point else key
    yield Finding(key, {**auc, "change": change, "p": rows["centre"]["auc_p"]})


def assess_robustness(robustness_table: DataFrame) -> Iterator[Finding]:
    """Report the first strength of each corruption at which accuracy is shown to drop, in paired comparisons."""
    is_unaltered = robustness_table["kind"] == UNALTERED
    yield Finding("unaltered", {"accuracy": _read_interval(robustness_table[is_unaltered].iloc[0], "accuracy")})
    tolerated = []
    for kind, rows in robustness_table[~is_unaltered].groupby("kind", sort=False):
        first_loss = next((row for _, row in rows.iterrows() if _is_worse(row, "accuracy")), None)
        if first_loss is None:
            tolerated.append(Name(kind))
        else:
            values = {**first_loss, "p": first_loss["accuracy_p"], "num_images": int(first_loss["n"])}
            values |= {
                "change": in_points(_read_interval(first_loss, "accuracy_change")),
                "worst": rows["accuracy"].min(),
            }
            yield Finding("kind_loses", {**values, "kind": Name(kind)})
    if tolerated:
        yield Finding("kinds_tolerated", {"kinds": tuple(tolerated)})


def find_robustness_conclusions(
    map_sanity: MapComparison, occlusion_table: DataFrame, robustness_table: DataFrame
) -> dict[str, list[Finding]]:
    """Return what the results of `check_maps`, `measure_occlusion` and `measure_robustness` show, by heading."""
    return {
        "maps": list(assess_maps(map_sanity)),
        "occlusion": list(assess_occlusion(occlusion_table)),
        "robustness": list(assess_robustness(robustness_table)),
    }
