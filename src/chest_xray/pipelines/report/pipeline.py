"""From what all other pipelines left to a page in every language and a model card."""

from collections.abc import Sequence

from kedro.pipeline import Node, Pipeline

from chest_xray.metrics.comparison import RUNS
from chest_xray.pipelines import make_node
from chest_xray.pipelines.report import nodes
from chest_xray.reporting import report_contents as contents


def create_pipeline(runs: Sequence[str] = RUNS) -> Pipeline:
    """Wire the page and the model card.

    Args:
        runs: Shown on the page in this order; the verdict and the model card are of the last one.
    """
    return Pipeline(_list_nodes(runs), namespace="reporting", prefix_datasets_with_namespace=False)


def _list_nodes(runs: Sequence[str]) -> list[Node]:
    stored = {name: name for name in ("data_evidence", "comparison_evidence", "run_record")}
    options = {f"params_{name}": f"params:{name}" for name in (*contents.PARAMETERS, "data_source")}
    evidence = {run: f"{run}.evidence" for run in runs}
    return [
        make_node(nodes.join_evidence, {**stored, **options}, "evidence"),
        make_node(
            nodes.write_report,
            {"evidence": "evidence", "report": "params:report", **evidence},
            "report",
        ),
        make_node(nodes.write_model_card, ["evidence", evidence[runs[-1]], "params:language"], "model_card"),
    ]
