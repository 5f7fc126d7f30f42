"""From new images and a packaged network to one row per file, and a summary of the batch."""

from kedro.pipeline import Pipeline

from chest_xray.pipelines import make_node
from chest_xray.pipelines.prediction import nodes


def create_pipeline(run: str) -> Pipeline:
    """Wire the prediction by the packaged network of one run."""
    inputs = ["new_images", "packaged_keras", "params:prediction", "finished_shards"]
    summary_inputs = ["predictions", "packaged_keras", "params:language"]
    return Pipeline(
        [
            make_node(nodes.predict_images, inputs, "predictions"),
            make_node(nodes.summarise_predictions, summary_inputs, "batch_summary"),
        ],
        namespace=run,
        inputs={"new_images", "finished_shards"},
        outputs={"predictions", "batch_summary"},
        parameters={"prediction", "language"},
    )
