"""From new images and a packaged network to one row per file, and a summary of the delivery."""

from kedro.pipeline import Pipeline

from chest_xray.pipelines.prediction import nodes
from chest_xray.pipelines.wiring import make_node


def create_pipeline(run: str) -> Pipeline:
    """Wire the prediction by the packaged network of one run."""
    inputs = ["new_images", "packaged_keras", "params:prediction", "finished_shards"]
    summary_inputs = ["predictions", "packaged_keras", "params:language"]
    return Pipeline(
        [
            make_node(nodes.predict_images, inputs, "predictions"),
            make_node(nodes.summarise_predictions, summary_inputs, "delivery_summary"),
        ],
        namespace=run,
        inputs={"new_images", "finished_shards"},
        outputs={"predictions", "delivery_summary"},
        parameters={"prediction", "language"},
    )
