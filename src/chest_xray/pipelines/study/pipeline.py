"""The effect of each part of augmentation: arms of an experiment, each trained from several seeds, against none."""

from kedro.pipeline import Pipeline

from chest_xray.metrics.comparison import REFERENCE
from chest_xray.pipelines import evaluation, make_node, modeling
from chest_xray.pipelines.study import nodes

# As in conf/base/parameters_study.yml. Every arm and seed is a run of its own, `study_{arm}_{seed}`.
ARMS = (REFERENCE, "flip", "zoom", "tilt", "flip_zoom_tilt", "collimation", "everything")
SEEDS = (1, 2, 3)


def create_pipeline(arms: tuple[str, ...] = ARMS, seeds: tuple[int, ...] = SEEDS) -> Pipeline:
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
