"""Score a recipe on train alone: one network per fold, validated on a block of file numbers that it never saw."""

from kedro.pipeline import Pipeline

from chest_xray.pipelines import make_node, modeling
from chest_xray.pipelines.cross_validation import nodes
from chest_xray.pipelines.data_processing.nodes import corrupt_validation

FOLDS = tuple(f"fold_{number}" for number in range(1, 6))  # `cross_validation.num_folds` of them


def create_pipeline(folds: tuple[str, ...] = FOLDS) -> Pipeline:
    """Wire one training for each fold, with `params:cross_validation.run`, and the score over all folds."""
    predictions = {fold: f"{fold}.corrupted_predictions" for fold in folds}
    splits = [f"{fold}.image_split" for fold in folds]
    around = Pipeline(
        [
            make_node(nodes.split_folds, ["image_split", "duplicates", "params:cross_validation.blocks"], splits),
            make_node(nodes.measure_recipe, predictions, "recipe_score"),
        ]
    )
    return Pipeline([around, *map(_create_fold, folds)])


def _create_fold(fold: str) -> Pipeline:
    inputs = ["image_split", "params:validation_corruptions", "params:preparation", "stored_arrays"]
    corrupted = Pipeline(
        [make_node(corrupt_validation, inputs, "corrupted_validation_images")],
        namespace=fold,
        parameters={"validation_corruptions", "preparation"},
    )
    trained = modeling.create_pipeline(fold, "cross_validation.run", keeps_checkpoint=True)
    own = {name: f"{fold}.{name}" for name in ("image_split", "corrupted_validation_images")}
    return Pipeline([corrupted, Pipeline(trained.to_outputs(f"{fold}.corrupted_predictions"), inputs=own)])
