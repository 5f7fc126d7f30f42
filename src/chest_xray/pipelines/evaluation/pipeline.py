"""From a trained network and the test split to evidence, once for each run."""

from collections.abc import Callable
from typing import Any

from kedro.pipeline import Node, Pipeline

from chest_xray.pipelines import robustness
from chest_xray.pipelines.evaluation import (
    curves,
    drawing,
    keras_check,
    nodes,
    null_baseline,
    score_drawing,
    table,
    threshold_drawing,
)


def create_pipeline(run: str) -> Pipeline:
    """Wire the evaluation of one run.

    Args:
        run: The same name that its modeling pipeline has.
    """
    predictions = ["validation_predictions", "test_predictions"]
    return Pipeline(
        [
            Node(
                nodes.predict_validation,
                ["model", "prepared_images", "image_split", "operating_point"],
                "validation_predictions",
                name="predict_validation",
            ),
            Node(
                nodes.predict_test,
                ["model", "prepared_images", "image_split", "operating_point"],
                "test_predictions",
                name="predict_test",
            ),
            Node(
                keras_check.evaluate_with_keras,
                ["model", "prepared_images", "image_split", "operating_point"],
                "keras_evaluation",
                name="evaluate_with_keras",
            ),
            Node(
                nodes.compute_metrics,
                [*predictions, "operating_point", "params:evaluation"],
                "metrics",
                name="compute_metrics",
            ),
            Node(keras_check.cross_check, ["metrics", "keras_evaluation"], "cross_check", name="cross_check"),
            Node(
                null_baseline.measure_header_rule,
                ["test_predictions", "header_rule", "metrics", "params:evaluation"],
                "header_metrics",
                name="measure_header_rule",
            ),
            Node(
                table.tabulate_metrics,
                ["metrics", "header_metrics"],
                "metrics_table",
                name="tabulate_metrics",
            ),
            *_create_figures(predictions),
            Node(
                nodes.find_conclusions,
                ["metrics", "history", "header_metrics"],
                "found_conclusions",
                name="find_conclusions",
            ),
            Node(
                nodes.write_conclusions,
                ["found_conclusions", "metrics", "params:data_source", "params:language"],
                "conclusions",
                name="write_conclusions",
            ),
        ],
        namespace=run,
        inputs={"prepared_images", "image_split", "header_rule"},
        parameters={"evaluation", "data_source", "language"},
    ) + robustness.create_pipeline(run)


def _create_figures(predictions: list[str]) -> list[Node]:
    validation, test = predictions
    traced = [validation, "shifted_predictions", test, "params:evaluation"]
    drawn: dict[str, tuple[Callable[..., Any], list[str]]] = {
        "roc_curve": (drawing.draw_roc_curve, ["curves"]),
        "precision_recall": (drawing.draw_precision_recall, ["curves"]),
        "thresholds": (threshold_drawing.draw_thresholds, ["curves"]),
        "threshold_explorer": (threshold_drawing.draw_threshold_explorer, [test]),
        "reliability": (score_drawing.draw_reliability, [test]),
        "scores": (score_drawing.draw_scores, [validation, test]),
        "confusion_matrices": (drawing.draw_confusion_matrices, []),
    }
    return [
        Node(curves.trace_curves, traced, "curves", name="trace_curves"),
        *(
            Node(function, [*inputs, "metrics", "params:data_source"], name, name=function.__name__)
            for name, (function, inputs) in drawn.items()
        ),
    ]
