"""How much of a network's accuracy is left on test images that were taken again, weakly to strongly altered."""

from typing import Any

from chest_xray.metrics.bootstrap import interval, resample_weights, weighted_auc
from chest_xray.metrics.summary import metrics_at
from chest_xray.models.inference import score_images
from chest_xray.pipelines.evaluation.nodes import Evaluation
from chest_xray.types import Array, DataFrame, Figure, Model

UNALTERED = "none"
NUM_COLUMNS = 4  # panels beside each other
AXIS = {  # What the strength of each kind is; see `chest_xray.acquisition.reacquire`.
    "blur": "standard deviation, px of 256",
    "noise": "standard deviation, of 0 to 1",
    "contrast": "share lost",
    "gamma": "logarithm of the exponent",
    "jpeg": "quality",
    "tilt": "degrees",
    "crop": "share of either side cut off",
    "collimation": "share of one side cut off",
}


def predict_altered_test(model: Model, altered_test_images: Array, altered_test: DataFrame) -> DataFrame:
    """Score the test images as they were taken again; see `chest_xray.models.inference.score_images`."""
    return score_images(model, altered_test_images, altered_test, "altered_test")


def measure_robustness(
    altered_predictions: DataFrame, operating_point: dict[str, Any], evaluation: Evaluation
) -> DataFrame:
    """Measure each condition at the chosen threshold, and over all thresholds.

    Args:
        altered_predictions: `label`, `logit`, `probability`, `group`, `kind` and `strength`, a row an image and
            condition.
        operating_point: The run's title and `threshold`, chosen on validation under shift.
        evaluation: Seed of the bootstrap, whose draws of patients are the same for all conditions.

    Returns:
        One row a kind and strength, in their order, kind "none" among them: `run` (its title), `kind`, `strength`, `n`
        (images), `threshold`, and of `accuracy`, `sensitivity`, `specificity` (Wilson) and `auc` (bootstrap over
        patients) the value, and with `_low` and `_high` the 95% interval, all in [0, 1].
    """
    import pandas as pd

    conditions = altered_predictions.groupby(["kind", "strength"], sort=False)
    weights = resample_weights(next(iter(conditions))[1]["group"].to_numpy(), evaluation.seed)
    rows = [
        {"run": operating_point["run"], "kind": kind, "strength": strength, **measure(part, operating_point, weights)}
        for (kind, strength), part in conditions
    ]
    return pd.DataFrame(rows).round(4)


def measure(predictions: DataFrame, operating_point: dict[str, Any], weights: Array) -> dict[str, Any]:
    """Lay out what is measured of the same images in one condition.

    Args:
        predictions: `label`, `logit` and `probability` of each image.
        operating_point: Its `threshold`.
        weights: How often each image counts in each resample, from `chest_xray.metrics.bootstrap.resample_weights`.

    Returns:
        `n`, `threshold`, and each metric with its interval in three columns; see `measure_robustness`.
    """
    import numpy as np

    label, logit = predictions["label"].to_numpy(), predictions["logit"].to_numpy(float)
    whole = weighted_auc(label, logit, np.ones((1, len(label))))[0]
    found = metrics_at(predictions, operating_point["threshold"])
    figures = {name: found[name] for name in ("accuracy", "sensitivity", "specificity")}
    figures["auc"] = interval(whole, weighted_auc(label, logit, weights))
    names = {"value": "", "low": "_low", "high": "_high"}
    columns = {f"{name}{end}": figure[key] for name, figure in figures.items() for key, end in names.items()}
    return {"n": len(predictions), "threshold": found["threshold"], **columns}


def draw_robustness(robustness_table: DataFrame, data_source: str) -> Figure:
    """Show accuracy and AUC against the strength of each kind, and as lines what they are unaltered.

    Args:
        robustness_table: From `measure_robustness`.
        data_source: Printed below the plots.

    Returns:
        A panel a kind, alteration growing to the right, bars for the 95% intervals.
    """
    from chest_xray.figures import label_axes, new_figure

    is_unaltered = robustness_table["kind"] == UNALTERED
    altered, unaltered = robustness_table[~is_unaltered], robustness_table[is_unaltered].iloc[0]
    num_rows = -(-max(altered["kind"].nunique(), 1) // NUM_COLUMNS)
    figure, axes = new_figure(data_source, columns=NUM_COLUMNS, rows=num_rows, width=8.2, height=1 + 2.2 * num_rows)
    floor = min(0.5, robustness_table[["accuracy_low", "auc_low"]].min().min()) - 0.02
    for place in axes.flat:
        place.set_visible(False)
    for place, (kind, rows) in zip(axes.flat, altered.groupby("kind", sort=False), strict=False):
        place.set_visible(True)
        _draw_kind(place, rows, unaltered)
        label_axes(place, str(kind), (AXIS[str(kind)], ""))
        place.set_ylim(floor, 1.02)
        place.tick_params(labelsize=8, labelleft=place.get_subplotspec().is_first_col())
        place.xaxis.label.set_size(8)
    title = f"Test images taken again, {unaltered['run']}: n = {unaltered['n']} each, 95% intervals"
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, title=title, loc="outside upper center", ncols=4, frameon=False, fontsize=9)
    return figure


def _draw_kind(place: Any, rows: DataFrame, unaltered: Any) -> None:
    from chest_xray.figures import BLUE, ORANGE

    steps = range(len(rows))
    accuracy = f"accuracy at {unaltered['threshold']:.3f}"
    for name, label, colour, marker in (("accuracy", accuracy, BLUE, "o"), ("auc", "AUC", ORANGE, "s")):
        ends = [rows[name] - rows[f"{name}_low"], rows[f"{name}_high"] - rows[name]]
        place.axhline(unaltered[name], color=colour, linestyle=":", linewidth=1, label=f"{label.split()[0]}, unaltered")
        place.errorbar(steps, rows[name], ends, marker=marker, markersize=4, color=colour, elinewidth=1, label=label)
    place.set_xticks(list(steps), [f"{strength:g}" for strength in rows["strength"]])
    place.margins(x=0.15)
