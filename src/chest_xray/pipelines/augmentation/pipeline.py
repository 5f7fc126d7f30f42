"""Train and test once more on a train set enlarged by altered copies, and compare."""

import warnings

from kedro.pipeline import Node, Pipeline

from chest_xray.metrics.comparison import RUNS
from chest_xray.pipelines import evaluation, modeling
from chest_xray.pipelines.augmentation import nodes


def create_pipeline() -> Pipeline:
    """Wire the augmented run and its comparison with the baseline."""
    with warnings.catch_warnings():
        # Kedro warns of the dots in names; to read what two namespaces made takes them.
        warnings.filterwarnings("ignore", "One or more dataset names", UserWarning)
        comparison = _create_comparison()
    trained = modeling.create_pipeline("augmented") + evaluation.create_pipeline("augmented")
    return trained + _create_pictures() + comparison


def _create_pictures() -> Pipeline:
    images = ["prepared_images", "image_split", "params:preparation", "params:augmented", "params:data_source"]
    return Pipeline(
        [
            Node(
                nodes.draw_augmentation,
                images,
                ["augmented_examples", "augmentation_figures"],
                name="draw_augmentation",
            )
        ]
    )


def _create_comparison() -> Pipeline:
    return Pipeline(
        [
            Node(
                nodes.pair_predictions,
                ["baseline_predictions", "augmented_predictions", "baseline_point", "augmented_point"],
                "paired_predictions",
                name="pair_predictions",
            ),
            Node(
                nodes.compare_runs,
                ["paired_predictions", "params:evaluation"],
                "comparison",
                name="compare_runs",
            ),
            Node(nodes.tabulate_comparison, "comparison", "comparison_table", name="tabulate_comparison"),
            Node(
                nodes.draw_comparison,
                ["comparison", "params:data_source"],
                "comparison_figure",
                name="draw_comparison",
            ),
            Node(
                nodes.write_comparison,
                ["comparison", "baseline_history", "augmented_history", "params:data_source", "params:language"],
                "comparison_conclusions",
                name="write_comparison",
            ),
        ],
        inputs={
            f"{run}_{short}": f"{run}.{name}"
            for run in RUNS
            for short, name in (
                ("predictions", "test_predictions"),
                ("point", "operating_point"),
                ("history", "history"),
            )
        },
    )
