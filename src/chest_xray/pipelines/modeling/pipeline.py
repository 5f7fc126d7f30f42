"""From prepared images to a trained network and its operating point, once for each run."""

from functools import cache

from kedro.pipeline import Node, Pipeline

from chest_xray.pipelines import make_node
from chest_xray.pipelines.modeling import nodes

INPUTS = ("prepared_images", "image_split", "corrupted_validation_images")
PARAMETERS = ("model", "training", "preparation", "data_source", "operating_point", "validation_corruptions")


def create_pipeline(run: str, settings: str = "", *, keeps_checkpoint: bool = False) -> Pipeline:
    """Wire training and the choice of the operating point for one run.

    Args:
        run: Its name.
        settings: `params:{settings}` holds its seed and augmentation, `params:{run}` by default.
        keeps_checkpoint: Whether its checkpoint outlives the training, so that a complete run is not trained again.
    """
    # Only datasets named `checkpoint` are removed after training.
    checkpoint = f"{run}.training_state" if keeps_checkpoint else f"{run}.checkpoint"
    return Pipeline(
        [*_wire_training(), *_wire_operating_point()],
        namespace=run,
        inputs={name: name for name in INPUTS} | {"checkpoint": checkpoint},
        parameters={name: name for name in PARAMETERS} | {"run": settings or run},
    )


def create_operating_point(run: str) -> Pipeline:
    """Wire what follows `{run}.model`: its scores under corruption and its operating point."""
    return Pipeline(
        _wire_operating_point(),
        namespace=run,
        inputs={"corrupted_validation_images", "image_split"},
        parameters={name: name for name in ("operating_point", "validation_corruptions")} | {"run": run},
    )


# The nodes of a run without its namespace. The study copies them for each of its runs.
@cache
def _wire_training() -> tuple[Node, ...]:
    return (
        make_node(nodes.build_model, ["prepared_images", "params:model", "params:run"], "untrained_model"),
        make_node(
            nodes.build_training_sets,
            ["prepared_images", "image_split", "params:preparation", "params:training", "params:run"],
            "training_sets",
        ),
        make_node(
            nodes.train_model,
            ["untrained_model", "training_sets", "params:training", "checkpoint"],
            ["trained_model", "history"],
        ),
        make_node(
            nodes.record_settings,
            ["history", "params:model", "params:training", "params:preparation", "params:run"],
            "settings",
        ),
        make_node(nodes.prepare_scoring, ["trained_model", "params:run"], "model"),
        make_node(
            nodes.draw_learning_curves,
            ["history", "image_split", "params:run", "params:data_source"],
            "learning_curves",
        ),
    )


@cache
def _wire_operating_point() -> tuple[Node, ...]:
    return (
        make_node(
            nodes.predict_corrupted_validation,
            ["model", "corrupted_validation_images", "image_split", "params:validation_corruptions"],
            "corrupted_predictions",
        ),
        make_node(
            nodes.choose_operating_point,
            ["corrupted_predictions", "params:operating_point", "params:run"],
            "operating_point",
        ),
        make_node(
            nodes.summarise_corruptions,
            ["corrupted_predictions", "operating_point", "params:operating_point"],
            "corruption_metrics",
        ),
    )
