"""Checks of one run: explanations, occlusion and corrupted test images."""

from kedro.pipeline import Pipeline

from chest_xray.pipelines import make_node
from chest_xray.pipelines.robustness import nodes


def create_pipeline(run: str) -> Pipeline:
    """Wire the checks of one run."""
    checks = [
        make_node(
            nodes.select_cases,
            ["test_predictions", "image_split", "operating_point", "params:gallery"],
            "gallery_cases",
        ),
        make_node(nodes.draw_gallery, ["model", "prepared_images", "gallery_cases", "params:preparation"], "gallery"),
        make_node(nodes.check_maps, ["model", "prepared_images", "image_split", "params:map_sanity"], "map_sanity"),
        make_node(
            nodes.predict_occluded,
            ["model", "prepared_images", "image_split", "params:occlusion"],
            ["occluded_predictions", "occluded_examples"],
        ),
        make_node(
            nodes.measure_occlusion,
            ["test_predictions", "occluded_predictions", "operating_point", "params:evaluation"],
            "occlusion_table",
        ),
        make_node(
            nodes.predict_corrupted_test,
            ["model", "corrupted_test_images", "image_split", "params:robustness"],
            "corrupted_test_predictions",
        ),
        make_node(
            nodes.measure_robustness,
            ["corrupted_test_predictions", "operating_point", "params:evaluation"],
            "robustness_table",
        ),
        make_node(
            nodes.draw_checks,
            ["occluded_examples", "occlusion_table", "robustness_table", "params:data_source"],
            "robustness_figures",
        ),
        make_node(
            nodes.write_robustness_conclusions,
            ["map_sanity", "occlusion_table", "robustness_table", "params:data_source", "params:language"],
            "robustness_conclusions",
        ),
    ]
    return Pipeline(
        checks,
        namespace=run,
        inputs={"prepared_images", "image_split", "corrupted_test_images"},
        parameters={
            "evaluation",
            "data_source",
            "language",
            "preparation",
            "gallery",
            "map_sanity",
            "occlusion",
            "robustness",
        },
    )
