"""From files of one's own and a packaged network to one row a file."""

from kedro.pipeline import Node, Pipeline

from chest_xray.pipelines.prediction.nodes import plan_predictions


def create_pipeline(run: str) -> Pipeline:
    """Wire the prediction by the packaged network of one run.

    Args:
        run: The same name that its export pipeline has.
    """
    return Pipeline(
        [
            Node(
                plan_predictions,
                ["new_images", "packaged_keras", "params:prediction"],
                "predictions",
                name="plan_predictions",
            )
        ],
        namespace=run,
        inputs={"new_images"},
        outputs={"predictions"},
        parameters={"prediction"},
    )
