"""Figures of comparisons: of two runs, and of the arms of the study; `data_source` is printed below them."""

from typing import Any

from chest_xray.core.types import Figure
from chest_xray.metrics.comparison import METRICS, RUNS
from chest_xray.reporting.style import BLUE, GREY, ORANGE, PAGE_WIDTH, label_axes, new_figure


def draw_paired_differences(comparison: dict[str, Any], data_source: str) -> Figure:
    """Draw the difference that augmentation in training makes in each metric, with its 95% interval."""
    figure, axes = new_figure(data_source, width=PAGE_WIDTH, height=3.6)
    beside = {"transform": axes.get_yaxis_transform(), "va": "center", "fontsize": 9}
    axes.text(1.02, len(comparison["metrics"]) - 0.5, " → ".join(RUNS), **beside)
    for height, each in enumerate(reversed(comparison["metrics"].values())):
        change = {key: 100 * each["difference"][key] for key in ("value", "low", "high")}
        axes.plot([change["low"], change["high"]], [height, height], color=BLUE, linewidth=2)
        axes.plot(change["value"], height, "D", color=BLUE)
        axes.text(1.02, height, f"{each['baseline']:.3f} → {each['augmented']:.3f}", **beside)
    axes.axvline(0, color=GREY, linestyle=":")
    num = {"sensitivity": comparison["num_pneumonia"], "specificity": comparison["num_normal"]}
    names = [f"{name}: n = {num.get(name, comparison['num_images'])}" for name in reversed(comparison["metrics"])]
    axes.set_yticks(range(len(names)), [name.replace("auc", "AUC") for name in names])
    axes.margins(x=0.1, y=0.2)
    title = f"Augmented minus baseline on {comparison['num_images']} test images"
    label_axes(axes, title, ("points (hundredths), with 95% interval", ""))
    return figure


def draw_arms(study: dict[str, Any], data_source: str) -> Figure:
    """Draw the difference of each arm from the arm `none`, one plot per metric, from `compare_arms`."""
    arms = list(reversed(study["differences"]))
    figure, axes = new_figure(data_source, columns=len(METRICS), width=14, height=1.9 + 0.5 * len(arms))
    counted = {"sensitivity": study["num_pneumonia"], "specificity": study["num_normal"]}
    for place, name in zip(axes, METRICS, strict=True):
        for height, arm in enumerate(arms):
            _draw_difference(place, height, study["differences"][arm][name])
        place.axvline(0, color=GREY, linestyle=":")
        labels = [arm.replace("_", ", ") for arm in arms] if name == METRICS[0] else []
        place.set_yticks(range(len(arms)), labels)
        place.margins(x=0.08)
        place.set_ylim(-0.6, len(arms) - 0.4)
        title = f"{name.upper() if name == 'auc' else name} (n = {counted.get(name, study['num_images'])})"
        label_axes(place, title, ("points (hundredths)", ""))
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles[:4], labels[:4], loc="outside upper center", ncols=4, frameon=False, fontsize=9)
    return figure


def _draw_difference(place: Any, height: int, change: dict[str, Any]) -> None:
    low, high = (100 * change["both"][bound] for bound in ("low", "high"))
    place.plot([low, high], [height] * 2, color=GREY, linewidth=1.2, label="95%, patients and seeds")
    low, high = (100 * change[bound] for bound in ("low", "high"))
    place.plot([low, high], [height] * 2, color=BLUE, linewidth=4, solid_capstyle="butt", label="95%, patients")
    place.plot(100 * change["value"], height, "D", color=BLUE, markersize=7, label="mean of the seeds, minus none")
    by_seed = [100 * each for each in change["by_seed"]]
    place.plot(by_seed, [height - 0.25] * len(by_seed), "o", color=ORANGE, markersize=4, label="a seed, minus none's")
