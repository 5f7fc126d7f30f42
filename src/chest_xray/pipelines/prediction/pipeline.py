"""From new images and a packaged network to one row per file and a summary; from labelled ones, to an evaluation."""

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


def create_external(run: str) -> Pipeline:
    """Wire the external evaluation of the packaged network of one run."""
    stored = ["external_predictions", "external_evaluation"]
    page_inputs = ["external_evaluation", "external_figure", "external_run_record", "params:report", "params:language"]
    return Pipeline(
        [
            make_node(
                nodes.predict_external,
                ["labelled_images", "packaged_keras", "params:external"],
                "external_predictions",
            ),
            make_node(
                nodes.evaluate_external,
                ["external_predictions", "packaged_keras", "metrics", "params:evaluation", "params:external"],
                "external_evaluation",
            ),
            make_node(nodes.draw_external_figure, stored, "external_figure"),
            make_node(nodes.write_external_page, page_inputs, "external_page"),
        ],
        namespace=run,
        inputs={"labelled_images", "external_run_record"},
        outputs={"external_predictions", "external_evaluation", "external_figure", "external_page"},
        parameters={"external", "evaluation", "report", "language"},
    )
