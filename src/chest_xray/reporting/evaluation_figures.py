"""Figures of a training and its evaluation: learning curves, ROC, calibration, scores, thresholds."""

from typing import Any

from chest_xray.core.types import Array, DataFrame, Figure
from chest_xray.images.kermany import CLASSES
from chest_xray.metrics.binary import proportion
from chest_xray.metrics.calibration_error import NUM_BINS, expected_calibration_error

MARKERS = {"at_half": "o", "at_chosen": "D", "at_other": "s"}
MEANING = {"at_half": "", "at_chosen": " (chosen)", "at_other": " (other point)"}
LINES = {"at_half": ":", "at_chosen": "-", "at_other": "--"}
LOGIT_AXIS = "score: log odds of pneumonia (0 is 0.5, 7 is 0.999)"
FURTHEST = 36.7  # Past this logit the nearest number to a probability is 1.
NUM_SCORE_BINS = 40
KINDS = {"none": "healthy", "bacterial": "bacterial pneumonia", "viral": "viral pneumonia", "unknown": "pneumonia"}
TOLD = ["threshold", "sensitivity", "specificity", "tp", "fn", "tn", "fp"]
HOVER = (
    "threshold %{customdata[0]}<br>sensitivity %{customdata[1]:.3f}, specificity %{customdata[2]:.3f}<br>"
    "pneumonia: %{customdata[3]} found, %{customdata[4]} missed<br>"
    "healthy: %{customdata[5]} cleared, %{customdata[6]} called diseased<extra></extra>"
)
MIDDLE, FAINT = "#8C8C8C", "rgba(128, 128, 128, 0.25)"  # Seen on white and on black: Kedro-Viz is dark.
SYMBOLS = {"at_half": "circle", "at_chosen": "diamond", "at_other": "square"}
DASHES = {"at_half": "dot", "at_chosen": "solid", "at_other": "dash"}


def draw_roc_curve(curves: DataFrame, metrics: dict[str, Any], data_source: str) -> Figure:
    """Draw the ROC curves of validation and test with their bands, and the points where the thresholds lie.

    Args:
        curves: From `chest_xray.pipelines.evaluation.nodes.compute_curves`.
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
        curves: From `chest_xray.pipelines.evaluation.nodes.compute_curves`.
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
    """Return the log odds of a probability, held where float64 can still tell it from 0 and 1."""
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


def draw_reliability(test_predictions: DataFrame, metrics: dict[str, Any], data_source: str) -> Figure:
    """Draw predicted against observed shares on test, before and after calibration.

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
    """Return the bins of the expected calibration error.

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
    """Draw where the scores of healthy, bacterial and viral images lie, and which of them pass each threshold.

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


def draw_thresholds(curves: DataFrame, metrics: dict[str, Any], data_source: str) -> Figure:
    """Draw sensitivity and specificity against the threshold, where it is chosen and where it is used.

    Args:
        curves: From `chest_xray.pipelines.evaluation.nodes.compute_curves`.
        metrics: From `compute_metrics`.
        data_source: Printed below the plots.

    Returns:
        Corrupted validation beside test, each with both curves, their bands and their mean, the balanced accuracy.
    """
    from chest_xray.reporting.style import BLUE, GREY, ORANGE, PAGE_WIDTH, head_figure, label_axes, new_figure

    figure, axes = new_figure(data_source, columns=2, width=PAGE_WIDTH, height=4.6, sharex=True, sharey=True)
    titles = {"corrupted": "corrupted validation, where it is chosen", "test": "test, where it is judged"}
    for place, (subset, title) in zip(axes, titles.items(), strict=True):
        part = curves[curves["subset"] == subset]
        both = {name: part[part["curve"] == name] for name in ("sensitivity", "specificity")}
        plot_band(place, both["sensitivity"], color=ORANGE, label="sensitivity")
        plot_band(place, both["specificity"], color=BLUE, label="specificity")
        mean = sum(curve["value"].to_numpy() for curve in both.values()) / 2
        place.plot(both["sensitivity"]["x"], mean, color=GREY, linewidth=1, label="mean of both (balanced accuracy)")
        mark_thresholds(place, metrics)
        label_axes(place, f"{title}: n = {part['num_images'].iloc[0]:,}", (LOGIT_AXIS, ""))
    axes[0].set_ylabel("share of the class decided rightly", fontsize=9.5)
    axes[0].set_ylim(-0.02, 1.02)
    title = f"What each threshold gives, {metrics['run']} (with 95% bands over patients)"
    head_figure(figure, title)
    return figure


def tabulate_thresholds(predictions: DataFrame) -> DataFrame:
    """Count right and wrong decisions at every threshold that makes a difference.

    Args:
        predictions: `label` and `probability` of each image; both classes occur.

    Returns:
        One row a threshold, from one that calls nobody PNEUMONIA to the lowest score: `threshold`, as it is written;
        `logit` of it; `sensitivity` and `specificity` in [0, 1]; `tp`, `fn`, `tn`, `fp` (images).
    """
    import pandas as pd
    from sklearn.metrics import roc_curve

    from chest_xray.reporting.style import name_probability

    label = predictions["label"]
    false_positive_rate, sensitivity, cuts = roc_curve(label, predictions["probability"], drop_intermediate=False)
    healthy, diseased = int((label == 0).sum()), int((label == 1).sum())
    table = pd.DataFrame({"sensitivity": sensitivity, "specificity": 1 - false_positive_rate})
    table["tp"] = (sensitivity * diseased).round().astype(int)
    table["fp"] = (false_positive_rate * healthy).round().astype(int)
    table["threshold"] = ["above every score", *map(name_probability, cuts[1:])]
    table["logit"] = [as_logit(cuts[1]) + 0.5, *map(as_logit, cuts[1:])]
    return table.assign(fn=diseased - table["tp"], tn=healthy - table["fp"])


def draw_threshold_explorer(test_predictions: DataFrame, metrics: dict[str, Any], data_source: str) -> Any:
    """Draw the ROC curve of test, and sensitivity and specificity by threshold, to be explored with the pointer.

    Args:
        test_predictions: `label` and `probability` of each test image.
        metrics: From `compute_metrics`.
        data_source: Printed below the plots.

    Returns:
        A plotly figure that tells at each threshold its sensitivity, specificity and the four counts.
    """
    from plotly.subplots import make_subplots

    from chest_xray.reporting.style import BLUE, GREEN, ORANGE

    figure = make_subplots(cols=2, horizontal_spacing=0.12)
    table = tabulate_thresholds(test_predictions)
    told = {"customdata": table[TOLD].to_numpy(object).tolist(), "hovertemplate": HOVER, "mode": "lines"}
    curves = {"ROC curve": (GREEN, (1 - table["specificity"]).tolist(), table["sensitivity"].tolist())}
    for name, colour in (("sensitivity", ORANGE), ("specificity", BLUE)):
        curves[name] = (colour, table["logit"].tolist(), table[name].tolist())
    for name, (colour, x, y) in curves.items():
        line = {"color": colour, "shape": "linear" if name == "ROC curve" else "hv"}
        figure.add_scatter(x=x, y=y, name=name, line=line, **told, row=1, col=1 if name == "ROC curve" else 2)
    for at, meaning in MEANING.items():
        _mark_point(figure, metrics["test"][at], meaning, at)
    _lay_out(figure, metrics, data_source)
    return figure


def _mark_point(figure: Any, point: dict[str, Any], meaning: str, at: str) -> None:
    from chest_xray.reporting.style import name_probability

    threshold = name_probability(point["threshold"])
    x, y = 1 - point["specificity"]["value"], point["sensitivity"]["value"]
    told = [threshold, y, 1 - x, *(point[name] for name in ("tp", "fn", "tn", "fp"))]
    marker = {"symbol": SYMBOLS[at], "size": 11, "color": MIDDLE, "line": {"color": "white", "width": 1}}
    name = f"threshold {threshold}{meaning}"
    look = {"mode": "markers", "marker": marker, "name": name, "customdata": [told], "hovertemplate": HOVER}
    figure.add_scatter(x=[x], y=[y], **look, row=1, col=1)
    line = {"dash": DASHES[at], "width": 1.2, "color": MIDDLE}
    figure.add_vline(x=as_logit(point["threshold"]), line=line, opacity=1, row=1, col=2)


def _lay_out(figure: Any, metrics: dict[str, Any], data_source: str) -> None:
    num = metrics["test"]["num_images"]
    title = f"Thresholds on test, {metrics['run']}: n = {num}<br><sup>Data: {data_source}</sup>"
    figure.update_layout(template="simple_white", title=title, height=520, hovermode="closest")
    figure.update_layout(legend={"orientation": "h", "y": -0.2}, margin={"t": 80, "r": 20})
    figure.update_xaxes(title="1 - specificity", range=[-0.02, 1.02], row=1, col=1)
    figure.update_xaxes(title=LOGIT_AXIS, row=1, col=2)
    figure.update_xaxes(title_font_size=12)
    figure.update_yaxes(range=[-0.02, 1.02], showgrid=True, gridcolor=FAINT, title_font_size=12)
    figure.update_yaxes(title="sensitivity", row=1, col=1)
    figure.update_yaxes(title="share of the class decided rightly", row=1, col=2)


def plot_learning_curves(history: DataFrame, image_split: DataFrame, title: str, data_source: str) -> Figure:
    """Draw loss and accuracy of train and validation by epoch, and the epoch that was kept.

    Args:
        history: One row an epoch, from `train_model`.
        image_split: One row an image; its subsets are counted.
        title: Of the run.
        data_source: Printed below the plots.
    """
    from chest_xray.reporting.style import BLUE, GREY, ORANGE, PAGE_WIDTH, head_figure, label_axes, new_figure

    figure, axes = new_figure(data_source, columns=2, width=PAGE_WIDTH, height=3.9)
    kept = int(history.loc[history["kept"], "epoch"].iloc[0])
    num = image_split["subset"].value_counts()
    for place, name in zip(axes, ("loss", "accuracy"), strict=True):
        place.axvline(kept, color=GREY, linestyle=":", label=f"kept: epoch {kept}")
        for key, subset, look in ((name, "train", "o-"), (f"val_{name}", "validation", "s-")):
            style = {"color": BLUE if subset == "train" else ORANGE, "markersize": 4}
            place.plot(history["epoch"], history[key], look, label=f"{subset}: n = {num[subset]:,}", **style)
        place.xaxis.get_major_locator().set_params(integer=True)
        label_axes(place, f"{name.capitalize()} by epoch", ("epoch", name))
    axes[0].set_ylabel("binary cross-entropy", fontsize=9.5)
    axes[0].set_ylim(0, 1.05 * history[["loss", "val_loss"]].max().max())
    axes[1].set_ylim(min(0.6, history[["accuracy", "val_accuracy"]].min().min() - 0.02), 1.005)
    head_figure(figure, f"Training {title}")
    return figure
