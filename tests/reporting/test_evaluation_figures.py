"""Figures show what was computed, with the number of images and the source."""

from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import logit

from chest_xray.core.types import Figure
from chest_xray.metrics.results import Metrics
from chest_xray.pipelines.evaluation.nodes import compute_curves, compute_metrics
from chest_xray.reporting.evaluation_figures import (
    draw_confusion_matrices,
    draw_precision_recall,
    draw_reliability,
    draw_roc_curve,
    draw_scores,
    draw_thresholds,
    tabulate_bins,
)
from chest_xray.reporting.i18n import languages
from chest_xray.reporting.style import Labels
from tests.builders import TITLE, axes_of, changed, make_evaluation, make_point, make_predictions, sure

LABELS = Labels("phantoms")
VALIDATION = make_predictions([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
TEST = make_predictions([0, 0, 1, 1, 1], [0.2, 0.7, 0.3, 0.6, 0.9])
SHIFTED = pd.concat([VALIDATION, VALIDATION.assign(logit=VALIDATION["logit"] + 1)], ignore_index=True)
SEED = make_evaluation(seed=1)
CURVES = compute_curves(VALIDATION, SHIFTED, TEST, make_point(0.35), SEED)
THRESHOLDS = [
    *("threshold 0.500 (uncalibrated 0.5)", "threshold 0.350 (balanced, decides)"),
    *("threshold 0.250 (sensitivity)", "threshold 0.250 (specificity)"),
]


@pytest.fixture
def metrics() -> Metrics:
    return compute_metrics(VALIDATION, TEST, make_point(0.35), SEED)


def pick(curve: str, subset: str) -> pd.DataFrame:
    return CURVES[(CURVES["curve"] == curve) & (CURVES["subset"] == subset)]


def points_of(axes: Any) -> list[Any]:
    return [line.get_xydata().tolist() for line in axes.lines if len(line.get_xydata()) == 1]


def texts_of(legend: Any) -> list[str]:
    return [text.get_text() for text in legend.get_texts()]


def check_curve(line: Any, band: Any, curve: pd.DataFrame) -> None:
    """The line is the curve, and the band reaches from `low` to `high` at its every place, in the line's colour."""
    np.testing.assert_array_equal(line.get_xydata(), curve[["x", "value"]])
    (path,) = band.get_paths()
    corners = set(map(tuple, path.vertices.tolist()))
    for row in curve.itertuples():
        assert {(row.x, row.low), (row.x, row.high)} <= corners
    from matplotlib.colors import to_rgb

    assert tuple(band.get_facecolor()[0][:3]) == pytest.approx(to_rgb(line.get_color()))


def test_the_roc_figure_shows_both_curves_their_bands_their_points_and_the_source(metrics: Metrics) -> None:
    figure = draw_roc_curve(CURVES, metrics, LABELS)
    (axes,) = axes_of(figure)
    assert figure.get_supxlabel() == "Data: phantoms"
    assert axes.get_title() == f"ROC curve, {TITLE}"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("1 - specificity", "sensitivity")
    (head,) = figure.legends
    legend = texts_of(head)
    for name, num, shown in (("validation", 4, "0.750"), ("test", 5, "0.667")):
        auc = metrics.subsets[name].auc
        assert f"{name}: AUC {shown} ({auc.low:.3f} to {auc.high:.3f}), n = {num}" in legend
    assert legend[2:] == [*THRESHOLDS[:2], "pointwise 95% band over patients"]
    lines = [line for line in axes.lines if len(line.get_xydata()) > 2]
    for line, band, subset in zip(lines, axes.collections, ("validation", "test"), strict=False):
        check_curve(line, band, pick("roc", subset))
    # At 0.5 and 0.35; test: of two NORMAL one false positive, of three PNEUMONIA two found.
    marked = [[[0, 0.5]], [[0.5, 1]], *[[[0.5, pytest.approx(2 / 3)]]] * 2]
    assert points_of(axes) == marked
    (corner,) = axes.child_axes
    assert points_of(corner) == marked
    assert (corner.get_xlim(), corner.get_ylim()) == ((-0.02, 1), (0, 1.02))  # the chosen point is farther than 0.5
    perfect = changed(
        metrics, "test.points.balanced", sensitivity=sure(0.97).with_n(3), specificity=sure(0.85).with_n(2)
    )
    (corner,) = axes_of(draw_roc_curve(CURVES, perfect, LABELS))[0].child_axes
    assert corner.get_xlim()[1] == 0.2


def test_the_precision_figure_shows_curves_bands_points_and_prevalences(metrics: Metrics) -> None:
    figure = draw_precision_recall(CURVES, metrics, LABELS)
    (axes,) = axes_of(figure)
    assert figure.get_supxlabel() == "Data: phantoms"
    assert axes.get_title() == f"Precision and recall, {TITLE}"
    legend = texts_of(axes.get_legend())
    # Validation 0.5 x 1 + 0.5 x 2/3; test: 0.9 first, then 0.7 wrongly, 0.6 and 0.3: (1 + 2/3 + 3/4) / 3.
    assert legend[0] == "validation: n = 4, average precision 0.833"
    assert legend[2] == "test: n = 5, average precision 0.806"
    assert legend[1] == "validation: prevalence 0.500, the precision of chance"
    for line, band, subset in zip(axes.lines[::6], axes.collections, ("validation", "test"), strict=False):
        assert line.get_drawstyle() == "steps-pre"
        check_curve(line, band, pick("precision_recall", subset))
    assert [list(line.get_ydata()) for line in axes.lines[1::6][:2]] == [[0.5, 0.5], [0.6, 0.6]]
    # Recall and precision of validation at 0.5, 0.35 and 0.25, and of test.
    third = pytest.approx(2 / 3)
    on_test = [*[[[third, third]]] * 2, *[[[1, 0.75]]] * 2]
    assert points_of(axes) == [[[0.5, 1]], *[[[1, third]]] * 3, *on_test]


def test_no_point_is_marked_without_positive_decisions(metrics: Metrics) -> None:
    metrics = changed(metrics, "test.at_half.precision", value=None)
    (axes,) = axes_of(draw_precision_recall(CURVES, metrics, LABELS))
    assert len(points_of(axes)) == 7


def test_the_confusion_figure_shows_the_counts_at_each_threshold_and_the_source(metrics: Metrics) -> None:
    metrics = changed(metrics, "test.points.balanced", tn=7, fp=3, fn=2, tp=8)
    figure = draw_confusion_matrices(metrics, LABELS)
    assert figure.get_supxlabel() == "Data: phantoms"
    assert figure.get_suptitle() == f"Test, {TITLE}"
    plain, chosen, sensitive, specific = axes_of(figure)
    assert plain.get_title() == "threshold 0.500\n(uncalibrated 0.5)\nn = 5, accuracy 0.600"
    assert chosen.get_title().startswith("threshold 0.350\n(balanced, decides)\nn = 20, ")
    assert sensitive.get_title() == "threshold 0.250\n(sensitivity)\nn = 5, accuracy 0.800"
    assert specific.get_title() == "threshold 0.250\n(specificity)\nn = 5, accuracy 0.800"
    assert (plain.get_xlabel(), plain.get_ylabel()) == ("decision", "true class")
    assert [text.get_text() for text in chosen.texts] == ["7\n70.0%", "3\n30.0%", "2\n20.0%", "8\n80.0%"]
    right, wrong = (image.get_array().filled(0).tolist() for image in chosen.images)
    assert (right, wrong) == ([[0.7, 0], [0, 0.8]], [[0, 0.3], [0.2, 0]])
    for labels in (chosen.get_xticklabels(), plain.get_yticklabels()):
        assert [label.get_text() for label in labels] == ["NORMAL", "PNEUMONIA"]


def test_bins_contain_observed_shares_with_wilson_intervals() -> None:
    # Of 15 bins: 0.0 lies in the first, 0.5 and 0.52 in the eighth, 1.0 in the last.
    bins = tabulate_bins(np.array([0, 1, 0, 1, 1]), np.array([0.0, 0.5, 0.52, 1.0, 1.0]))
    assert bins["images"].tolist() == [1, 2, 2]
    assert bins["predicted"].tolist() == pytest.approx([0, 0.51, 1])
    assert bins["middle"].tolist() == pytest.approx([0.5 / 15, 0.5, 14.5 / 15])
    assert bins["value"].tolist() == [0, 0.5, 1]
    # Wilson of 1 in 2: the middle 0.5, half a width of z / 2 x sqrt(1 / 2 + z^2 / 4) / (1 + z^2 / 2), z = 1.96.
    assert bins[["low", "high"]].to_numpy()[1].tolist() == pytest.approx([0.0945, 0.9055], abs=1e-4)


def test_the_reliability_figure_shows_both_scales_their_errors_and_how_many_images_each_bin_holds(
    metrics: Metrics,
) -> None:
    # Moved from a prevalence of 0.5 to 0.6, these are 0.1, 0.5, 0.5, 0.9 and 0.9.
    table = TEST.assign(log_odds=logit([0.1, 0.5, 0.5, 0.9, 0.9]) - np.log(1.5))
    figure = draw_reliability(table, metrics, LABELS)
    assert figure.get_supxlabel() == "Data: phantoms"
    (head,) = figure.legends
    assert head.get_title().get_text() == f"Reliability on test, {TITLE}: n = 5, prevalence 60.0%, calibrated for 50%"
    # Raw, each image is alone in its bin: (0.2 + 0.7 + 0.7 + 0.4 + 0.1) / 5; calibrated: (0.1 + 0 + 0.2) / 5.
    assert texts_of(head) == [
        *(
            "uncalibrated: ECE 0.420 in 15 bins",
            "perfect calibration",
            "calibrated, adjusted to 60.0%: ECE 0.060 in 15 bins",
        )
    ]
    above, calibrated, below, images = axes_of(figure)
    assert [axes.get_title() for axes in (above, calibrated)] == ["uncalibrated", "calibrated, adjusted to 60.0%"]
    np.testing.assert_allclose(above.lines[0].get_xydata(), [[0.2, 0], [0.3, 1], [0.6, 1], [0.7, 0], [0.9, 1]])
    np.testing.assert_allclose(calibrated.lines[0].get_xydata(), [[0.1, 0], [0.5, 0.5], [0.9, 1]])
    assert [bar.get_height() for bar in below.patches] == [1] * 5
    assert [bar.get_height() for bar in images.patches] == [1, 2, 2]
    intervals = [segment[:, 1].tolist() for segment in calibrated.collections[0].get_segments()]
    assert intervals[1] == pytest.approx([0.0945, 0.9055], abs=1e-4)


def test_scores_are_drawn_by_kind_with_thresholds_and_with_what_becomes_of_each(metrics: Metrics) -> None:
    test = make_predictions([0, 0, 0, 1, 1, 1], [0.1, 0.2, 0.7, 0.3, 0.6, 0.9])
    test = test.assign(aetiology=["none", "none", "none", "bacterial", "bacterial", "viral"])
    figure = draw_scores(VALIDATION, test, metrics, LABELS)
    assert figure.get_supxlabel() == "Data: phantoms"
    (head,) = figure.legends
    assert head.get_title().get_text() == f"Scores by kind of image, {TITLE}; shares are at the chosen threshold"
    assert texts_of(head) == THRESHOLDS
    places = axes_of(figure)
    assert [axes.get_title() for axes in places] == [
        *("validation, healthy: n = 2, 50.0% cleared", "test, healthy: n = 3, 66.7% cleared"),
        *(
            "validation, bacterial pneumonia:\nn = 2, 100.0% detected",
            "test, bacterial pneumonia:\nn = 2, 50.0% detected",
        ),
        *("validation, viral pneumonia: n = 0", "test, viral pneumonia:\nn = 1, 100.0% detected"),
    ]
    for axes in places:
        assert [line.get_xdata()[0] for line in axes.lines] == pytest.approx(logit([0.5, 0.35, 0.25, 0.25]))
    steps = [axes.patches[0].get_data() for axes in places]
    assert [step.values.sum() for step in steps] == pytest.approx([1, 1, 1, 1, 0, 1])
    bacterial = steps[3]
    assert bacterial.values[bacterial.values > 0].tolist() == [0.5, 0.5]
    lower = bacterial.edges[:-1][bacterial.values > 0]
    logits = test.loc[test["aetiology"] == "bacterial", "logit"].sort_values().to_numpy()
    assert ((lower <= logits) & (logits < lower + bacterial.edges[1] - bacterial.edges[0])).all()


def test_thresholds_are_drawn_where_they_are_chosen_beside_where_they_are_evaluated(metrics: Metrics) -> None:
    figure = draw_thresholds(CURVES, metrics, LABELS)
    assert figure.get_supxlabel() == "Data: phantoms"
    (head,) = figure.legends
    assert TITLE in head.get_title().get_text()
    assert texts_of(head) == ["sensitivity", "specificity", "mean of both (balanced accuracy)", *THRESHOLDS]
    shifted, test = axes_of(figure)
    assert shifted.get_title() == "corrupted validation, where it is chosen: n = 8"
    assert test.get_title() == "test, where it is evaluated: n = 5"
    for axes, subset in ((shifted, "corrupted"), (test, "test")):
        both = [pick(curve, subset) for curve in ("sensitivity", "specificity")]
        for line, band, curve in zip(axes.lines, axes.collections, both, strict=False):
            check_curve(line, band, curve)
        mean = (both[0]["value"].to_numpy() + both[1]["value"].to_numpy()) / 2
        np.testing.assert_allclose(axes.lines[2].get_ydata(), mean)
        assert [line.get_xdata()[0] for line in axes.lines[3:]] == pytest.approx(logit([0.5, 0.35, 0.25, 0.25]))


def draw_all(table: pd.DataFrame, threshold: float, labels: Labels = LABELS, run: str = TITLE) -> list[Figure]:
    metrics = compute_metrics(table, table, make_point(threshold), SEED).model_copy(update={"run": run})
    curves = compute_curves(table, table, table, make_point(threshold), SEED)
    return [
        *(draw(curves, metrics, labels) for draw in (draw_roc_curve, draw_precision_recall, draw_thresholds)),
        *(draw_reliability(table, metrics, labels), draw_scores(table, table, metrics, labels)),
        draw_confusion_matrices(metrics, labels),
    ]


@pytest.mark.parametrize(
    ("labels", "probabilities", "threshold"),
    [
        ([0, 1, 0, 1], [0.5] * 4, 0.5),
        ([0, 1, 1], [0.3, 0.2, 0.9], 1.0),
        ([0, 1, 0, 1], [0.0, 1.0, 1.0, 0.0], 1.0),
        ([0, 0, 1, 1], [0.0, 0.0, 1.0, 1.0], 0.0),
    ],
    ids=["all scores equal", "three images", "probabilities of 0 and 1", "all right"],
)
def test_every_figure_is_drawn_without_a_warning(
    labels: list[int], probabilities: list[float], threshold: float
) -> None:
    for figure in draw_all(make_predictions(labels, probabilities), threshold):
        figure.draw_without_rendering()
        for line in (line for axes in axes_of(figure) for line in axes.lines):
            assert np.isfinite(np.asarray(line.get_xydata(), float)).all()


def test_no_figure_is_wider_than_a_report_and_each_states_n() -> None:
    for figure in draw_all(TEST, 0.35):
        assert figure.get_size_inches()[0] <= 8.2
        texts = [axes.get_title() for axes in axes_of(figure)]
        legends = [*figure.legends, *(axes.get_legend() for axes in axes_of(figure))]
        texts += [text for legend in legends if legend for text in [legend.get_title().get_text(), *texts_of(legend)]]
        assert any("n = " in text for text in texts)


@pytest.mark.parametrize("language", languages())
def test_no_title_or_label_is_cut_off_or_written_over_another(language: str) -> None:
    for figure in draw_all(TEST, 0.35, Labels("phantoms", language), "without augmentation"):
        figure.draw_without_rendering()
        panels = axes_of(figure)
        texts = [legend.get_title() for legend in figure.legends]
        texts += [text for axes in panels for text in (axes.title, axes.xaxis.label, axes.yaxis.label)]
        boxes = {text.get_text(): text.get_window_extent() for text in texts if text.get_text()}
        width, height = figure.bbox.width, figure.bbox.height
        outside = [text for text, box in boxes.items() if box.x0 < 0 or box.x1 > width or box.y0 < 0 or box.y1 > height]
        assert outside == []
        below = [axes.xaxis.label.get_window_extent() for axes in panels if axes.get_xlabel()]
        assert not any(first.overlaps(second) for first, second in combinations(below, 2))
