"""From a public address, or an archive at hand, to image folders."""

from kedro.pipeline import Node, Pipeline

from chest_xray.pipelines.download.nodes import locate_archive, unpack_archive


def create_pipeline() -> Pipeline:
    """Wire what runs before everything else, and only when it is asked for by name."""
    return Pipeline(
        [
            Node(locate_archive, "params:download", "image_archive", name="locate_archive"),
            Node(unpack_archive, ["image_archive", "params:unpacking"], "image_folders", name="unpack_archive"),
        ]
    )
