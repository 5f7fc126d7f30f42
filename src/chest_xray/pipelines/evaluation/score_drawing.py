"""Figures of one run on what its scores mean: reliability before and after calibration, and scores by kind of image."""

from typing import Any

from chest_xray.core.types import Array, DataFrame, Figure
from chest_xray.metrics.binary import proportion
from chest_xray.metrics.calibration_error import NUM_BINS, expected_calibration_error
from chest_xray.pipelines.evaluation.drawing import LOGIT_AXIS, mark_thresholds

NUM_SCORE_BINS = 40
KINDS = {"none": "healthy", "bacterial": "bacterial pneumonia", "viral": "viral pneumonia", "unknown": "pneumonia"}


def draw_reliability(test_predictions: DataFrame, metrics: dict[str, Any], data_source: str) -> Figure:
    """Hold what was promised against what came true on test, before and after calibration.

    Args:
        test_predictions: `label`, `probability` and `calibrated` of each test image.
        metrics: From `compute_metrics`.
        data_source: Printed below the plots.

    Returns:
        For each of both a plot with the share of diseased in each of the 15 bins that the calibration error (ECE) is
        made of, with Wilson's 95% interval, and below it how many images each bin holds.
    """
    from chest_xray.reporting.style import BLUE, ORANGE, PAGE_WIDTH, head_figure, new_figure

    layout = {"sharex": True, "sharey": "row", "height_ratios": [3, 1]}
    figure, axes = new_figure(data_source, columns=2, rows=2, width=PAGE_WIDTH, height=5.8, **layout)
    label = test_predictions["label"].to_numpy()
    scales = {"probability": ("as the network says it", ORANGE), "calibrated": ("calibrated", BLUE)}
    for places, (name, (title, colour)) in zip(axes.T, scales.items(), strict=True):
        probability = test_predictions[name].to_numpy()
        error = expected_calibration_error(label, probability)
        _draw_bins(places, tabulate_bins(label, probability), colour, f"{title}: ECE {error:.3f} in {NUM_BINS} bins")
        places[0].set_title(title, fontsize=10)
    axes[0, 0].set_ylabel("share of diseased among them", fontsize=9.5)
    axes[1, 0].set_ylabel("images", fontsize=9.5)
    shares = (
        f"{metrics['test']['prevalence']:.1%} diseased, calibrated for "
        f"{metrics['operating_point']['expected_prevalence']:.0%}"
    )
    head_figure(figure, f"Reliability on test, {metrics['run']}: n = {len(test_predictions)}, {shares}")
    return figure


def _draw_bins(places: Array, bins: DataFrame, colour: str, label: str) -> None:
    from chest_xray.reporting.style import GREY

    above, below = places
    above.vlines(bins["promised"], bins["low"], bins["high"], color=colour, alpha=0.6)
    above.plot(bins["promised"], bins["value"], "o", color=colour, label=label)
    above.plot([0, 1], [0, 1], ":", color=GREY, label="promised = come true")
    below.bar(bins["middle"], bins["images"], width=1 / NUM_BINS, color=colour, alpha=0.6, edgecolor="white")
    below.set_xlabel("probability of pneumonia promised", fontsize=9.5)
    above.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))


def tabulate_bins(label: Array, probability: Array) -> DataFrame:
    """Give the bins of the expected calibration error.

    Args:
        label: 0 or 1, shape (images,).
        probability: Of 1, in [0, 1], shape (images,).

    Returns:
        One row a bin that is not empty: its `middle`, how many `images` it holds, the mean probability `promised` to
        them, and the share of 1 among them, `value`, `low` and `high` (Wilson's 95% interval).
    """
    import numpy as np
    import pandas as pd

    table = pd.DataFrame({"label": label, "promised": probability})
    bins = np.minimum((probability * NUM_BINS).astype(int), NUM_BINS - 1)
    found = table.groupby(bins).agg(images=("label", "size"), ones=("label", "sum"), promised=("promised", "mean"))
    shares = [proportion(int(ones), int(images)) for ones, images in zip(found["ones"], found["images"], strict=True)]
    middle = (found.index + 0.5) / NUM_BINS
    return found.reset_index(drop=True).assign(middle=middle).join(pd.DataFrame(shares))


def draw_scores(
    validation_predictions: DataFrame, test_predictions: DataFrame, metrics: dict[str, Any], data_source: str
) -> Figure:
    """Show where the scores of healthy, bacterial and viral images lie, and which of them pass each threshold.

    Args:
        validation_predictions: `label`, `logit`, `probability` and `aetiology` of each validation image.
        test_predictions: The same of test.
        metrics: From `compute_metrics`.
        data_source: Printed below the plots.

    Returns:
        One row of plots a kind of image, validation beside test.
    """
    import numpy as np

    from chest_xray.reporting.style import BLUE, GREEN, ORANGE, PAGE_WIDTH, PURPLE, head_figure, new_figure

    tables = {"validation": validation_predictions, "test": test_predictions}
    kinds = [each for each in KINDS if any((table["aetiology"] == each).any() for table in tables.values())]
    layout = {"sharex": True, "sharey": "row", "squeeze": False}
    figure, axes = new_figure(data_source, columns=2, rows=len(kinds), width=PAGE_WIDTH, height=5.8, **layout)
    logits = np.concatenate([table["logit"] for table in tables.values()]).astype(float)
    edges = np.linspace(logits.min() - 0.5, logits.max() + 0.5, NUM_SCORE_BINS + 1)
    colours = dict(zip(KINDS, (BLUE, ORANGE, PURPLE, GREEN), strict=True))
    for column, (subset, table) in enumerate(tables.items()):
        for place, kind in zip(axes[:, column], kinds, strict=True):
            chosen = table[table["aetiology"] == kind]
            shares = np.histogram(chosen["logit"], edges)[0] / max(len(chosen), 1)
            place.stairs(shares, edges, fill=True, color=colours[kind], alpha=0.75)
            mark_thresholds(place, metrics)
            place.set_title(_describe(chosen, subset, kind, metrics), fontsize=9.5)
        place.set_xlabel(LOGIT_AXIS, fontsize=9.5)
    figure.supylabel("share of the images of that kind", fontsize=9.5)
    head_figure(figure, f"Scores by kind of image, {metrics['run']}; shares are at the chosen threshold")
    return figure


def _describe(images: DataFrame, subset: str, kind: str, metrics: dict[str, Any]) -> str:
    if not len(images):
        return f"{subset}, {KINDS[kind]}: n = 0"
    called = float((images["probability"] >= metrics[subset]["at_chosen"]["threshold"]).mean())
    told = f"{1 - called:.1%} cleared" if kind == "none" else f"{called:.1%} found"
    return f"{subset}, {KINDS[kind]}: n = {len(images)}, {told}"
