"""Figures of one run on how it ranks and decides: ROC and precision-recall curves, and confusion matrices."""

from typing import Any

from chest_xray.core.types import DataFrame, Figure
from chest_xray.images.kermany import CLASSES

MARKERS = {"at_half": "o", "at_chosen": "D", "at_other": "s"}
MEANING = {"at_half": "", "at_chosen": " (chosen)", "at_other": " (other point)"}
LINES = {"at_half": ":", "at_chosen": "-", "at_other": "--"}
LOGIT_AXIS = "score: log odds of pneumonia (0 is 0.5, 7 is 0.999)"
FURTHEST = 36.7  # Past this logit the nearest number to a probability is 1.


def draw_roc_curve(curves: DataFrame, metrics: dict[str, Any], data_source: str) -> Figure:
    """Draw the ROC curves of validation and test with their bands, and the points where the thresholds lie.

    Args:
        curves: From `chest_xray.pipelines.evaluation.curves.trace_curves`.
        metrics: From `compute_metrics`.
        data_source: Printed below the plot.
    """
    from chest_xray.reporting.style import BLUE, GREY, ORANGE, add_legend, label_axes, new_figure

    figure, axes = new_figure(data_source, width=6.4, height=6.2)
    for name, colour in (("validation", BLUE), ("test", ORANGE)):
        part, auc = metrics[name], metrics[name]["auc"]
        label = f"{name}: n = {part['num_images']}, AUC {auc['value']:.3f} ({auc['low']:.3f} to {auc['high']:.3f})"
        plot_band(axes, curves.query("curve == 'roc' and subset == @name"), color=colour, label=label)
        for at, marker in MARKERS.items():
            x, y = 1 - part[at]["specificity"]["value"], part[at]["sensitivity"]["value"]
            axes.plot(x, y, marker, color=colour, markeredgecolor="white", markersize=8, zorder=3)
    axes.plot([0, 1], [0, 1], ":", color=GREY, label="chance")
    _explain_markers(axes, metrics)
    label_axes(axes, f"ROC curve, {metrics['run']}", ("1 - specificity", "sensitivity"))
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    add_legend(axes, loc="lower right")
    return figure


def draw_precision_recall(curves: DataFrame, metrics: dict[str, Any], data_source: str) -> Figure:
    """Draw precision against recall on validation and test with their bands, beside the shares of diseased.

    Args:
        curves: From `chest_xray.pipelines.evaluation.curves.trace_curves`.
        metrics: From `compute_metrics`.
        data_source: Printed below the plot.
    """
    from chest_xray.reporting.style import BLUE, ORANGE, add_legend, label_axes, new_figure

    figure, axes = new_figure(data_source, width=6.4, height=6.2)
    for name, colour, dashes in (("validation", BLUE, "--"), ("test", ORANGE, ":")):
        part, curve = metrics[name], curves.query("curve == 'precision_recall' and subset == @name")
        area = (curve["x"].diff() * curve["value"]).sum()
        label = f"{name}: n = {part['num_images']}, average precision {area:.3f}"
        plot_band(axes, curve, color=colour, label=label, drawstyle="steps-pre")
        base = f"{name}: share of diseased {part['prevalence']:.3f}, the precision of chance"
        axes.axhline(part["prevalence"], color=colour, linestyle=dashes, label=base)
        for at, marker in MARKERS.items():
            point = (part[at]["sensitivity"]["value"], part[at]["precision"]["value"])
            if None not in point:
                axes.plot(*point, marker, color=colour, markeredgecolor="white", markersize=8, zorder=3)
    _explain_markers(axes, metrics)
    label_axes(axes, f"Precision and recall, {metrics['run']}", ("recall (sensitivity)", "precision (PPV)"))
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    add_legend(axes, loc="lower left")
    return figure


def plot_band(axes: Any, curve: DataFrame, **style: Any) -> None:
    """Draw one curve and its 95% band, in the same colour.

    Args:
        axes: Where to.
        curve: `x`, `value`, `low` and `high`.
        **style: Of the line, as `plot` of matplotlib takes it, with its `color`.
    """
    axes.fill_between(curve["x"], curve["low"], curve["high"], color=style["color"], alpha=0.18, linewidth=0)
    axes.plot(curve["x"], curve["value"], **style)


def as_logit(probability: float) -> float:
    """Give the log odds of a probability, held where float64 can still tell it from 0 and 1."""
    import numpy as np
    from scipy.special import logit

    return float(np.clip(logit(probability), -FURTHEST, FURTHEST))


def mark_thresholds(axes: Any, metrics: dict[str, Any]) -> None:
    """Draw a line at each threshold across a plot whose horizontal axis is the logit."""
    from chest_xray.reporting.style import name_probability

    for at, line in LINES.items():
        threshold = metrics["test"][at]["threshold"]
        label = f"threshold {name_probability(threshold)}{MEANING[at]}"
        axes.axvline(as_logit(threshold), color="black", linestyle=line, linewidth=1.2, label=label)


def _explain_markers(axes: Any, metrics: dict[str, Any]) -> None:
    from chest_xray.reporting.style import GREY, name_probability

    for at, marker in MARKERS.items():
        threshold = name_probability(metrics["test"][at]["threshold"])
        axes.plot([], [], marker, color=GREY, label=f"threshold {threshold}{MEANING[at]}")
    axes.fill_between([], [], color=GREY, alpha=0.18, label="95% band over patients, at each place alone")


def draw_confusion_matrices(metrics: dict[str, Any], data_source: str) -> Figure:
    """Draw the test images by true class and decision, at 0.5 and at both operating points, with shares of each class.

    Args:
        metrics: From `compute_metrics`.
        data_source: Printed below the plots.
    """
    from chest_xray.reporting.style import PAGE_WIDTH, name_probability, new_figure

    figure, axes = new_figure(data_source, columns=len(MARKERS), width=PAGE_WIDTH, height=3.9, sharey=True)
    figure.suptitle(f"Test, {metrics['run']}", fontsize=11)
    for place, at in zip(axes, MARKERS, strict=True):
        point = metrics["test"][at]
        num = _fill_matrix(place, point)
        title = f"threshold {name_probability(point['threshold'])}{MEANING[at]}\n"
        place.set_title(f"{title}n = {num}, accuracy {point['accuracy']['value']:.3f}", fontsize=9.5)
        place.set_xlabel("decision", fontsize=9.5)
    axes[0].set_ylabel("true class", fontsize=9.5)
    return figure


def _fill_matrix(axes: Any, point: dict[str, Any]) -> int:
    """Write the four counts, right decisions on blue and wrong ones on orange, the fuller the larger the share."""
    import numpy as np

    counts = np.array([[point["tn"], point["fp"]], [point["fn"], point["tp"]]])
    shares = counts / counts.sum(axis=1, keepdims=True)
    right = np.eye(2, dtype=bool)
    for cells, colours in ((right, "Blues"), (~right, "Oranges")):
        axes.imshow(
            np.ma.array(shares, mask=~cells), cmap=colours, vmin=0, vmax=1.6
        )  # No colour too dark for black letters.
    for (row, column), count in np.ndenumerate(counts):
        axes.text(column, row, f"{count}\n{shares[row, column]:.1%}", ha="center", va="center", fontsize=11)
    axes.set(xticks=[0, 1], yticks=[0, 1], xticklabels=CLASSES)
    axes.set_yticklabels(CLASSES, rotation=90, va="center")
    axes.spines[:].set_visible(False)
    axes.grid(visible=False)
    axes.tick_params(length=0)
    return int(counts.sum())
