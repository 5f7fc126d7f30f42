"""Training and test with augmentation, and the comparison with the baseline."""

import warnings

from kedro.pipeline import Pipeline

from chest_xray.metrics.comparison import RUNS
from chest_xray.pipelines import evaluation, make_node, modeling
from chest_xray.pipelines.augmentation import nodes
from chest_xray.reporting.report_contents import list_comparison_datasets


def create_pipeline() -> Pipeline:
    """Wire the augmented run and its comparison with the baseline."""
    images = ["prepared_images", "image_split", "params:preparation", "params:augmented", "params:data_source"]
    about = ["params:data_source", "params:language"]
    with warnings.catch_warnings():
        # Kedro warns of the dots in names of other namespaces.
        warnings.filterwarnings("ignore", "One or more dataset names", UserWarning)
        parts = [
            make_node(nodes.draw_augmentation, images, ["augmented_examples", "augmentation_figures"]),
            make_node(nodes.pair_decisions, [f"{run}.evidence" for run in RUNS], "paired_predictions"),
            make_node(
                nodes.compare_runs,
                ["paired_predictions", *(f"{run}.evidence" for run in RUNS), "params:evaluation", "run_record"],
                "comparison",
            ),
            make_node(nodes.tabulate_comparison, "comparison", "comparison_table"),
            make_node(nodes.draw_comparison, ["comparison", "params:data_source"], "comparison_figure"),
            make_node(nodes.write_comparison, ["comparison", *about], "comparison_conclusions"),
            make_node(
                nodes.gather_evidence, {name: name for name in list_comparison_datasets()}, "comparison_evidence"
            ),
        ]
        # One group in Kedro-Viz.
        comparison = Pipeline(parts, namespace="reporting", prefix_datasets_with_namespace=False)
    return Pipeline([modeling.create_pipeline("augmented"), evaluation.create_pipeline("augmented"), comparison])
