"""From image folders to an index, an audit, a split and prepared pixels."""

from typing import Any

from kedro.pipeline import Node, Pipeline

from chest_xray.pipelines.data_processing.audit import (
    audit_images,
    count_classes,
    draw_headers,
    tabulate_headers,
)
from chest_xray.pipelines.data_processing.duplicates import find_duplicates, hash_images
from chest_xray.pipelines.data_processing.examples import draw_example_radiographs
from chest_xray.pipelines.data_processing.header_rule import draw_header_rule, fit_header_rule
from chest_xray.pipelines.data_processing.index import index_images, keep_decodable, keep_readable
from chest_xray.pipelines.data_processing.prepare import list_quarantine, prepare_images
from chest_xray.pipelines.data_processing.robustness import list_altered_test, reacquire_test
from chest_xray.pipelines.data_processing.shift import list_shifted_validation, reacquire_validation
from chest_xray.pipelines.data_processing.split import assign_subsets


def create_pipeline() -> Pipeline:
    """Wire the nodes that run once, before any network is trained."""
    nodes = [*_prepare_nodes(), *_split_nodes(), *_audit_nodes()]
    return Pipeline(nodes, namespace="data_processing", prefix_datasets_with_namespace=False)  # One group in Kedro-Viz.


def _prepare_nodes() -> list[Any]:
    """Files are accepted twice: once by their headers, before hours of decoding, and once when they are decoded."""
    return [
        Node(
            index_images,
            ["train_images", "test_images", "params:integrity"],
            ["indexed_images", "unreadable_files"],
            name="index_images",
        ),
        Node(
            keep_readable,
            ["indexed_images", "unreadable_files", "params:integrity"],
            "readable_images",
            name="keep_readable",
        ),
        Node(
            prepare_images,
            ["readable_images", "params:preparation"],
            ["prepared_images", "undecodable_rows"],
            name="prepare_images",
        ),
        Node(
            list_quarantine,
            ["readable_images", "unreadable_files", "undecodable_rows"],
            "quarantine",
            name="list_quarantine",
        ),
        Node(
            keep_decodable,
            ["readable_images", "quarantine", "params:integrity"],
            "image_index",
            name="keep_decodable",
        ),
    ]


def _split_nodes() -> list[Any]:
    return [
        Node(hash_images, ["prepared_images", "params:duplicates"], "image_hashes", name="hash_images"),
        Node(
            find_duplicates,
            ["image_index", "image_hashes", "params:duplicates"],
            "duplicates",
            name="find_duplicates",
        ),
        Node(
            assign_subsets,
            ["image_index", "duplicates", "own_split", "params:hold_out"],
            "image_split",
            name="assign_subsets",
        ),
        Node(
            list_shifted_validation,
            ["image_split", "params:shift"],
            "shifted_validation",
            name="list_shifted_validation",
        ),
        Node(
            reacquire_validation,
            ["shifted_validation", "params:shift", "params:preparation"],
            "shifted_validation_images",
            name="reacquire_validation",
        ),
        Node(
            list_altered_test,
            ["image_split", "params:robustness"],
            "altered_test",
            name="list_altered_test",
        ),
        Node(
            reacquire_test,
            ["altered_test", "params:robustness", "params:preparation"],
            "altered_test_images",
            name="reacquire_test",
        ),
    ]


def _audit_nodes() -> list[Any]:
    return [
        Node(count_classes, "image_split", "class_counts", name="count_classes"),
        Node(fit_header_rule, "image_index", "header_rule", name="fit_header_rule"),
        Node(tabulate_headers, "image_index", "header_table", name="tabulate_headers"),
        Node(
            audit_images,
            ["image_split", "duplicates", "quarantine", "params:audit"],
            "audit",
            name="audit_images",
        ),
        Node(draw_headers, ["image_index", "params:data_source"], "header_figure", name="draw_headers"),
        Node(
            draw_header_rule,
            ["image_index", "header_rule", "params:data_source"],
            "header_rule_figure",
            name="draw_header_rule",
        ),
        Node(
            draw_example_radiographs,
            ["image_index", "params:data_source"],
            "example_radiographs",
            name="draw_example_radiographs",
        ),
    ]
