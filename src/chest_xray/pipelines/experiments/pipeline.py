"""Pipelines that train many networks: on folds of train, from other seeds, and with each part of augmentation."""

from kedro.pipeline import Pipeline

from chest_xray.metrics.comparison import REFERENCE
from chest_xray.pipelines import evaluation, make_node, modeling
from chest_xray.pipelines.data_processing.nodes import corrupt_validation
from chest_xray.pipelines.experiments import nodes

FOLDS = tuple(f"fold_{number}" for number in range(1, 6))  # `cross_validation.num_folds` of them
OTHER_SEEDS = ("seed_2", "seed_3", "seed_4", "seed_5")  # runs of their own, in conf/base/parameters_ensemble.yml
MEMBERS = ("augmented", *OTHER_SEEDS)
# As in conf/base/parameters_study.yml. Every arm and seed is a run of its own, `study_{arm}_{seed}`.
ARMS = (REFERENCE, "flip", "zoom", "tilt", "flip_zoom_tilt", "collimation", "everything")
SEEDS = (1, 2, 3)


def create_cross_validation(folds: tuple[str, ...] = FOLDS) -> Pipeline:
    """Wire one training for each fold, with `params:cross_validation.run`, and the score over all folds.

    Each network is validated on a block of file numbers that it never saw; the test split is not read.
    """
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


def create_ensemble() -> Pipeline:
    """Wire the augmented network from other seeds, each a run of its own, and the run `ensemble` that averages all."""
    joined = Pipeline(
        [
            make_node(nodes.join_models, [f"{run}.model" for run in MEMBERS], "ensemble.model"),
            make_node(nodes.average_histories, [f"{run}.history" for run in MEMBERS], "ensemble.history"),
            make_node(nodes.tabulate_members, {run: f"{run}.metrics" for run in MEMBERS}, "members_table"),
        ]
    )
    measured = [evaluation.create_metrics(run) for run in OTHER_SEEDS]
    members = [modeling.create_pipeline(run) for run in OTHER_SEEDS]
    ensemble = [modeling.create_operating_point("ensemble"), evaluation.create_pipeline("ensemble", is_trained=False)]
    return Pipeline([joined, *members, *measured, *ensemble])


def create_study(arms: tuple[str, ...] = ARMS, seeds: tuple[int, ...] = SEEDS) -> Pipeline:
    """Wire training and test of every arm from every seed, and the comparison of each arm with "none".

    All arms have the same seeds, at least two, so that differences are paired.
    """
    names = [f"{arm}_{seed}" for arm in arms for seed in seeds]
    comparison = [
        make_node(nodes.join_runs, {name: f"study_{name}.decisions" for name in names}, "study_predictions"),
        make_node(nodes.compare_arms, ["study_predictions", "params:evaluation"], "study"),
        make_node(nodes.tabulate_study, "study", ["study_table", "study_runs"]),
        make_node(nodes.draw_study, ["study", "params:data_source"], "study_figure"),
        make_node(nodes.write_study, ["study", "params:data_source", "params:language"], "study_conclusions"),
    ]
    runs = [f"study_{name}" for name in names]
    trained = [
        modeling.create_pipeline(run, f"study.runs.{name}", keeps_checkpoint=True)
        for run, name in zip(runs, names, strict=True)
    ]
    return Pipeline([*comparison, *trained, *map(evaluation.create_decisions, runs)])
