"""Checks before the first node of a run: its command, its parameters, and the outputs of earlier runs that it reads."""

import difflib
import logging
import sys
from contextlib import suppress
from types import TracebackType
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.framework.project import pipelines
from kedro.io import DataCatalog, DatasetError, MemoryDataset
from kedro.pipeline import Node, Pipeline
from kedro.validation.exceptions import ParameterValidationError
from pydantic import BaseModel

from chest_xray.core.types import InputError, flatten
from chest_xray.hooks.runs import list_pipelines

logger = logging.getLogger(__name__)
# The catalog reads them; no node does.
CATALOG_PARAMETERS = {"data_root", "external_root", "images", "patient_table", "split_table"}
# Plain ValueErrors of Kedro: a pipeline, node, dataset or tag of the command does not exist.
KEDRO_MISTAKES = ("Failed to find the pipeline named", "Pipeline does not contain", "Pipeline contains no nodes")


class HideTracebacks:
    """Prints the user's mistakes without a traceback."""

    @hook_impl
    def after_context_created(self) -> None:
        """Replace the hook for uncaught exceptions."""
        show_traceback = sys.excepthook

        def show(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
            is_mistake = isinstance(error, (InputError, DatasetError, ParameterValidationError))
            if is_mistake or str(error).startswith(KEDRO_MISTAKES):
                print(f"\nError: {error}", file=sys.stderr)  # noqa: T201
            else:
                show_traceback(kind, error, traceback)

        sys.excepthook = show


class CheckCommand:
    """Refuses runners and parameters that cannot work."""

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any]) -> None:
        """Check `--runner` and `--params`.

        Raises:
            InputError: Nothing reads a parameter, or TensorFlow does not work under the runner.
        """
        runner = str(run_params.get("runner"))
        if "ParallelRunner" in runner:
            raise InputError(
                "received --runner=ParallelRunner; expected SequentialRunner (the default) or ThreadRunner: TensorFlow "
                "hangs in the processes that ParallelRunner forks."
            )
        if "ThreadRunner" in runner:
            with suppress(ImportError):
                import IPython  # noqa: F401  # Half imported by one thread, it makes Matplotlib fail in another.
        _refuse_unknown_parameters(run_params["runtime_params"])


def _refuse_unknown_parameters(parameters: dict[str, Any]) -> None:
    inputs = set().union(*(pipeline.inputs() for pipeline in pipelines.values()))
    known = {name.removeprefix("params:") for name in inputs if name.startswith("params:")} | CATALOG_PARAMETERS
    for name, _ in flatten(parameters):
        if not any(f"{name}.".startswith(f"{parent}.") for parent in known):
            close = difflib.get_close_matches(name, known, n=1)
            raise InputError(
                f"received the parameter {name!r}, which nothing reads; expected one of {', '.join(sorted(known))}."
                + (f" Did you mean {close[0]!r}?" if close else "")
            )


class UseShippedNetwork:
    """Predicts with the network of this package, if there is one, where the environment has none."""

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Put the network and its metrics into the catalog."""
        from chest_xray.models.shipping import KERAS, SHIPPED, has_shipped_network, read_metrics
        from chest_xray.serving.starting import METRICS, NETWORK

        if NETWORK in pipeline.inputs() and not catalog.exists(NETWORK) and has_shipped_network():
            logger.info("Network: %s of this package, since this environment has none of its own.", SHIPPED / KERAS)
            catalog[NETWORK] = MemoryDataset((SHIPPED / KERAS).read_bytes(), copy_mode="assign")
            if METRICS in pipeline.inputs():
                catalog[METRICS] = MemoryDataset(read_metrics(SHIPPED), copy_mode="assign")


class CompareSettings:
    """Warns before a training that would be compared with a run of other settings."""

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Compare the parameters of the augmented run with those of the baseline, planned or stored."""
        from chest_xray.metrics.comparison import RUNS, list_differing_settings

        baseline, augmented = RUNS
        if f"{augmented}.trained_model" not in pipeline.all_outputs() or f"params:{augmented}" not in catalog:
            return
        shared = {name: _load_plain(catalog, f"params:{name}") for name in ("model", "training", "preparation")}
        if f"params:{baseline}" in catalog and f"{baseline}.trained_model" in pipeline.all_outputs():
            first = shared | {"run": _load_plain(catalog, f"params:{baseline}")}
        elif catalog.exists(f"{baseline}.settings"):
            first = catalog.load(f"{baseline}.settings")
        else:
            return
        second = shared | {"run": _load_plain(catalog, f"params:{augmented}")}
        for setting in list_differing_settings(first, second):
            logger.warning(
                "The run %s has %s = %s, and %s would have %s: the comparison would not be of augmentation alone. Use "
                "the same value, or train both runs again.",
                baseline,
                setting.name,
                setting.first,
                augmented,
                setting.second,
            )


def _load_plain(catalog: DataCatalog, name: str) -> Any:
    """Return a parameter as it is stored in the settings of a run."""
    value = catalog.load(name)
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else value


class CheckInputs:
    """Refuses a run whose inputs other pipelines have yet to make."""

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Check that the inputs exist.

        Raises:
            InputError: Some do not; the message names the commands, or the nodes, that make them.
        """
        outputs = set().union(*(pipeline.all_outputs() for pipeline in pipelines.values()))
        missing = {name for name in pipeline.inputs() & outputs if not catalog.exists(name)}
        if missing:
            _refuse_missing_intermediates(missing, catalog)
            makers = _list_makers(missing, catalog)
            commands = " and then ".join(f"`kedro run --pipelines={name}`" for name in makers)
            raise InputError(
                f"cannot start: {', '.join(sorted(missing))} {'does' if len(missing) == 1 else 'do'} not exist yet. "
                f"Run {commands} first, with the same --env and --params."
            )


def _refuse_missing_intermediates(missing: set[str], catalog: DataCatalog) -> None:
    """Refuse a start in the middle of a pipeline (`--from-nodes`) without what earlier nodes of it pass on."""
    named = list_pipelines().values()
    crossing = set().union(*(pipeline.inputs() for pipeline in named))
    nodes = {output: node for pipeline in named for node in pipeline.nodes for output in node.outputs}
    intermediates, makers = missing - crossing, dict[str, Node]()
    waiting = sorted(intermediates)
    while waiting:
        node = nodes[waiting.pop()]
        if node.name not in makers:
            makers[node.name] = node
            unmade = (set(node.inputs) & set(nodes)) - crossing
            waiting += sorted(name for name in unmade if not catalog.exists(name))
    if intermediates:
        remade = {output for node in makers.values() for output in node.outputs}
        first = sorted(name for name, node in makers.items() if not set(node.inputs) & remade)
        raise InputError(
            f"cannot start: {', '.join(sorted(intermediates))} {'is' if len(intermediates) == 1 else 'are'} not "
            "stored; nodes of one pipeline pass such data on in memory. Start from what makes it: "
            f"--from-nodes={','.join(first)}"
        )


def _list_makers(missing: set[str], catalog: DataCatalog) -> list[str]:
    """List the pipelines that make what is missing, and what those miss in turn, in the order of the registry."""
    named = list_pipelines()
    outputs = set().union(*(pipeline.all_outputs() for pipeline in named.values()))
    makers: set[str] = set()
    while new := {name for name, pipeline in named.items() if pipeline.all_outputs() & missing} - makers:
        makers |= new
        inputs = set().union(*(named[name].inputs() for name in new)) & outputs
        missing = {name for name in inputs if not catalog.exists(name)}
    return [name for name in named if name in makers]
