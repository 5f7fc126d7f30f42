"""From an archive to image folders, and from these to an index, an audit, a split and prepared pixels."""

from kedro.pipeline import Pipeline

from chest_xray.pipelines import make_node
from chest_xray.pipelines.data_processing import nodes
from chest_xray.reporting import report_contents as contents


def create_pipeline() -> Pipeline:
    """Wire the nodes that run once, before any network is trained.

    Files are checked twice: by their headers, before hours of decoding, and when they are decoded.
    """
    corrupting = ["params:preparation", "stored_arrays"]
    parts = [
        make_node(
            nodes.index_images,
            ["train_images", "test_images", "own_tables", "params:integrity", "params:patients"],
            ["indexed_images", "unreadable_files"],
        ),
        make_node(nodes.drop_unreadable, ["indexed_images", "unreadable_files", "params:integrity"], "readable_images"),
        make_node(
            nodes.prepare_images,
            ["readable_images", "params:preparation", "stored_arrays"],
            ["prepared_images", "undecodable_rows"],
        ),
        make_node(nodes.list_quarantine, ["readable_images", "unreadable_files", "undecodable_rows"], "quarantine"),
        make_node(nodes.drop_undecodable, ["readable_images", "quarantine", "params:integrity"], "image_index"),
        make_node(nodes.hash_images, ["prepared_images", "params:duplicates", "stored_arrays"], "image_hashes"),
        make_node(nodes.find_duplicates, ["image_index", "image_hashes", "params:duplicates"], "duplicates"),
        make_node(nodes.assign_subsets, ["image_index", "duplicates", "own_tables", "params:hold_out"], "image_split"),
        make_node(
            nodes.corrupt_validation,
            ["image_split", "params:validation_corruptions", *corrupting],
            "corrupted_validation_images",
        ),
        make_node(nodes.corrupt_test, ["image_split", "params:robustness", *corrupting], "corrupted_test_images"),
        make_node(nodes.count_classes, "image_split", "class_counts"),
        make_node(nodes.fit_metadata_baseline, "image_split", "metadata_baseline"),
        make_node(nodes.tabulate_headers, "image_index", "header_table"),
        make_node(nodes.audit_images, ["image_split", "duplicates", "quarantine", "params:audit"], "audit"),
        make_node(
            nodes.draw_data,
            ["image_index", "metadata_baseline", "params:data_source"],
            ["example_radiographs", "data_figures"],
        ),
        make_node(nodes.gather_evidence, {name: name for name in contents.list_data_datasets()}, "data_evidence"),
    ]
    return Pipeline(parts, namespace="data_processing", prefix_datasets_with_namespace=False)  # One group in Kedro-Viz.


def create_download() -> Pipeline:
    """Wire the download of the archive, or the use of one at hand; it runs only if requested by name."""
    return Pipeline(
        [
            make_node(nodes.locate_archive, "params:download", "archive_source"),
            make_node(nodes.download_archive, ["archive_source", "download_folder"], "image_archive"),
            make_node(nodes.unpack_archive, ["image_archive", "params:unpacking", "image_folder"], "unpacked_archive"),
        ]
    )
