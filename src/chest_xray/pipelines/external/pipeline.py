"""From labelled images of another site and a packaged network to metrics beside the internal test, and a page."""

from kedro.pipeline import Pipeline

from chest_xray.pipelines import make_node
from chest_xray.pipelines.external import nodes

OUTPUTS = {"external_predictions", "external_evaluation", "external_figure", "external_page"}


def create_pipeline(run: str) -> Pipeline:
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
        outputs=OUTPUTS,
        parameters={"external", "evaluation", "report", "language"},
    )
