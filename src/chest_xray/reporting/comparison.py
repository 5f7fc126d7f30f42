"""Conclusions and figures of the comparison of two runs, and of the arms of the study."""

from collections.abc import Iterator, Mapping
from typing import Any

from chest_xray.core.types import Figure
from chest_xray.metrics.comparison import (
    METRICS,
    REFERENCE,
    RUNS,
    Bounds,
    ComparedMetric,
    Comparison,
    MetricName,
    PairedDifference,
    RepeatedComparison,
    Study,
)
from chest_xray.reporting.i18n import Finding, Name
from chest_xray.reporting.style import BLUE, GREY, ORANGE, PAGE_WIDTH, Labels, label_axes, new_figure


def find_sign(interval: PairedDifference | Bounds) -> int:
    """Return 1 for an interval above 0, -1 for one below, 0 for one that includes 0."""
    return int(interval.low > 0) - int(interval.high < 0)


def has_no_change(difference: PairedDifference | Bounds) -> bool:
    """Check whether two networks agree in every resample, so that an interval would have no meaning."""
    return difference.low == difference.high == 0


def _in_points(difference: PairedDifference | RepeatedComparison) -> dict[str, float]:
    return {name: 100 * getattr(difference, name) for name in ("value", "low", "high")}


def _select_metrics(signs: Mapping[MetricName, int], selected: int) -> tuple[Name, ...]:
    return tuple(Name(name) for name, sign in signs.items() if sign == selected)


def summarise_effect(metrics: Mapping[MetricName, ComparedMetric]) -> Finding:
    """Return the metrics that augmentation is shown to improve and to worsen."""
    signs = {name: find_sign(metric.difference) for name, metric in metrics.items()}
    better, worse = _select_metrics(signs, 1), _select_metrics(signs, -1)
    if better and worse:
        return Finding("augmentation_mixed", {"better": better, "worse": worse})
    if better:
        return Finding("augmentation_helps", {"better": better})
    return Finding("augmentation_hurts", {"worse": worse}) if worse else Finding("no_difference_shown", {})


def list_differences(comparison: Comparison) -> Iterator[Finding]:
    """Return each difference with its interval, and the number of images that the two runs classify differently."""
    keys = {1: "difference_better", -1: "difference_worse", 0: "difference_not_shown"}
    for name, metric in comparison.metrics.items():
        difference = metric.difference
        values = {"metric": Name(name), "n": comparison.count(name), **_describe_difference(difference)}
        values |= {"baseline": metric.baseline, "augmented": metric.augmented}
        yield Finding("difference_none" if has_no_change(difference) else keys[find_sign(difference)], values)
    mcnemar = comparison.mcnemar
    disagree = mcnemar.corrected + mcnemar.regressed
    values = {**dict(mcnemar), "disagree": disagree, "num_images": comparison.num_images}
    yield Finding("mcnemar" if disagree else "same_decisions", values)


def _describe_difference(difference: PairedDifference) -> dict[str, Any]:
    values = {**_in_points(difference), "detectable": 100 * difference.detectable}
    return {**values, "method": Name(f"over_{difference.method}")}


def describe_flips(comparison: Comparison) -> Iterator[Finding]:
    """Return by how much flip test-time augmentation changes accuracy, without and with augmentation in training."""
    for run in RUNS:
        difference = comparison.flips[run]["accuracy"]
        effect = "alike" if has_no_change(difference) else "change"
        yield Finding(f"flips_{effect}_{run}", {**_in_points(difference), "num_images": comparison.num_images})


def describe_comparison(comparison: Comparison) -> Iterator[Finding]:
    """Describe what the headline compares, and whether both runs were trained equally long."""
    yield Finding("compared_without_flips", {})
    yield Finding("compared_uncorrected", {"num": len(comparison.metrics)})
    steps = comparison.steps
    if steps.baseline_steps == steps.augmented_steps:
        yield Finding("equal_steps", {"steps": steps.baseline_steps})
    else:
        yield Finding("unequal_steps", dict(steps))
    for run in comparison.stopped_early:
        yield Finding(f"stopped_early_{run}", {})


def qualify_answer(comparison: Comparison) -> Iterator[Finding]:
    """Describe what limits the answer: other settings that differ, and a single seed; add the study if there is one."""
    settings, study = comparison.settings, comparison.study
    if settings:
        listed = "; ".join(f"{setting.name}: {setting.first} / {setting.second}" for setting in settings)
        yield Finding("settings_differ", {"settings": listed})
    if any(setting.name == "run.seed" for setting in settings):
        return
    if study is None:
        yield Finding("one_seed", {})
    else:
        yield Finding("one_seed_and_study", {**dict(study), **_in_points(study)})


def find_comparison(comparison: Comparison) -> dict[str, list[Finding]]:
    """Return what the output of `compare_runs` supports, by the key of a heading."""
    return {
        "answer": [summarise_effect(comparison.metrics), *qualify_answer(comparison)],
        "in_numbers": [*list_differences(comparison), *describe_flips(comparison)],
        "how_compared": list(describe_comparison(comparison)),
    }


def summarise_arms(study: Study) -> Iterator[Finding]:
    """Return the metrics that each arm improves or worsens, for other patients and seeds or for these seeds alone."""
    for arm, differences in study.differences.items():
        any_seeds = {name: find_sign(difference.both) for name, difference in differences.items()}
        these_seeds = {name: find_sign(differences[name]) for name, sign in any_seeds.items() if sign == 0}
        seeds = {"num_seeds": len(study.seeds)}
        for signs, suffix, values in ((any_seeds, "", {}), (these_seeds, "_these_seeds", seeds)):
            for key, sign in (("better", 1), ("worse", -1)):
                if names := _select_metrics(signs, sign):
                    yield Finding(f"arm_{key}{suffix}", {"arm": arm, key: names, **values})
        if not any((*any_seeds.values(), *these_seeds.values())):
            yield Finding("arm_not_shown", {"arm": arm})


def list_arm_differences(study: Study) -> Iterator[Finding]:
    """Return each difference with both intervals and its spread over seeds, and McNemar's test of each pair of runs."""
    for arm, differences in study.differences.items():
        for name, difference in differences.items():
            both = difference.both
            values = {
                **_describe_difference(difference),
                "deviation": 100 * difference.deviation,
                "both": {"low": 100 * both.low, "high": 100 * both.high, "detectable": 100 * both.detectable},
                "seed": {"least": 100 * min(difference.by_seed), "most": 100 * max(difference.by_seed)},
                "reference": study.arms[REFERENCE][name].mean,
                "mean": study.arms[arm][name].mean,
            }
            values |= {"arm": arm, "metric": Name(name), "n": study.count(name)}
            for_these_seeds = "arm_difference_these_seeds" if find_sign(difference) else "arm_difference_not_shown"
            keys = {1: "arm_difference_better", -1: "arm_difference_worse", 0: for_these_seeds}
            is_unchanged = has_no_change(difference) and has_no_change(both)
            yield Finding("arm_difference_none" if is_unchanged else keys[find_sign(both)], values)
        pairs = study.mcnemar[arm]
        p = [pair.p for pair in pairs]
        values = {
            "arm": arm,
            "num_pairs": len(pairs),
            "p": {"least": min(p), "most": max(p)},
            "corrected": sum(pair.corrected for pair in pairs),
            "regressed": sum(pair.regressed for pair in pairs),
        }
        yield Finding("arm_mcnemar", values)


def describe_study(study: Study) -> Iterator[Finding]:
    """Describe whether all runs were trained equally long, what the intervals cover, and how many there are."""
    steps = study.steps
    yield Finding("study_equal_steps" if steps.fewest == steps.most else "study_unequal_steps", dict(steps))
    counts = {"num_images": study.num_images, "num_groups": study.num_groups, "num_seeds": len(study.seeds)}
    yield Finding("study_over_patients", counts)
    yield Finding("study_over_both", counts)
    yield Finding("study_many", {"num": sum(len(metrics) for metrics in study.differences.values())})


def draw_paired_differences(comparison: Comparison, labels: Labels) -> Figure:
    """Draw the difference that augmentation in training makes in each metric, with its 95% interval."""
    figure, axes = new_figure(labels, width=PAGE_WIDTH, height=2.8)
    beside = {"transform": axes.get_yaxis_transform(), "va": "center", "fontsize": 9}
    axes.text(1.02, len(comparison.metrics) - 0.5, " → ".join(map(labels.translate, RUNS)), **beside)
    for height, metric in enumerate(reversed(comparison.metrics.values())):
        points = _in_points(metric.difference)
        axes.plot([points["low"], points["high"]], [height, height], color=BLUE, linewidth=2)
        axes.plot(points["value"], height, "D", color=BLUE)
        values = (labels.number(value, ".3f") for value in (metric.baseline, metric.augmented))
        axes.text(1.02, height, " → ".join(values), **beside)
    axes.axvline(0, color=GREY, linestyle=":")
    names = [labels("subset", subset=labels.translate(name), num=comparison.count(name)) for name in comparison.metrics]
    axes.set_yticks(range(len(names)), names[::-1])
    axes.margins(x=0.1, y=0.2)
    label_axes(axes, labels("comparison_title", num=comparison.num_images), (labels("points_with_interval"), ""))
    return figure


def draw_arms(study: Study, labels: Labels) -> Figure:
    """Draw the difference of each arm from the arm `none`, one plot per metric, from `compare_arms`."""
    arms = list(reversed(study.differences))
    figure, axes = new_figure(labels, columns=len(METRICS), width=14, height=1.9 + 0.5 * len(arms))
    for panel, name in zip(axes, METRICS, strict=True):
        for height, arm in enumerate(arms):
            difference = study.differences[arm][name]
            points = _in_points(difference)
            both = [100 * difference.both.low, 100 * difference.both.high]
            panel.plot(both, [height] * 2, color=GREY, linewidth=1.2, label=labels("patients_and_seeds"))
            style = {"linewidth": 4, "solid_capstyle": "butt", "label": labels("patients")}
            panel.plot([points["low"], points["high"]], [height] * 2, color=BLUE, **style)
            panel.plot(points["value"], height, "D", color=BLUE, markersize=7, label=labels("mean_of_seeds"))
            by_seed = [100 * value for value in difference.by_seed]
            panel.plot(
                by_seed, [height - 0.25] * len(by_seed), "o", color=ORANGE, markersize=4, label=labels("one_seed")
            )
        panel.axvline(0, color=GREY, linestyle=":")
        names = [arm.replace("_", ", ") for arm in arms] if name == METRICS[0] else []
        panel.set_yticks(range(len(arms)), names)
        panel.margins(x=0.08)
        panel.set_ylim(-0.6, len(arms) - 0.4)
        title = labels("subset", subset=labels.translate(name), num=study.count(name))
        label_axes(panel, title, (labels("points"), ""))
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles[:4], names[:4], loc="outside upper center", ncols=4, frameon=False, fontsize=9)
    return figure
