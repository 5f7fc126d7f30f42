"""From image folders to an index, an audit, a split and prepared pixels."""

from typing import Any

from kedro.pipeline import Node, Pipeline

from chest_xray.pipelines.data_processing import nodes
from chest_xray.reporting import report_contents as contents


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
            nodes.drop_unreadable,
            ["indexed_images", "unreadable_files", "params:integrity"],
            "readable_images",
            name="drop_unreadable",
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
            nodes.drop_undecodable,
            ["readable_images", "quarantine", "params:integrity"],
            "image_index",
            name="drop_undecodable",
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
            nodes.corrupt_validation,
            ["image_split", "params:validation_corruptions", "params:preparation", "stored_arrays"],
            "corrupted_validation_images",
            name="corrupt_validation",
        ),
        Node(
            nodes.corrupt_test,
            ["image_split", "params:robustness", "params:preparation", "stored_arrays"],
            "corrupted_test_images",
            name="corrupt_test",
        ),
    ]


def _audit_nodes() -> list[Any]:
    return [
        Node(nodes.count_classes, "image_split", "class_counts", name="count_classes"),
        Node(nodes.fit_metadata_baseline, "image_split", "metadata_baseline", name="fit_metadata_baseline"),
        Node(nodes.tabulate_headers, "image_index", "header_table", name="tabulate_headers"),
        Node(
            nodes.audit_images,
            ["image_split", "duplicates", "quarantine", "params:audit"],
            "audit",
            name="audit_images",
        ),
        Node(
            nodes.draw_data,
            ["image_index", "metadata_baseline", "params:data_source"],
            ["example_radiographs", "data_figures"],
            name="draw_data",
        ),
        Node(
            nodes.gather_evidence,
            {name: name for name in contents.list_data_datasets()},
            "data_evidence",
            name="gather_evidence",
        ),
    ]
