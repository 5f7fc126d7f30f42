"""From a trained network and the test split to evidence, once for each run."""

from kedro.pipeline import Pipeline

from chest_xray.pipelines import robustness
from chest_xray.pipelines.evaluation import nodes
from chest_xray.pipelines.wiring import make_node
from chest_xray.reporting import report_contents as contents


def create_pipeline(run: str, *, is_trained: bool = True) -> Pipeline:
    """Wire the evaluation of one run.

    Args:
        run: The same name that its modeling pipeline has.
        is_trained: Whether the run is one training; an ensemble is not, and has no learning curves.
    """
    predictions = ["validation_predictions", "test_predictions"]
    evaluated = Pipeline(
        [
            make_node(
                nodes.predict_validation,
                ["model", "prepared_images", "image_split", "operating_point"],
                "validation_predictions",
            ),
            make_node(
                nodes.evaluate_with_keras,
                ["model", "prepared_images", "image_split", "operating_point"],
                "keras_evaluation",
            ),
            make_node(nodes.compute_metrics, [*predictions, "operating_point", "params:evaluation"], "metrics"),
            make_node(
                nodes.measure_abstention,
                [*predictions, "operating_point", "params:evaluation"],
                ["abstention", "abstention_curves"],
            ),
            make_node(
                nodes.draw_abstention,
                ["abstention_curves", "abstention", "metrics", "params:data_source"],
                "abstention_figures",
            ),
            make_node(nodes.cross_check, ["metrics", "keras_evaluation"], "cross_check"),
            make_node(
                nodes.measure_metadata_baseline,
                ["test_predictions", "image_split", "metrics", "params:evaluation"],
                "metadata_metrics",
            ),
            make_node(nodes.tabulate_metrics, ["metrics", "metadata_metrics"], "metrics_table"),
            make_node(
                nodes.compute_curves,
                [
                    *("validation_predictions", "corrupted_predictions", "test_predictions"),
                    *("operating_point", "params:evaluation"),
                ],
                "curves",
            ),
            make_node(
                nodes.draw_figures,
                ["curves", *predictions, "metrics", "params:data_source"],
                ["roc_curve", "confusion_matrices", "figures"],
            ),
            make_node(
                nodes.draw_threshold_explorer,
                ["test_predictions", "metrics", "params:data_source", "params:language"],
                "threshold_explorer",
            ),
            make_node(
                nodes.write_conclusions,
                ["metrics", "history", "metadata_metrics", "params:data_source", "params:language"],
                "conclusions",
            ),
        ],
        namespace=run,
        inputs={"prepared_images", "image_split"},
        parameters={"evaluation", "data_source", "language"},
    )
    shown = {name: name for name in contents.list_run_datasets(is_trained=is_trained)} | {"params_run": "params:run"}
    gathered = Pipeline(
        [
            make_node(nodes.describe_model, "model", "described_model"),
            make_node(nodes.gather_evidence, {**shown, "described_model": "described_model"}, "evidence"),
        ],
        namespace=run,
        parameters={"run": run},
    )
    return Pipeline([create_decisions(run), evaluated, robustness.create_pipeline(run), gathered])


def create_decisions(run: str) -> Pipeline:
    """Wire the scores and the decisions on the test images of one run."""
    decided = [
        make_node(
            nodes.predict_test, ["model", "prepared_images", "image_split", "operating_point"], "test_predictions"
        ),
        make_node(
            nodes.decide_images,
            ["test_predictions", "corrupted_predictions", "operating_point", "params:operating_point", "history"],
            "decisions",
        ),
    ]
    return Pipeline(decided, namespace=run, inputs={"prepared_images", "image_split"}, parameters={"operating_point"})
