"""From a trained network and the test split to evidence, once for each run."""

from functools import cache

from kedro.pipeline import Node, Pipeline

from chest_xray.pipelines import make_node, robustness
from chest_xray.pipelines.evaluation import nodes
from chest_xray.reporting import report_contents as contents

SCORED = ["model", "prepared_images", "image_split", "operating_point"]
PREDICTIONS = ["validation_predictions", "test_predictions"]


def create_pipeline(run: str, *, is_trained: bool = True) -> Pipeline:
    """Wire the evaluation of one run.

    Args:
        run: The same name that its modeling pipeline has.
        is_trained: Whether the run is one training; an ensemble is not, and has no learning curves.
    """
    reported = {name: name for name in contents.list_run_datasets(is_trained=is_trained)} | {"params_run": "params:run"}
    others = [
        make_node(nodes.evaluate_with_keras, SCORED, "keras_evaluation"),
        make_node(
            nodes.measure_abstention,
            [*PREDICTIONS, "operating_point", "params:evaluation"],
            ["abstention", "abstention_curves"],
        ),
        make_node(
            nodes.draw_abstention,
            ["abstention_curves", "abstention", "metrics", "params:data_source"],
            "abstention_figures",
        ),
        make_node(nodes.cross_check, ["metrics", "keras_evaluation"], "cross_check"),
        make_node(
            nodes.compute_curves,
            [
                "validation_predictions",
                "corrupted_predictions",
                "test_predictions",
                "operating_point",
                "params:evaluation",
            ],
            "curves",
        ),
        make_node(
            nodes.draw_figures,
            ["curves", *PREDICTIONS, "metrics", "params:data_source"],
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
        make_node(nodes.describe_model, "model", "described_model"),
        make_node(nodes.gather_evidence, {**reported, "described_model": "described_model"}, "evidence"),
    ]
    evaluated = Pipeline(
        [*_wire_decisions(), *_wire_metrics(), *others],
        namespace=run,
        inputs={"prepared_images", "image_split"},
        parameters={name: name for name in ("evaluation", "data_source", "language", "operating_point")} | {"run": run},
    )
    return Pipeline([evaluated, robustness.create_pipeline(run)])


def create_decisions(run: str) -> Pipeline:
    """Wire the scores and the decisions on the test images of one run."""
    return Pipeline(
        _wire_decisions(),
        namespace=run,
        inputs={"prepared_images", "image_split"},
        parameters={"operating_point"},
    )


def create_metrics(run: str) -> Pipeline:
    """Wire the scores and the metrics of one run, without its figures and its robustness."""
    predict_test, _ = _wire_decisions()
    return Pipeline(
        [predict_test, *_wire_metrics()],
        namespace=run,
        inputs={"prepared_images", "image_split"},
        parameters={"evaluation"},
    )


# The nodes of a run without its namespace. The study and the ensemble copy them for each of their runs.
@cache
def _wire_decisions() -> tuple[Node, ...]:
    return (
        make_node(nodes.predict_test, SCORED, "test_predictions"),
        make_node(
            nodes.decide_images,
            ["test_predictions", "corrupted_predictions", "operating_point", "params:operating_point", "history"],
            "decisions",
        ),
    )


@cache
def _wire_metrics() -> tuple[Node, ...]:
    return (
        make_node(nodes.predict_validation, SCORED, "validation_predictions"),
        make_node(nodes.compute_metrics, [*PREDICTIONS, "operating_point", "params:evaluation"], "metrics"),
        make_node(
            nodes.measure_metadata_baseline,
            ["test_predictions", "image_split", "metrics", "params:evaluation"],
            "metadata_metrics",
        ),
        make_node(nodes.tabulate_metrics, ["metrics", "metadata_metrics"], "metrics_table"),
    )
