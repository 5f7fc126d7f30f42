"""Checks of one run: explanations, occlusion and corrupted test images."""

from kedro.pipeline import Node, Pipeline

from chest_xray.pipelines.robustness import nodes


def create_pipeline(run: str) -> Pipeline:
    """Wire the checks of one run.

    Args:
        run: The same name that its modeling and evaluation pipelines have.
    """
    return Pipeline(
        [
            Node(
                nodes.select_cases,
                ["test_predictions", "image_split", "operating_point", "params:gallery"],
                "gallery_cases",
                name="select_cases",
            ),
            Node(
                nodes.draw_gallery,
                ["model", "prepared_images", "gallery_cases", "params:data_source"],
                "gallery_figures",
                name="draw_gallery",
            ),
            Node(
                nodes.check_maps,
                ["model", "prepared_images", "image_split", "params:map_sanity"],
                "map_sanity",
                name="check_maps",
            ),
            Node(
                nodes.predict_occluded,
                ["model", "prepared_images", "image_split", "params:occlusion"],
                ["occluded_predictions", "occluded_examples"],
                name="predict_occluded",
            ),
            Node(
                nodes.measure_occlusion,
                ["test_predictions", "occluded_predictions", "operating_point", "params:evaluation"],
                "occlusion_table",
                name="measure_occlusion",
            ),
            Node(
                nodes.predict_corrupted_test,
                ["model", "corrupted_test_images", "image_split", "params:robustness"],
                "corrupted_test_predictions",
                name="predict_corrupted_test",
            ),
            Node(
                nodes.measure_robustness,
                ["corrupted_test_predictions", "operating_point", "params:evaluation"],
                "robustness_table",
                name="measure_robustness",
            ),
            Node(
                nodes.draw_checks,
                ["occluded_examples", "occlusion_table", "robustness_table", "params:data_source"],
                "robustness_figures",
                name="draw_checks",
            ),
            Node(
                nodes.write_robustness_conclusions,
                ["map_sanity", "occlusion_table", "robustness_table", "params:data_source", "params:language"],
                "robustness_conclusions",
                name="write_robustness_conclusions",
            ),
        ],
        namespace=run,
        inputs={"prepared_images", "image_split", "corrupted_test_images"},
        parameters={"evaluation", "data_source", "language", "gallery", "map_sanity", "occlusion", "robustness"},
    )
