"""From what all other pipelines left to one page and a model card."""

import warnings
from collections.abc import Sequence

from kedro.pipeline import Node, Pipeline

from chest_xray.metrics.comparison import RUNS
from chest_xray.pipelines.report import nodes
from chest_xray.reporting import report_contents as contents


def create_pipeline(runs: Sequence[str] = RUNS) -> Pipeline:
    """Wire the page and the model card.

    Args:
        runs: Shown on the page in this order; the last one is judged, and the model card is of it.
    """
    with warnings.catch_warnings():
        # Kedro warns of the dots in names; to read what namespaces made takes them.
        warnings.filterwarnings("ignore", "One or more dataset names", UserWarning)
        return sum((_gather_run(run) for run in runs), _gather_shared()) + _write(runs)


def _gather_run(run: str) -> Pipeline:
    inputs = {name: name for name in contents.list_run_datasets()} | {"params_run": "params:run"}
    gather = Node(nodes.gather_evidence, inputs, "evidence", name="gather_evidence")
    return Pipeline([gather], namespace=run, parameters={"run": run})


def _gather_shared() -> Pipeline:
    shown = {name: name for name in contents.list_shared_datasets()}
    options = {f"params_{name}": f"params:{name}" for name in contents.PARAMETERS}
    histories = {f"{run}_history": f"{run}.history" for run in RUNS}
    source = {"run_record": "run_record", "params_data_source": "params:data_source"}
    everything = {**shown, **source, **options, **histories}
    return Pipeline([Node(nodes.gather_evidence, everything, "evidence", name="gather_evidence")])


def _write(runs: Sequence[str]) -> Pipeline:
    last = runs[-1]
    evidence = {run: f"{run}.evidence" for run in runs}
    return Pipeline(
        [
            Node(
                nodes.write_report,
                {"evidence": "evidence", "report": "params:report", "language": "params:language", **evidence},
                "report",
                name="write_report",
            ),
            Node(nodes.describe_model, f"{last}.model", "described_model", name="describe_model"),
            Node(
                nodes.write_model_card,
                ["evidence", f"{last}.evidence", "described_model", "params:language"],
                "model_card",
                name="write_model_card",
            ),
        ]
    )
