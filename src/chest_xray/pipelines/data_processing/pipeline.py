"""From image folders to an index, a split and prepared pixels."""

from kedro.pipeline import Node, Pipeline

from chest_xray.pipelines.data_processing import nodes, shift


def create_pipeline() -> Pipeline:
    """Wire the nodes that run once, before any network is trained."""
    return Pipeline(
        [
            Node(nodes.index_images, ["train_images", "test_images"], "image_index", name="index_images"),
            Node(
                nodes.hold_out_validation,
                ["image_index", "params:hold_out"],
                "image_split",
                name="hold_out_validation",
            ),
            Node(
                nodes.prepare_images,
                ["image_index", "params:preparation"],
                "prepared_images",
                name="prepare_images",
            ),
            Node(
                shift.list_shifted_validation,
                ["image_split", "params:shift"],
                "shifted_validation",
                name="list_shifted_validation",
            ),
            Node(
                shift.reacquire_validation,
                ["shifted_validation", "params:shift", "params:preparation"],
                "shifted_validation_images",
                name="reacquire_validation",
            ),
            Node(nodes.count_classes, "image_split", "class_counts", name="count_classes"),
            Node(
                nodes.draw_example_radiographs,
                ["image_index", "params:data_source"],
                "example_radiographs",
                name="draw_example_radiographs",
            ),
        ]
    )
