"""From new images and a packaged network to one row a file."""

from kedro.pipeline import Pipeline

from chest_xray.pipelines.prediction import nodes
from chest_xray.pipelines.wiring import make_node


def create_pipeline(run: str) -> Pipeline:
    """Wire the prediction by the packaged network of one run."""
    inputs = ["new_images", "packaged_keras", "params:prediction", "finished_shards"]
    return Pipeline(
        [make_node(nodes.predict_images, inputs, "predictions")],
        namespace=run,
        inputs={"new_images", "finished_shards"},
        outputs={"predictions"},
        parameters={"prediction"},
    )
