"""Figures of one run: ROC curves and confusion matrices."""

from typing import Any

from chest_xray.pipelines.evaluation.metrics import roc_points
from chest_xray.radiographs import CLASSES
from chest_xray.types import DataFrame, Figure

MARKERS = {"at_half": "o", "at_chosen": "D", "at_other": "s"}
MEANING = {"at_half": "", "at_chosen": " (chosen)", "at_other": " (other point)"}


def draw_roc_curve(
    validation_predictions: DataFrame, test_predictions: DataFrame, metrics: dict[str, Any], data_source: str
) -> Figure:
    """Draw the ROC curves of validation and test, with the points where the thresholds lie.

    Args:
        validation_predictions: `label` and `probability` of each validation image.
        test_predictions: The same of test.
        metrics: From `compute_metrics`.
        data_source: Printed below the plot.
    """
    from chest_xray.figures import BLUE, GREY, ORANGE, label_axes, new_figure

    figure, axes = new_figure(data_source, width=6, height=6)
    for name, table, colour in (("validation", validation_predictions, BLUE), ("test", test_predictions, ORANGE)):
        part, auc = metrics[name], metrics[name]["auc"]
        label = f"{name}: n = {len(table)}, AUC {auc['value']:.3f} ({auc['low']:.3f} to {auc['high']:.3f})"
        axes.plot(*roc_points(table), color=colour, label=label)
        for at, marker in MARKERS.items():
            point = part[at]
            axes.plot(1 - point["specificity"]["value"], point["sensitivity"]["value"], marker, color=colour)
    for at, marker in MARKERS.items():
        axes.plot([], [], marker, color=GREY, label=f"threshold {metrics['test'][at]['threshold']:.3f}{MEANING[at]}")
    axes.plot([0, 1], [0, 1], ":", color=GREY, label="chance")
    label_axes(axes, f"ROC curve, {metrics['run']}", ("1 - specificity", "sensitivity"))
    axes.set_aspect("equal")
    axes.legend(frameon=False, loc="lower right", fontsize=9)
    return figure


def draw_confusion_matrices(metrics: dict[str, Any], data_source: str) -> Figure:
    """Draw the test images by true class and decision, at 0.5 and at both operating points, with shares of each class.

    Args:
        metrics: From `compute_metrics`.
        data_source: Printed below the plots.
    """
    import numpy as np

    from chest_xray.figures import new_figure

    figure, axes = new_figure(data_source, columns=len(MARKERS), width=12, height=4.6)
    figure.suptitle(f"Test, {metrics['run']}", fontsize=11)
    for place, at in zip(axes, MARKERS, strict=True):
        point = metrics["test"][at]
        counts = np.array([[point["tn"], point["fp"]], [point["fn"], point["tp"]]])
        shares = counts / counts.sum(axis=1, keepdims=True)
        place.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for (row, column), count in np.ndenumerate(counts):
            colour = "white" if shares[row, column] > 0.5 else "black"
            place.text(column, row, f"{count}\n{shares[row, column]:.1%}", ha="center", va="center", color=colour)
        place.set(xticks=[0, 1], yticks=[0, 1], xticklabels=CLASSES, yticklabels=CLASSES)
        place.set(xlabel="decision", ylabel="true class")
        title = f"threshold {point['threshold']:.3f}{MEANING[at]}\n"
        place.set_title(f"{title}n = {counts.sum()}, accuracy {point['accuracy']['value']:.3f}", fontsize=10)
    return figure
