"""The augmented network trained from other seeds, and the mean of all."""

from kedro.pipeline import Pipeline

from chest_xray.pipelines import evaluation, make_node, modeling
from chest_xray.pipelines.ensemble import nodes

OTHER_SEEDS = ("seed_2", "seed_3", "seed_4", "seed_5")  # runs of their own, in conf/base/parameters_ensemble.yml
MEMBERS = ("augmented", *OTHER_SEEDS)


def create_pipeline() -> Pipeline:
    """Wire the other members, each a run of its own, and the run `ensemble` that joins all."""
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
