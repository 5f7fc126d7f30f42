"""From a public address, or an archive at hand, to image folders."""

from kedro.pipeline import Pipeline

from chest_xray.pipelines import make_node
from chest_xray.pipelines.download import nodes


def create_pipeline() -> Pipeline:
    """Wire the download, which runs before everything else and only if requested by name."""
    return Pipeline(
        [
            make_node(nodes.locate_archive, "params:download", "archive_source"),
            make_node(nodes.download_archive, ["archive_source", "download_folder"], "image_archive"),
            make_node(nodes.unpack_archive, ["image_archive", "params:unpacking", "image_folder"], "unpacked_archive"),
        ]
    )
