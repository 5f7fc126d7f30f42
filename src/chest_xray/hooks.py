"""What crosses all pipelines: mistakes are found before the first node runs, and told in a sentence."""

import difflib
import sys
from collections.abc import Iterator
from types import TracebackType
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog, DatasetError
from kedro.pipeline import Node, Pipeline
from kedro.validation.exceptions import ParameterValidationError

from chest_xray.options import InputError

CATALOG_PARAMETERS = {"data_root", "images", "split_table"}  # The catalog reads them; no node does.


class CheckInputs:
    """Stops a run that cannot succeed, and names what to change."""

    @hook_impl
    def after_context_created(self) -> None:
        """Show mistakes of the user without a traceback."""
        sys.excepthook = _brief(sys.excepthook)

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Check what a run is given and what it needs.

        Raises:
            InputError: A parameter that nothing reads, or a dataset that another pipeline has yet to make.
        """
        from chest_xray.pipeline_registry import register_pipelines

        pipelines = register_pipelines()
        everything = sum(pipelines.values(), Pipeline([]))
        _refuse_unknown_parameters(run_params["runtime_params"], everything)
        made = pipeline.inputs() & everything.all_outputs()
        missing = {name for name in made if not catalog.exists(name)}
        if missing:
            makers = [
                name for name, each in pipelines.items() if name != "__default__" and each.all_outputs() & missing
            ]
            commands = " and then ".join(f"`kedro run --pipelines={name}`" for name in makers)
            raise InputError(
                f"cannot start: {', '.join(sorted(missing))} {'does' if len(missing) == 1 else 'do'} not exist yet. "
                f"Run {commands} first, with the same --env and --params."
            )


class ForgetCheckpoints:
    """Removes the checkpoint of a training once its model and history are saved, and no sooner."""

    @hook_impl
    def before_pipeline_run(self, catalog: DataCatalog) -> None:
        """Keep the catalog in reach."""
        self.catalog = catalog

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, node: Node) -> None:
        """Forget the checkpoint after the last output of the node that read it."""
        if dataset_name == node.outputs[-1]:
            for name in node.inputs:
                if name.rsplit(".", 1)[-1] == "checkpoint":
                    self.catalog.load(name).clear()


def _refuse_unknown_parameters(given: dict[str, Any], pipeline: Pipeline) -> None:
    names = {name.removeprefix("params:") for name in pipeline.inputs() if name.startswith("params:")}
    known = names | CATALOG_PARAMETERS
    for name in _dotted(given):
        if not any(f"{name}.".startswith(f"{each}.") for each in known):
            close = difflib.get_close_matches(name, known, n=1)
            raise InputError(
                f"received the parameter {name!r}, which nothing reads; expected one of {', '.join(sorted(known))}."
                + (f" Did you mean {close[0]!r}?" if close else "")
            )


def _dotted(given: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in given.items():
        if isinstance(value, dict) and value:
            yield from _dotted(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def _brief(otherwise: Any) -> Any:
    def show(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        misnamed = str(error).startswith("Failed to find the pipeline named")  # Kedro's, of no type of its own.
        if misnamed or isinstance(error, (InputError, DatasetError, ParameterValidationError)):
            print(f"\nError: {error}", file=sys.stderr)  # noqa: T201
        else:
            otherwise(kind, error, traceback)

    return show
