"""What crosses all pipelines: locks, lineage, checkpoints, the record of a run, and what it prints."""

import json
import logging
import os
import shutil
import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import Any

import yaml
from kedro.framework.hooks import hook_impl
from kedro.framework.project import LOGGING, pipelines
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Node, Pipeline

from chest_xray.core.files import PART
from chest_xray.core.provenance import PRESENTATION, Lineage, describe_opening, describe_run, is_parameter
from chest_xray.core.types import InputError

logger = logging.getLogger(__name__)
# In the data folder, of runs that make results and of those that predict; a .json file beside each names its holder.
RESULTS_LOCK, PREDICTIONS_LOCK = ".run.lock", ".prediction.lock"
HOLDERS = {f"{lock}.json" for lock in (RESULTS_LOCK, PREDICTIONS_LOCK)}
PREDICTIONS = "predictions"
PREDICTION_OUTPUTS = {PREDICTIONS, "batch_summary"}
UNPACKED = "unpacked_images"  # may hold a million files, none of them half written
TEST_OPENINGS = "test_openings"
STUDY = "study"
COMPARED_RECORD = "run_record"  # read by the comparison of two runs, too
RUN_RECORDS = {COMPARED_RECORD, "external_run_record"}
UNTRACKED = {"checkpoint", *RUN_RECORDS, *PREDICTION_OUTPUTS}  # change during a run, or have a lock of their own
QUICK = 0.5  # seconds; nodes that take less have no line
PAGES = {"report": "Report (in Russian: report.ru.html)", PREDICTIONS: "Predictions"}  # named at the end of a run
NUM_NAMED = 8  # outputs out of date that are named


def list_pipelines() -> dict[str, Pipeline]:
    """Return the pipelines of the project by name, without the one that joins several."""
    return {name: pipeline for name, pipeline in pipelines.items() if name != "__default__"}


class ProjectHook:
    """A hook that uses the data folder and the parameters."""

    @hook_impl
    def after_context_created(self, context: Any) -> None:
        """Store the folders of project and data, and the parameters."""
        self._project = Path(context.project_path)
        self._folder = Path(context.project_path, str(context.config_loader["globals"]["data_dir"]))
        self._parameters: dict[str, Any] = context.params  # models, where nodes take them as such

    def _parameter(self, name: str) -> Any:
        """Return the value of `params:a.b`, `a.b` or `parameters`."""
        value: Any = self._parameters
        for key in name.removeprefix("params:").split(".") if name != "parameters" else ():
            value = value.get(key) if isinstance(value, dict) else getattr(value, key, None)
        return value


class RunLock(ProjectHook):
    """Lets one run at a time write into a data folder, and refuses to read outputs of different origin.

    Runs that write only predictions have a lock of their own, and run beside others.
    """

    def __init__(self) -> None:
        self._locks: list[Any] = []

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Lock the folder, and check the origin of the inputs.

        Raises:
            InputError: Another run writes into the folder; or see `Lineage.require_one_origin`.
        """
        self.after_pipeline_run()
        self._catalog, self._lineage = catalog, None
        outputs = {name.rsplit(".", 1)[-1] for name in pipeline.all_outputs()}
        self._writes = outputs - PREDICTION_OUTPUTS
        try:
            if self._writes:
                self._acquire(RESULTS_LOCK)
            if outputs & PREDICTION_OUTPUTS:
                self._acquire(PREDICTIONS_LOCK)
            self._remove_parts(outputs)
            self._lineage = Lineage(self._folder / "lineage.json")
            makers = {output: name for name, maker in list_pipelines().items() for output in maker.all_outputs()}
            read = {name: path for name in pipeline.inputs() & set(makers) if (path := self._path_of(name))}
            preparing = {name for name in pipelines["data_processing"].inputs() if is_parameter(name)}
            parameters = {name: self._parameter(name) for name in preparing - PRESENTATION}
            self._lineage.require_one_origin(read, parameters, makers)
        except BaseException:
            self.after_pipeline_run()
            raise

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, node: Node) -> None:
        """Record what an output was made from."""
        if self._lineage is not None and self._writes:
            inputs = [(name, self._parameter(name) if is_parameter(name) else None) for name in node.inputs]
            self._lineage.record(dataset_name, self._path_of(dataset_name), inputs)

    @hook_impl
    def after_pipeline_run(self) -> None:
        """Release the locks, and remove a folder that the run has written nothing to."""
        for lock in self._locks:  # The operating system releases those of a process that was killed.
            lock.release()
        locks = [Path(lock.lock_file).name for lock in self._locks]
        names = {*locks, *(f"{lock}.json" for lock in locks)}
        if names and {path.name for path in self._folder.iterdir()} <= names:
            for name in names:
                (self._folder / name).unlink(missing_ok=True)
            with suppress(OSError):  # Not empty, or not ours.
                for folder in (self._folder, *self._folder.parents):
                    if folder == self._project:
                        break
                    folder.rmdir()
        self._locks = []

    on_pipeline_error = after_pipeline_run

    def _remove_parts(self, outputs: set[str]) -> None:
        """Remove incomplete files of runs that were killed, where this run holds the lock.

        Data folders of other environments below this one, such as `data/demo`, have locks of their own.
        """
        for parent, folders, files in os.walk(self._folder):
            if Path(parent) != self._folder and not HOLDERS.isdisjoint(files):
                folders.clear()
            for name in [folder for folder in folders if folder.startswith(PART)]:
                folders.remove(name)
                if PREDICTIONS in outputs if PREDICTIONS in Path(parent).parts else self._writes:
                    shutil.rmtree(Path(parent, name), ignore_errors=True)
            folders[:] = [folder for folder in folders if not folder.startswith("01_") and folder != UNPACKED]

    def _acquire(self, name: str) -> None:
        from filelock import FileLock, Timeout

        lock, holder = FileLock(self._folder / name), self._folder / f"{name}.json"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=0)
            since = datetime.now().astimezone().isoformat(" ", "seconds")
            holder.write_text(json.dumps({"process": os.getpid(), "since": since}), "utf-8")
        except Timeout as error:
            try:
                holding = json.loads(holder.read_text("utf-8"))
                about = f"process {holding['process']}, since {holding['since']}"
            except (OSError, ValueError, KeyError):
                about = "another process"
            raise InputError(
                f"another run is writing into {self._folder} ({about}); expected none, since results would be "
                "mixed. Wait until it ends, or give this run an environment of its own (--env)."
            ) from error
        except OSError as error:
            lock.release()
            raise InputError(
                f"cannot write into {self._folder}: {error.strerror or error}. Make it writable, make room, or name "
                "another folder in conf/base/globals.yml (data_dir)."
            ) from error
        self._locks.append(lock)

    def _path_of(self, name: str) -> Path | None:
        """Return the path of an output on a local disk; None for outputs elsewhere, and for `UNTRACKED` ones."""
        if name not in self._catalog or name.rsplit(".", 1)[-1] in UNTRACKED:
            return None
        described = self._catalog[name]._describe()
        path, is_local = str(described.get("filepath") or ""), described.get("protocol", "file") in ("file", None)
        return Path(path) if path and is_local and "://" not in path else None


class RemoveCheckpoints:
    """Removes the checkpoint of a training once all outputs of its node are saved."""

    @hook_impl
    def before_pipeline_run(self, catalog: DataCatalog) -> None:
        """Store the catalog."""
        self.catalog = catalog

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, node: Node) -> None:
        """Remove the checkpoint after the last output of the node that read it."""
        if dataset_name == node.outputs[-1]:
            for name in node.inputs:
                if name.rsplit(".", 1)[-1] == "checkpoint":
                    self.catalog.load(name).clear()


class RecordRun(ProjectHook):
    """Saves the record of a run just before a node reads it, and records each time that test is scored."""

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any], catalog: DataCatalog) -> None:
        """Store the time and the parameters of the run."""
        self.started, self.clock = datetime.now(UTC), monotonic()
        self.run_params, self.catalog, self._lock = run_params, catalog, Lock()

    @hook_impl
    def before_dataset_loaded(self, dataset_name: str) -> None:
        """Save the record, with the seconds up to now.

        `run_record` has a key `study`: the comparison (`compare_runs`) quotes a study of several seeds where there is
        one. As an input of its node, it would have to exist before two runs can be compared.
        """
        if dataset_name in RUN_RECORDS:
            study = {STUDY: self._find_study()} if dataset_name == COMPARED_RECORD else {}
            self.catalog.save(dataset_name, self._describe() | study)

    @hook_impl
    def after_node_run(self, inputs: dict[str, Any], outputs: dict[str, Any]) -> None:
        """Add to `test_openings` what scored the test split, with the record of the run."""
        for name in outputs:
            run, _, dataset = name.rpartition(".")
            if dataset == "test_predictions":
                model, recipe = inputs[f"{run}.model"], inputs[f"{run}.operating_point"].run
                opening = describe_opening(run, recipe, len(outputs[name]), model.get_weights())
                with self._lock:  # The ThreadRunner may score several runs at once.
                    openings = self.catalog.load(TEST_OPENINGS) if self.catalog.exists(TEST_OPENINGS) else []
                    self.catalog.save(TEST_OPENINGS, [*openings, {**opening, "record": self._describe()}])

    def _find_study(self) -> dict[str, Any] | None:
        """Return the study, if it was made from the present data and parameters, as the runs that are compared."""
        from chest_xray.metrics.comparison import REFERENCE, RUNS, WHOLE, Study

        if STUDY not in self.catalog or not self.catalog.exists(STUDY):
            return None
        lineage = Lineage(self._folder / "lineage.json")
        arms = [f"study.runs.{arm}_{self._parameter('study.seeds')[0]}" for arm in (REFERENCE, WHOLE)]
        compared, repeated = ([self._parameter(f"{run}.augmentation") for run in runs] for runs in (RUNS, arms))
        outputs = (STUDY, *(f"{run}.evidence" for run in RUNS))
        if compared == repeated and all(lineage.is_current(output, self._parameter) for output in outputs):
            study: Study = self.catalog.load(STUDY)
            return study.model_dump(mode="json")
        logger.warning(
            "The comparison does not quote the study, which was made from other data or with other parameters than the "
            "runs that are compared. To compare several seeds, run `kedro run` and `kedro run --pipelines=study` again."
        )
        return None

    def _describe(self) -> dict[str, Any]:
        return describe_run(self.run_params, self.started, monotonic() - self.clock, sys.argv)


class LogRun(ProjectHook):
    """Logs the nodes of a run and its results in place of Kedro, of which only warnings are shown."""

    @hook_impl
    def after_context_created(self, context: Any) -> None:
        """Store the folders; below the project, where Kedro finds no `conf/logging.yml`, configure logging."""
        super().after_context_created(context)
        path = self._project / "conf/logging.yml"  # missing in the installed package
        if self._project in Path.cwd().parents and "KEDRO_LOGGING_CONFIG" not in os.environ and path.is_file():
            LOGGING.configure(yaml.safe_load(path.read_text("utf-8")))

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Start counting."""
        self._catalog, self._num_nodes, self._done = catalog, len(pipeline.nodes), set[str]()
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
        self._done.add(node.name)  # A generator saves several times.
        seconds = monotonic() - self._starts[node.name]
        in_memory = all(isinstance(self._catalog[name], MemoryDataset) for name in node.outputs)
        level = logging.DEBUG if in_memory or seconds < QUICK else logging.INFO
        logger.log(level, "%3d/%d %s, %.1f s", len(self._done), self._num_nodes, node.name, seconds)

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
