"""From a trained network and the test split to evidence, once for each run."""

from kedro.pipeline import Node, Pipeline

from chest_xray.pipelines.evaluation import drawing, keras_check, nodes, null_baseline, table


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
            Node(
                drawing.draw_roc_curve,
                [*predictions, "metrics", "params:data_source"],
                "roc_curve",
                name="draw_roc_curve",
            ),
            Node(
                drawing.draw_confusion_matrices,
                ["metrics", "params:data_source"],
                "confusion_matrices",
                name="draw_confusion_matrices",
            ),
            Node(
                nodes.write_conclusions,
                ["metrics", "history", "header_metrics", "params:data_source"],
                "conclusions",
                name="write_conclusions",
            ),
        ],
        namespace=run,
        inputs={"prepared_images", "image_split", "header_rule"},
        parameters={"evaluation", "data_source"},
    )
