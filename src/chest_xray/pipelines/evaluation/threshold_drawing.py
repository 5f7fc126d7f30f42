"""What each threshold costs and gives: a figure for pages, and one to move about in."""

from typing import Any

from chest_xray.core.types import DataFrame, Figure
from chest_xray.pipelines.evaluation.drawing import LOGIT_AXIS, MEANING, as_logit, mark_thresholds, plot_band

TOLD = ["threshold", "sensitivity", "specificity", "tp", "fn", "tn", "fp"]
HOVER = (
    "threshold %{customdata[0]}<br>sensitivity %{customdata[1]:.3f}, specificity %{customdata[2]:.3f}<br>"
    "pneumonia: %{customdata[3]} found, %{customdata[4]} missed<br>"
    "healthy: %{customdata[5]} cleared, %{customdata[6]} called diseased<extra></extra>"
)
MIDDLE, FAINT = "#8C8C8C", "rgba(128, 128, 128, 0.25)"  # Seen on white and on black: Kedro-Viz is dark.
SYMBOLS = {"at_half": "circle", "at_chosen": "diamond", "at_other": "square"}
DASHES = {"at_half": "dot", "at_chosen": "solid", "at_other": "dash"}


def draw_thresholds(curves: DataFrame, metrics: dict[str, Any], data_source: str) -> Figure:
    """Draw sensitivity and specificity against the threshold, where it is chosen and where it is used.

    Args:
        curves: From `chest_xray.pipelines.evaluation.curves.trace_curves`.
        metrics: From `compute_metrics`.
        data_source: Printed below the plots.

    Returns:
        Validation under shift beside test, each with both curves, their bands and their mean, the balanced accuracy.
    """
    from chest_xray.reporting.style import BLUE, GREY, ORANGE, PAGE_WIDTH, head_figure, label_axes, new_figure

    figure, axes = new_figure(data_source, columns=2, width=PAGE_WIDTH, height=4.6, sharex=True, sharey=True)
    titles = {"shifted": "validation under shift, where it is chosen", "test": "test, where it is judged"}
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
