"""From a trained network and the test split to evidence, once for each run."""

from typing import Any

from kedro.pipeline import Node, Pipeline

from chest_xray.pipelines.evaluation import (
    drawing,
    gallery,
    keras_check,
    nodes,
    occlusion,
    robustness,
    sanity,
    scrutiny,
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
            Node(nodes.tabulate_metrics, "metrics", "metrics_table", name="tabulate_metrics"),
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
                ["metrics", "history", "header_rule", "params:data_source"],
                "conclusions",
                name="write_conclusions",
            ),
            *_scrutiny_nodes(),
        ],
        namespace=run,
        inputs={"prepared_images", "image_split", "header_rule", "altered_test", "altered_test_images"},
        parameters={"evaluation", "data_source", "gallery", "map_sanity", "occlusion"},
    )


def _scrutiny_nodes() -> list[Any]:
    """What the network looks at, and how much alteration it bears."""
    return [
        Node(
            gallery.select_cases,
            ["test_predictions", "image_split", "operating_point", "params:gallery"],
            "gallery_cases",
            name="select_cases",
        ),
        Node(
            gallery.draw_gallery,
            ["model", "prepared_images", "gallery_cases", "params:data_source"],
            ["false_negatives", "false_positives", "typical_decisions"],
            name="draw_gallery",
        ),
        Node(
            sanity.check_maps,
            ["model", "prepared_images", "image_split", "params:map_sanity"],
            "map_sanity",
            name="check_maps",
        ),
        Node(
            occlusion.predict_occluded,
            ["model", "prepared_images", "image_split", "params:occlusion"],
            ["occluded_predictions", "occluded_examples"],
            name="predict_occluded",
        ),
        Node(
            occlusion.measure_occlusion,
            ["test_predictions", "occluded_predictions", "operating_point", "params:evaluation"],
            "occlusion_table",
            name="measure_occlusion",
        ),
        Node(
            occlusion.draw_occlusion,
            ["occluded_examples", "occlusion_table", "params:data_source"],
            "occlusion_figure",
            name="draw_occlusion",
        ),
        Node(
            robustness.predict_altered_test,
            ["model", "altered_test_images", "altered_test"],
            "altered_predictions",
            name="predict_altered_test",
        ),
        Node(
            robustness.measure_robustness,
            ["altered_predictions", "operating_point", "params:evaluation"],
            "robustness_table",
            name="measure_robustness",
        ),
        Node(
            robustness.draw_robustness,
            ["robustness_table", "params:data_source"],
            "robustness_figure",
            name="draw_robustness",
        ),
        Node(
            scrutiny.write_scrutiny,
            ["map_sanity", "occlusion_table", "robustness_table", "params:data_source"],
            "scrutiny",
            name="write_scrutiny",
        ),
    ]
