"""From a trained network and the test split to evidence, once for each run."""

from kedro.pipeline import Node, Pipeline

from chest_xray.pipelines import robustness
from chest_xray.pipelines.evaluation import nodes


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
                nodes.evaluate_with_keras,
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
            Node(nodes.cross_check, ["metrics", "keras_evaluation"], "cross_check", name="cross_check"),
            Node(
                nodes.measure_metadata_baseline,
                ["test_predictions", "metadata_baseline", "metrics", "params:evaluation"],
                "metadata_metrics",
                name="measure_metadata_baseline",
            ),
            Node(
                nodes.tabulate_metrics,
                ["metrics", "metadata_metrics"],
                "metrics_table",
                name="tabulate_metrics",
            ),
            Node(
                nodes.compute_curves,
                ["validation_predictions", "corrupted_predictions", "test_predictions", "params:evaluation"],
                "curves",
                name="compute_curves",
            ),
            Node(
                nodes.draw_figures,
                ["curves", *predictions, "metrics", "params:data_source"],
                ["roc_curve", "confusion_matrices", "figures", "threshold_explorer"],
                name="draw_figures",
            ),
            Node(
                nodes.write_conclusions,
                ["metrics", "history", "metadata_metrics", "params:data_source", "params:language"],
                "conclusions",
                name="write_conclusions",
            ),
        ],
        namespace=run,
        inputs={"prepared_images", "image_split", "metadata_baseline"},
        parameters={"evaluation", "data_source", "language"},
    ) + robustness.create_pipeline(run)
