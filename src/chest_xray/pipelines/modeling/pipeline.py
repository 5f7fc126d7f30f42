"""From prepared images to a trained network and its operating point, once for each run."""

from kedro.pipeline import Pipeline

from chest_xray.pipelines.modeling import nodes
from chest_xray.pipelines.wiring import make_node


def create_pipeline(run: str, settings: str = "") -> Pipeline:
    """Wire training and the choice of the operating point for one run.

    `params:{settings}` holds its seed and augmentation, `params:{run}` by default.
    """
    settings = settings or run
    parts = [
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
    ]
    training_of_run = Pipeline(
        parts,
        namespace=run,
        inputs={"prepared_images", "image_split"},
        parameters={name: name for name in ("model", "training", "preparation", "data_source")} | {"run": settings},
    )
    return Pipeline([training_of_run, create_operating_point(run, settings)])


def create_operating_point(run: str, settings: str = "") -> Pipeline:
    """Wire what follows `{run}.model`: its scores under corruption and its operating point; see `create_pipeline`."""
    parts = [
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
    ]
    return Pipeline(
        parts,
        namespace=run,
        inputs={"corrupted_validation_images", "image_split"},
        parameters={name: name for name in ("operating_point", "validation_corruptions")} | {"run": settings or run},
    )
