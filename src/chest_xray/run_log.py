"""What a run prints: a line for each node, the results with the paths to open, and what is out of date after it."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import Any

import yaml
from kedro.framework.hooks import hook_impl
from kedro.framework.project import LOGGING
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Node, Pipeline

from chest_xray.core.provenance import Lineage
from chest_xray.hooks import ProjectHook, list_pipelines

logger = logging.getLogger(__name__)
QUICK = 0.5  # seconds; nodes that take less have no line
PAGES = {"report": "Report (in Russian: report.ru.html)", "predictions": "Predictions"}  # named at the end of a run
NUM_NAMED = 8  # outputs out of date that are named


class LogRun(ProjectHook):
    """Logs the nodes of a run and its results in place of Kedro, of which only warnings are shown."""

    @hook_impl
    def after_context_created(self, context: Any) -> None:
        """Store them, and configure logging in a folder below the project, where Kedro finds no `conf/logging.yml`."""
        super().after_context_created(context)
        path = self._project / "conf/logging.yml"  # missing in the installed package
        if self._project in Path.cwd().parents and "KEDRO_LOGGING_CONFIG" not in os.environ and path.is_file():
            LOGGING.configure(yaml.safe_load(path.read_text("utf-8")))

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Start counting."""
        self._catalog, self._num_nodes, self._num_done = catalog, len(pipeline.nodes), 0
        self._start, self._starts = monotonic(), dict[str, float]()

    @hook_impl
    def before_node_run(self, node: Node) -> None:
        """Note when a node starts."""
        self._starts[node.name] = monotonic()

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, node: Node) -> None:
        """Log a node once its last output is saved; at the debug level if it was quick or saved nothing to disk."""
        if dataset_name != node.outputs[-1]:
            return
        self._num_done += 1
        seconds = monotonic() - self._starts[node.name]
        in_memory = all(isinstance(self._catalog[name], MemoryDataset) for name in node.outputs)
        level = logging.DEBUG if in_memory or seconds < QUICK else logging.INFO
        logger.log(level, "%3d/%d %s, %.1f s", self._num_done, self._num_nodes, node.name, seconds)

    @hook_impl
    def after_pipeline_run(self, pipeline: Pipeline) -> None:
        """Log the results and where they are, and the outputs of other pipelines that are now out of date."""
        logger.info("%d nodes in %.0f s.", self._num_nodes, monotonic() - self._start)
        outputs = pipeline.all_outputs()
        runs = {name.removesuffix(".conclusions") for name in outputs if name.endswith(".conclusions")}
        for run in sorted(runs, key=lambda run: (run != "baseline", run)):
            metrics = self._catalog.load(f"{run}.metrics")
            accuracy = metrics.test.at_chosen.accuracy
            logger.info(
                "Run %s: accuracy %.3f [%.3f, %.3f] on %d test images: %s",
                metrics.run,
                accuracy.value,
                accuracy.low,
                accuracy.high,
                metrics.test.num_images,
                self._locate(f"{run}.conclusions"),
            )
        for name in PAGES.keys() & outputs:
            logger.info("%s: %s", PAGES[name], self._locate(name))
        _warn_of_stale_outputs(Lineage(self._folder / "lineage.json").list_stale(outputs))

    def _locate(self, name: str) -> str:
        path = Path(self._catalog[name]._describe()["filepath"])
        return str(path.relative_to(self._project) if path.is_relative_to(self._project) else path)


def _warn_of_stale_outputs(stale: Sequence[str]) -> None:
    makers = [name for name, pipeline in list_pipelines().items() if pipeline.all_outputs() & set(stale)]
    if makers:
        rest = f" and {len(stale) - NUM_NAMED} more" if len(stale) > NUM_NAMED else ""
        logger.warning(
            "Out of date, since what they were made from has changed: %s%s. To update them: kedro run --pipelines=%s, "
            "with the same --env and --params.",
            ", ".join(stale[:NUM_NAMED]),
            rest,
            ",".join(makers),
        )
