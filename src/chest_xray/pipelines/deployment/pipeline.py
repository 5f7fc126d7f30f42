"""From a trained network to its exported files, and from these and images to predictions and evaluations."""

from kedro.pipeline import Pipeline

from chest_xray.pipelines import make_node
from chest_xray.pipelines.deployment import nodes


def create_export(run: str) -> Pipeline:
    """Wire the export of one run."""
    parts = [
        make_node(nodes.fit_ood_detector, ["prepared_images", "image_split", "params:view_training"], "ood_detector"),
        make_node(
            nodes.measure_input_checks,
            ["prepared_images", "image_split", "ood_detector", "params:input_checks"],
            "input_checks",
        ),
        make_node(
            nodes.measure_reference,
            ["validation_predictions", "prepared_images", "image_split", "ood_detector", "params:shift_rule"],
            "reference",
        ),
        make_node(
            nodes.write_contract,
            ["image_split", "params:preparation", "operating_point", "input_checks", "reference"],
            "contract",
        ),
        make_node(
            nodes.export_model,
            ["model", "contract", "ood_detector"],
            ["packaged_keras", "packaged_onnx", "packaged_litert"],
        ),
    ]
    return Pipeline(
        parts,
        namespace=run,
        inputs={"prepared_images", "image_split"},
        parameters={"preparation", "input_checks", "shift_rule", "view_training"},
    )


def create_prediction(run: str) -> Pipeline:
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
