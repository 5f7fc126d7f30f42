"""Figures of a training run and its evaluation.

In all of them, `curves` is from `compute_curves` and `metrics` from `compute_metrics`; predictions have a row per image
with `label`, `probability`, `log_odds`, `calibrated` and `aetiology`; `labels` are those of a language.
"""

from collections.abc import Iterable
from typing import Any

from chest_xray.core.libraries import np, pd
from chest_xray.core.types import Array, DataFrame, Figure
from chest_xray.images.kermany import CLASSES
from chest_xray.metrics.binary import proportion
from chest_xray.metrics.calibration_error import NUM_BINS, calibration_errors
from chest_xray.metrics.operating_point import format_probability
from chest_xray.metrics.results import AT_HALF, Metrics
from chest_xray.metrics.summary import adjust_to_prevalence
from chest_xray.reporting.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PAGE_WIDTH,
    PURPLE,
    Labels,
    add_heading,
    add_legend,
    label_axes,
    localise_ticks,
    new_figure,
)

MARKERS = {"at_half": "o", "balanced": "D", "sensitivity": "s", "specificity": "^"}
LINES = {"at_half": ":", "balanced": "-", "sensitivity": "--", "specificity": "-."}
NUM_SCORE_BINS = 40
AETIOLOGIES = ("none", "bacterial", "viral", "unknown")
HOVER_COLUMNS = ["threshold", "sensitivity", "specificity", "tp", "fn", "tn", "fp"]
# Placeholders that Plotly replaces by these columns.
HOVER = {name: f"%{{customdata[{i}]{':.3f' if 0 < i < 3 else ''}}}" for i, name in enumerate(HOVER_COLUMNS)}
MID_GREY, FAINT_GREY = "#8C8C8C", "rgba(128, 128, 128, 0.25)"  # visible on white and on Kedro-Viz's dark background
SYMBOLS = {"at_half": "circle", "balanced": "diamond", "sensitivity": "square", "specificity": "triangle-up"}
DASHES = {"at_half": "dot", "balanced": "solid", "sensitivity": "dash", "specificity": "dashdot"}
CORNERS = (0.1, 0.2, 0.3, 0.5)  # sides of the enlarged part of a ROC plot
UNIT = (-0.02, 1.02)  # limits of an axis for values in [0, 1]


def draw_roc_curve(curves: DataFrame, metrics: Metrics, labels: Labels) -> Figure:
    """Draw the ROC curves of validation and test with 95% bands, and the upper left corner enlarged.

    Markers show the threshold that decides, and an uncalibrated output of 0.5.
    """
    figure, axes = new_figure(labels, width=4.4, height=5)
    marked = (AT_HALF, metrics.test.rule)
    corner = axes.inset_axes((0.36, 0.1, 0.62, 0.62))
    for name, colour in (("validation", BLUE), ("test", ORANGE)):
        subset, auc = metrics.subsets[name], metrics.subsets[name].auc
        key = "curve_of_subset_without_interval" if auc.is_point else "curve_of_subset"
        label = labels(key, subset=labels.translate(name), auc=auc, num_images=subset.num_images)
        for panel in (axes, corner):
            plot_band(panel, curves.query("curve == 'roc' and subset == @name"), color=colour, label=label)
            for point in marked:
                decisions = subset.by_name[point]
                x, y = 1 - decisions.specificity.finite_value, decisions.sensitivity.finite_value
                _mark_point(panel, point, colour, x, y)
    axes.plot([0, 1], [0, 1], ":", color=GREY)
    _explain_markers(axes, metrics, labels, marked)
    label_axes(axes, labels("roc_title", run=metrics.run), (labels("false_positive_rate"), labels("sensitivity")))
    axes.set(xlim=UNIT, ylim=UNIT, aspect="equal")
    chosen = metrics.test.at_chosen  # within the enlarged corner
    farthest = 1 - min(chosen.sensitivity.finite_value, chosen.specificity.finite_value)
    side = next((side for side in CORNERS if farthest < 0.95 * side), 1.0)
    corner.set(xlim=(-side / 50, side), ylim=(1 - side, 1 + side / 50))
    corner.tick_params(labelsize=8)
    if labels.mark != ".":
        localise_ticks(corner, labels)
    corner.set_title(labels("enlarged"), fontsize=8)
    axes.indicate_inset_zoom(corner, edgecolor=GREY)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", fontsize=8, frameon=False)
    return figure


def draw_precision_recall(curves: DataFrame, metrics: Metrics, labels: Labels) -> Figure:
    """Draw the precision-recall curves of validation and test with 95% bands, thresholds and prevalence."""
    figure, axes = new_figure(labels, width=6.4, height=6.2)
    for name, colour, dashes in (("validation", BLUE, "--"), ("test", ORANGE, ":")):
        subset, curve = metrics.subsets[name], curves.query("curve == 'precision_recall' and subset == @name")
        area = float((curve["x"].diff() * curve["value"]).sum())
        title = labels.translate(name)
        label = labels("precision_of_subset", subset=title, num=subset.num_images, area=area)
        plot_band(axes, curve, color=colour, label=label, drawstyle="steps-pre")
        chance = labels("precision_by_chance", subset=title, prevalence=subset.prevalence)
        axes.axhline(subset.prevalence, color=colour, linestyle=dashes, label=chance)
        for point, decisions in subset.by_name.items():
            if decisions.precision.value is not None:
                _mark_point(axes, point, colour, decisions.sensitivity.finite_value, decisions.precision.value)
    _explain_markers(axes, metrics, labels, tuple(metrics.test.by_name))
    label_axes(axes, labels("precision_title", run=metrics.run), (labels("recall"), labels("precision")))
    axes.set(xlim=UNIT, ylim=UNIT)
    add_legend(axes, loc="lower left")
    return figure


def plot_band(axes: Any, curve: DataFrame, **style: Any) -> None:
    """Draw `value` of a curve against `x`, and its band from `low` to `high`; `style` is that of the line."""
    axes.fill_between(curve["x"], curve["low"], curve["high"], color=style["color"], alpha=0.18, linewidth=0)
    axes.plot(curve["x"], curve["value"], **style)


def _mark_point(axes: Any, point: str, colour: str, x: float, y: float) -> None:
    axes.plot(x, y, MARKERS[point], color=colour, markeredgecolor="white", markersize=8, zorder=3)


def _explain_markers(axes: Any, metrics: Metrics, labels: Labels, points: Iterable[str]) -> None:
    for point in points:
        axes.plot([], [], MARKERS[point], color=GREY, label=_name_threshold(metrics, point, labels))
    axes.fill_between([], [], color=GREY, alpha=0.18, label=labels("band"))


def _name_threshold(metrics: Metrics, point: str, labels: Labels) -> str:
    key = "threshold_decides" if point == metrics.test.rule else "threshold"
    threshold = _format_probability(metrics.test.by_name[point].threshold, labels)
    return labels(key, threshold=threshold, point=labels.translate(point))


def _format_probability(probability: float, labels: Labels) -> str:
    return format_probability(probability).replace(".", labels.mark)


def mark_thresholds(axes: Any, metrics: Metrics, labels: Labels) -> None:
    """Draw a vertical line at each threshold, on an axis of log odds."""
    for point, decisions in metrics.test.by_name.items():
        label = _name_threshold(metrics, point, labels)
        axes.axvline(decisions.log_odds, color="black", linestyle=LINES[point], linewidth=1.2, label=label)


def draw_confusion_matrices(metrics: Metrics, labels: Labels) -> Figure:
    """Draw the confusion matrices of test at each threshold, with shares of each class."""
    points = metrics.test.by_name
    figure, axes = new_figure(labels, columns=len(points), width=PAGE_WIDTH, height=3.4, sharey=True)
    figure.suptitle(labels("confusion_title", run=metrics.run), fontsize=11)
    correct = np.eye(2, dtype=bool)
    for panel, (point, decisions) in zip(axes, points.items(), strict=True):
        counts = np.array([[decisions.tn, decisions.fp], [decisions.fn, decisions.tp]])
        shares = counts / counts.sum(axis=1, keepdims=True)
        for cells, colours in ((correct, "Blues"), (~correct, "Oranges")):
            masked = np.ma.array(shares, mask=~cells)
            panel.imshow(masked, cmap=colours, vmin=0, vmax=1.6)  # light enough for black text
        for (row, column), count in np.ndenumerate(counts):
            text = f"{count}\n{labels.number(shares[row, column], '.1%')}"
            panel.text(column, row, text, ha="center", va="center", fontsize=11)
        panel.set(xticks=[0, 1], yticks=[0, 1], xticklabels=CLASSES)
        panel.set_yticklabels(CLASSES, rotation=90, va="center")
        panel.spines[:].set_visible(False)
        panel.grid(visible=False)
        panel.tick_params(length=0)
        name = _name_threshold(metrics, point, labels).replace(" (", "\n(")
        accuracy = labels("with_accuracy", num=int(counts.sum()), accuracy=decisions.accuracy.finite_value)
        panel.set_title(f"{name}\n{accuracy}", fontsize=9.5)
        panel.set_xlabel(labels("decision"), fontsize=9.5)
    axes[0].set_ylabel(labels("true_class"), fontsize=9.5)
    return figure


def draw_reliability(test_predictions: DataFrame, metrics: Metrics, labels: Labels) -> Figure:
    """Draw reliability diagrams of test: uncalibrated, and calibrated and adjusted to the prevalence of test.

    Each has the share of PNEUMONIA in the bins of the expected calibration error (ECE), with Wilson's 95% interval, and
    below it the number of images in each bin.
    """
    layout = {"sharex": True, "sharey": "row", "height_ratios": [3, 1]}
    figure, axes = new_figure(labels, columns=2, rows=2, width=PAGE_WIDTH, height=5.8, **layout)
    label = test_predictions["label"].to_numpy()
    prevalence, calibration = metrics.test.prevalence, metrics.operating_point.calibration
    scales = {
        labels("uncalibrated"): (test_predictions["sigmoid"].to_numpy(), ORANGE),
        labels("moved", prevalence=prevalence): (adjust_to_prevalence(test_predictions, calibration), BLUE),
    }
    for (above, below), (title, (probability, colour)) in zip(axes.T, scales.items(), strict=True):
        (error,) = calibration_errors(label, probability, np.ones((1, len(label))))
        bins = tabulate_bins(label, probability)
        above.vlines(bins["predicted"], bins["low"], bins["high"], color=colour, alpha=0.6)
        legend = labels("calibration_error", scale=title, error=float(error), num=NUM_BINS)
        above.plot(bins["predicted"], bins["value"], "o", color=colour, label=legend)
        above.plot([0, 1], [0, 1], ":", color=GREY, label=labels("perfect"))
        above.set_title(title, fontsize=10)
        above.set(xlim=UNIT, ylim=UNIT)
        below.bar(bins["middle"], bins["images"], width=1 / NUM_BINS, color=colour, alpha=0.6, edgecolor="white")
        below.set_xlabel(labels("predicted_probability"), fontsize=9.5)
    axes[0, 0].set_ylabel(labels("observed_share"), fontsize=9.5)
    axes[1, 0].set_ylabel(labels("images"), fontsize=9.5)
    values = {"num": len(test_predictions), "prevalence": prevalence, "expected": calibration.expected_prevalence}
    add_heading(figure, labels("reliability_title", run=metrics.run, **values))
    return figure


def tabulate_bins(label: Array, probability: Array) -> DataFrame:
    """Tabulate the bins of `calibration_errors` that are not empty.

    With `middle`; number of `images`; `predicted`, the mean probability; share of 1, as `value`, `low` and `high`
    (Wilson's 95% interval).
    """
    table = pd.DataFrame({"label": label, "predicted": probability})
    bins = np.minimum((probability * NUM_BINS).astype(int), NUM_BINS - 1)
    table = table.groupby(bins).agg(images=("label", "size"), ones=("label", "sum"), predicted=("predicted", "mean"))
    shares = [proportion(int(ones), int(images)) for ones, images in zip(table["ones"], table["images"], strict=True)]
    middle = (table.index + 0.5) / NUM_BINS
    return table.reset_index(drop=True).assign(middle=middle).join(pd.DataFrame(map(dict, shares)))


def draw_scores(
    validation_predictions: DataFrame, test_predictions: DataFrame, metrics: Metrics, labels: Labels
) -> Figure:
    """Draw histograms of the scores, one row per aetiology, validation beside test, with the thresholds."""
    tables = {"validation": validation_predictions, "test": test_predictions}
    present = set().union(*(table["aetiology"] for table in tables.values()))
    aetiologies = [aetiology for aetiology in AETIOLOGIES if aetiology in present]
    layout = {"sharex": True, "sharey": "row", "squeeze": False}
    figure, axes = new_figure(labels, columns=2, rows=len(aetiologies), width=PAGE_WIDTH, height=5.8, **layout)
    log_odds = np.concatenate([table["log_odds"] for table in tables.values()])
    edges = np.linspace(log_odds.min() - 0.5, log_odds.max() + 0.5, NUM_SCORE_BINS + 1)
    colours = dict(zip(AETIOLOGIES, (BLUE, ORANGE, PURPLE, GREEN), strict=True))
    for column, (subset, table) in enumerate(tables.items()):
        for panel, aetiology in zip(axes[:, column], aetiologies, strict=True):
            rows = table[table["aetiology"] == aetiology]
            shares = np.histogram(rows["log_odds"], edges)[0] / max(len(rows), 1)
            panel.stairs(shares, edges, fill=True, color=colours[aetiology], alpha=0.75)
            mark_thresholds(panel, metrics, labels)
            is_positive = rows["log_odds"] >= metrics.operating_point.chosen.log_odds
            is_correct, key = (~is_positive, "cleared") if aetiology == "none" else (is_positive, "detected")
            key = key if len(rows) else "no_share"
            values = {"subset": labels.translate(subset), "kind": labels(f"kind_{aetiology}"), "num": len(rows)}
            panel.set_title(labels(key, **values, share=float(is_correct.mean())), fontsize=9.5)
        panel.set_xlabel(labels("log_odds"), fontsize=9.5)
    figure.supylabel(labels("share_of_kind"), fontsize=9.5)
    add_heading(figure, labels("scores_title", run=metrics.run))
    return figure


def draw_thresholds(curves: DataFrame, metrics: Metrics, labels: Labels) -> Figure:
    """Draw sensitivity, specificity and their mean against the threshold, on corrupted validation and on test."""
    figure, axes = new_figure(labels, columns=2, width=PAGE_WIDTH, height=4.6, sharex=True, sharey=True)
    for panel, subset in zip(axes, ("corrupted", "test"), strict=True):
        rows = curves[curves["subset"] == subset]
        sensitivity, specificity = (rows[rows["curve"] == name] for name in ("sensitivity", "specificity"))
        plot_band(panel, sensitivity, color=ORANGE, label=labels("sensitivity"))
        plot_band(panel, specificity, color=BLUE, label=labels("specificity"))
        mean = (sensitivity["value"].to_numpy() + specificity["value"].to_numpy()) / 2
        panel.plot(sensitivity["x"], mean, color=GREY, linewidth=1, label=labels("mean_of_both"))
        mark_thresholds(panel, metrics, labels)
        title = labels(f"thresholds_on_{subset}", num=int(rows["num_images"].iloc[0]))
        label_axes(panel, title, (labels("log_odds"), ""))
    axes[0].set_ylabel(labels("share_right"), fontsize=9.5)
    axes[0].set_ylim(UNIT)
    add_heading(figure, labels("thresholds_title", run=metrics.run))
    return figure


def tabulate_thresholds(predictions: DataFrame) -> DataFrame:
    """Count correct and wrong decisions at every threshold at which a decision changes, for images of both classes.

    One row per threshold, from above the highest score ("") to the lowest score: `threshold` as text; `log_odds`;
    `sensitivity` and `specificity` in [0, 1]; `tp`, `fn`, `tn`, `fp` (images).
    """
    from scipy.special import expit
    from sklearn.metrics import roc_curve

    label = predictions["label"]
    false_positive_rate, sensitivity, cuts = roc_curve(label, predictions["log_odds"], drop_intermediate=False)
    num_normal, num_pneumonia = int((label == 0).sum()), int((label == 1).sum())
    table = pd.DataFrame({"sensitivity": sensitivity, "specificity": 1 - false_positive_rate})
    table["tp"] = (sensitivity * num_pneumonia).round().astype(int)
    table["fp"] = (false_positive_rate * num_normal).round().astype(int)
    table["threshold"] = ["", *map(format_probability, expit(cuts[1:]).tolist())]
    table["log_odds"] = [cuts[1] + 0.5, *cuts[1:]]
    return table.assign(fn=num_pneumonia - table["tp"], tn=num_normal - table["fp"])


def draw_threshold_explorer(test_predictions: DataFrame, metrics: Metrics, labels: Labels) -> Any:
    """Draw the ROC curve, sensitivity and specificity of test as an interactive plotly figure.

    Hovering shows the threshold with its sensitivity, specificity and the four counts.
    """
    from plotly.subplots import make_subplots

    figure = make_subplots(cols=2, horizontal_spacing=0.12)
    table = tabulate_thresholds(test_predictions)
    table["threshold"] = [labels("above_every_score"), *table["threshold"][1:].str.replace(".", labels.mark)]
    template = f"{labels('explorer_hover', **HOVER)}<extra></extra>"
    hover = {"customdata": table[HOVER_COLUMNS].to_numpy(object).tolist(), "hovertemplate": template, "mode": "lines"}
    curves = {"roc": (GREEN, (1 - table["specificity"]).tolist(), table["sensitivity"].tolist())}
    for name, colour in (("sensitivity", ORANGE), ("specificity", BLUE)):
        curves[name] = (colour, table["log_odds"].tolist(), table[name].tolist())
    for name, (colour, x, y) in curves.items():
        line = {"color": colour, "shape": "linear" if name == "roc" else "hv"}
        figure.add_scatter(x=x, y=y, name=labels(name), line=line, **hover, row=1, col=1 if name == "roc" else 2)
    for point, decisions in metrics.test.by_name.items():
        sensitivity, specificity = decisions.sensitivity.finite_value, decisions.specificity.finite_value
        counts = (decisions.tp, decisions.fn, decisions.tn, decisions.fp)
        style = {
            "marker": {"symbol": SYMBOLS[point], "size": 11, "color": MID_GREY, "line": {"color": "white", "width": 1}},
            "customdata": [[_format_probability(decisions.threshold, labels), sensitivity, specificity, *counts]],
            "mode": "markers",
            "hovertemplate": template,
            "name": _name_threshold(metrics, point, labels),
        }
        figure.add_scatter(x=[1 - specificity], y=[sensitivity], **style, row=1, col=1)
        dash = {"dash": DASHES[point], "width": 1.2, "color": MID_GREY}
        figure.add_vline(x=decisions.log_odds, line=dash, opacity=1, row=1, col=2)
    title = labels("explorer_title", run=metrics.run, num=metrics.test.num_images)
    title = f"{title}<br><sup>{labels('data', source=labels.data_source)}</sup>"
    figure.update_layout(template="simple_white", title=title, height=520, hovermode="closest")
    figure.update_layout(separators=f"{labels.mark} ")
    figure.update_layout(legend={"orientation": "h", "y": -0.2}, margin={"t": 80, "r": 20})
    figure.update_xaxes(title=labels("false_positive_rate"), range=UNIT, row=1, col=1)
    figure.update_xaxes(title=labels("log_odds"), row=1, col=2)
    figure.update_xaxes(title_font_size=12)
    figure.update_yaxes(range=UNIT, showgrid=True, gridcolor=FAINT_GREY, title_font_size=12)
    figure.update_yaxes(title=labels("sensitivity"), row=1, col=1)
    figure.update_yaxes(title=labels("share_right"), row=1, col=2)
    return figure


def plot_learning_curves(history: DataFrame, image_split: DataFrame, title: str, labels: Labels) -> Figure:
    """Draw loss and accuracy of train and validation by epoch, from `train_model`, and the epoch that was kept."""
    figure, axes = new_figure(labels, columns=2, width=PAGE_WIDTH, height=3.9)
    kept = int(history.loc[history["kept"], "epoch"].iloc[0])
    num = image_split["subset"].value_counts()
    for panel, name in zip(axes, ("loss", "accuracy"), strict=True):
        panel.axvline(kept, color=GREY, linestyle=":", label=labels("kept_epoch", epoch=kept))
        for column, subset, line, colour in ((name, "train", "o-", BLUE), (f"val_{name}", "validation", "s-", ORANGE)):
            label = labels("subset", subset=labels.translate(subset), num=int(num[subset]))
            panel.plot(history["epoch"], history[column], line, label=label, color=colour, markersize=4)
        panel.xaxis.get_major_locator().set_params(integer=True)
        label_axes(panel, labels(f"{name}_by_epoch"), (labels("epoch"), labels(f"{name}_axis")))
    axes[0].set_ylim(0, 1.05 * history[["loss", "val_loss"]].max().max())
    axes[1].set_ylim(min(0.6, history[["accuracy", "val_accuracy"]].min().min() - 0.02), 1.005)
    add_heading(figure, labels("training_title", run=title))
    return figure
