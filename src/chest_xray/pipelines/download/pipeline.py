"""From a public address, or an archive at hand, to image folders."""

from kedro.pipeline import Pipeline

from chest_xray.pipelines.download.nodes import locate_archive, unpack_archive
from chest_xray.pipelines.wiring import named


def create_pipeline() -> Pipeline:
    """Wire what runs before everything else, and only when it is asked for by name."""
    return Pipeline(
        [
            named(locate_archive, "params:download", "image_archive"),
            named(unpack_archive, ["image_archive", "params:unpacking"], "image_folders"),
        ]
    )
