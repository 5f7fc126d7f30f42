"""Figures of comparisons: of two runs, and of the arms of the study; `labels` are those of a language."""

from typing import Any

from chest_xray.core.types import Figure
from chest_xray.metrics.comparison import METRICS, RUNS, ArmDifference, Comparison, Study
from chest_xray.reporting.style import BLUE, GREY, ORANGE, PAGE_WIDTH, Labels, label_axes, new_figure


def draw_paired_differences(comparison: Comparison, labels: Labels) -> Figure:
    """Draw the difference that augmentation in training makes in each metric, with its 95% interval."""
    figure, axes = new_figure(labels, width=PAGE_WIDTH, height=2.8)
    beside = {"transform": axes.get_yaxis_transform(), "va": "center", "fontsize": 9}
    axes.text(1.02, len(comparison.metrics) - 0.5, " → ".join(map(labels.translate, RUNS)), **beside)
    for height, each in enumerate(reversed(comparison.metrics.values())):
        change = each.difference
        axes.plot([100 * change.low, 100 * change.high], [height, height], color=BLUE, linewidth=2)
        axes.plot(100 * change.value, height, "D", color=BLUE)
        values = (labels.number(value, ".3f") for value in (each.baseline, each.augmented))
        axes.text(1.02, height, " → ".join(values), **beside)
    axes.axvline(0, color=GREY, linestyle=":")
    names = [
        labels("subset", subset=labels.translate(name), num=comparison.count(name))
        for name in reversed(comparison.metrics)
    ]
    axes.set_yticks(range(len(names)), names)
    axes.margins(x=0.1, y=0.2)
    label_axes(axes, labels("comparison_title", num=comparison.num_images), (labels("points_with_interval"), ""))
    return figure


def draw_arms(study: Study, labels: Labels) -> Figure:
    """Draw the difference of each arm from the arm `none`, one plot per metric, from `compare_arms`."""
    arms = list(reversed(study.differences))
    figure, axes = new_figure(labels, columns=len(METRICS), width=14, height=1.9 + 0.5 * len(arms))
    for panel, name in zip(axes, METRICS, strict=True):
        for height, arm in enumerate(arms):
            _draw_difference(panel, height, study.differences[arm][name], labels)
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


def _draw_difference(panel: Any, height: int, change: ArmDifference, labels: Labels) -> None:
    both = [100 * change.both.low, 100 * change.both.high]
    panel.plot(both, [height] * 2, color=GREY, linewidth=1.2, label=labels("patients_and_seeds"))
    patients = [100 * change.low, 100 * change.high]
    panel.plot(patients, [height] * 2, color=BLUE, linewidth=4, solid_capstyle="butt", label=labels("patients"))
    panel.plot(100 * change.value, height, "D", color=BLUE, markersize=7, label=labels("mean_of_seeds"))
    by_seed = [100 * each for each in change.by_seed]
    panel.plot(by_seed, [height - 0.25] * len(by_seed), "o", color=ORANGE, markersize=4, label=labels("one_seed"))
