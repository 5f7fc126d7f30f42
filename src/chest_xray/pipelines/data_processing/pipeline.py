"""From image folders to an index, an audit, a split and prepared pixels."""

from typing import Any

from kedro.pipeline import Node, Pipeline

from chest_xray.pipelines.data_processing import nodes


def create_pipeline() -> Pipeline:
    """Wire the nodes that run once, before any network is trained."""
    parts = [*_prepare_nodes(), *_split_nodes(), *_audit_nodes()]
    return Pipeline(parts, namespace="data_processing", prefix_datasets_with_namespace=False)  # One group in Kedro-Viz.


def _prepare_nodes() -> list[Any]:
    """Files are accepted twice: once by their headers, before hours of decoding, and once when they are decoded."""
    return [
        Node(
            nodes.index_images,
            ["train_images", "test_images", "params:integrity"],
            ["indexed_images", "unreadable_files"],
            name="index_images",
        ),
        Node(
            nodes.keep_readable,
            ["indexed_images", "unreadable_files", "params:integrity"],
            "readable_images",
            name="keep_readable",
        ),
        Node(
            nodes.prepare_images,
            ["readable_images", "params:preparation", "stored_arrays"],
            ["prepared_images", "undecodable_rows"],
            name="prepare_images",
        ),
        Node(
            nodes.list_quarantine,
            ["readable_images", "unreadable_files", "undecodable_rows"],
            "quarantine",
            name="list_quarantine",
        ),
        Node(
            nodes.keep_decodable,
            ["readable_images", "quarantine", "params:integrity"],
            "image_index",
            name="keep_decodable",
        ),
    ]


def _split_nodes() -> list[Any]:
    return [
        Node(
            nodes.hash_images,
            ["prepared_images", "params:duplicates", "stored_arrays"],
            "image_hashes",
            name="hash_images",
        ),
        Node(
            nodes.find_duplicates,
            ["image_index", "image_hashes", "params:duplicates"],
            "duplicates",
            name="find_duplicates",
        ),
        Node(
            nodes.assign_subsets,
            ["image_index", "duplicates", "own_split", "params:hold_out"],
            "image_split",
            name="assign_subsets",
        ),
        Node(
            nodes.list_shifted_validation,
            ["image_split", "params:shift"],
            "shifted_validation",
            name="list_shifted_validation",
        ),
        Node(
            nodes.reacquire_validation,
            ["shifted_validation", "params:shift", "params:preparation", "stored_arrays"],
            "shifted_validation_images",
            name="reacquire_validation",
        ),
        Node(
            nodes.list_altered_test,
            ["image_split", "params:robustness"],
            "altered_test",
            name="list_altered_test",
        ),
        Node(
            nodes.reacquire_test,
            ["altered_test", "params:robustness", "params:preparation", "stored_arrays"],
            "altered_test_images",
            name="reacquire_test",
        ),
    ]


def _audit_nodes() -> list[Any]:
    return [
        Node(nodes.count_classes, "image_split", "class_counts", name="count_classes"),
        Node(nodes.fit_header_rule, "image_index", "header_rule", name="fit_header_rule"),
        Node(nodes.tabulate_headers, "image_index", "header_table", name="tabulate_headers"),
        Node(
            nodes.audit_images,
            ["image_split", "duplicates", "quarantine", "params:audit"],
            "audit",
            name="audit_images",
        ),
        Node(
            nodes.draw_data,
            ["image_index", "header_rule", "params:data_source"],
            ["example_radiographs", "data_figures"],
            name="draw_data",
        ),
    ]
