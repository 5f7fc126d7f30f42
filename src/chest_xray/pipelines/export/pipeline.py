"""From a trained network to its exported files, once for each run."""

from kedro.pipeline import Pipeline

from chest_xray.pipelines import make_node
from chest_xray.pipelines.export import nodes


def create_pipeline(run: str) -> Pipeline:
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
