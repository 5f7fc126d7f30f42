"""From prepared images to a trained network and its operating point, once for each run."""

from kedro.pipeline import Node, Pipeline

from chest_xray.pipelines.modeling import nodes, operating_point, training


def create_pipeline(run: str) -> Pipeline:
    """Wire training for one run.

    Args:
        run: Names the run: its datasets are `{run}.model` and so on, its augmentation is `params:{run}.augmentation`.
    """
    return Pipeline(
        [
            Node(
                nodes.build_model,
                ["prepared_images", "params:model", "params:training"],
                "untrained_model",
                name="build_model",
            ),
            Node(
                training.build_training_sets,
                ["prepared_images", "image_split", "params:training", "params:augmentation"],
                "training_sets",
                name="build_training_sets",
            ),
            Node(
                training.train_model,
                ["untrained_model", "training_sets", "params:training", "checkpoint"],
                ["model", "history"],
                name="train_model",
            ),
            Node(
                nodes.draw_learning_curves,
                ["history", "params:data_source"],
                "learning_curves",
                name="draw_learning_curves",
            ),
            Node(
                nodes.predict_shifted_validation,
                ["model", "shifted_validation_images", "shifted_validation"],
                "shifted_predictions",
                name="predict_shifted_validation",
            ),
            Node(
                operating_point.choose_operating_point,
                ["shifted_predictions", "params:operating_point"],
                "operating_point",
                name="choose_operating_point",
            ),
            Node(
                operating_point.summarise_shift,
                ["shifted_predictions", "operating_point"],
                "shift_metrics",
                name="summarise_shift",
            ),
        ],
        namespace=run,
        inputs={"prepared_images", "image_split", "shifted_validation_images", "shifted_validation"},
        parameters={"model", "training", "operating_point", "data_source"},
    )
