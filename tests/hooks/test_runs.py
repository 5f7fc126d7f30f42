"""Locks, lineage, checkpoints, the record of a run, and what it prints."""

import itertools
import logging
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Node, Pipeline
from kedro_datasets.json import JSONDataset

from chest_xray.core.provenance import Lineage
from chest_xray.core.types import InputError
from chest_xray.datasets import CheckpointDataset
from chest_xray.hooks import runs
from chest_xray.hooks.runs import NUM_NAMED, LogRun, RecordRun, RemoveCheckpoints, RunLock
from tests.builders import TITLE, make_point, make_run, make_study

pytestmark = pytest.mark.usefixtures("registered_pipelines")


def test_a_checkpoint_is_deleted_only_after_the_last_output_of_its_training(tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint.npz"
    checkpoint.touch()
    hook = RemoveCheckpoints()
    hook.before_pipeline_run(DataCatalog({"any.checkpoint": CheckpointDataset(filepath=str(checkpoint))}))
    training = Node(lambda _: (1, 2), "any.checkpoint", ["any.model", "any.history"], name="train", namespace="any")
    hook.after_dataset_saved("any.model", training)
    assert checkpoint.exists()
    hook.after_dataset_saved("any.history", training)
    assert not checkpoint.exists()


def test_the_run_record_is_written_only_when_it_is_read() -> None:
    catalog = DataCatalog({"run_record": MemoryDataset(), "metrics": MemoryDataset()})
    hook = RecordRun()
    params = {"run_id": "now", "env": "test", "runtime_params": {}, "pipeline_names": ["report"], "project_path": "/no"}
    hook.before_pipeline_run(run_params=params, catalog=catalog)
    hook.before_dataset_loaded("metrics")
    assert not catalog.exists("run_record")
    hook.before_dataset_loaded("run_record")
    record = catalog.load("run_record")
    assert (record["session"], record["environment"], record["pipelines"]) == ("now", "test", ["report"])
    assert 0 <= record["seconds"] < 60


@pytest.mark.parametrize(
    ("name", "value", "quoted"),
    [
        ("seed", 1, True),
        ("seed", 2, False),  # of baseline.evidence
        ("learning_rate", 0.2, False),  # of the study
        ("augmented", make_run(copies=1, tilt=9), False),
        ("baseline", make_run(copies=1, tilt=8), False),
    ],
)
def test_the_record_holds_the_study_only_if_it_was_made_with_the_parameters_of_the_compared_runs(
    tmp_path: Path, name: str, value: Any, quoted: bool
) -> None:
    catalog = DataCatalog({"run_record": MemoryDataset(), "study": MemoryDataset(make_study())})
    parameters = {
        **{"learning_rate": 0.1, "seed": 1, "baseline": make_run(), "augmented": make_run(copies=1, tilt=8)},
        "study": {"seeds": [1, 2], "runs": {"none_1": make_run(), "everything_1": make_run(copies=1, tilt=8)}},
    }
    lineage = Lineage(tmp_path / "lineage.json")
    for each, parameter in {
        "study": "learning_rate",
        "baseline.evidence": "seed",
        "augmented.evidence": "seed",
    }.items():
        (tmp_path / each).write_text(each)
        lineage.record(each, tmp_path / each, [(f"params:{parameter}", parameters[parameter])])
    hook = RecordRun()
    loader = {"globals": {"data_dir": str(tmp_path)}}
    hook.after_context_created(
        SimpleNamespace(project_path="/", config_loader=loader, params=parameters | {name: value})
    )
    params = {"run_id": "now", "env": "test", "runtime_params": {}, "pipeline_names": ["report"], "project_path": "/no"}
    hook.before_pipeline_run(run_params=params, catalog=catalog)
    hook.before_dataset_loaded("run_record")
    assert catalog.load("run_record")["study"] == (make_study().model_dump() if quoted else None)


class Weights:
    """A network of which the hook reads the weights alone."""

    def __init__(self, *weights: float):
        self.weights = [np.array([each], np.float32) for each in weights]

    def get_weights(self) -> list[Any]:
        """Return the weights."""
        return self.weights


def test_each_scoring_of_the_test_split_is_recorded_and_none_is_removed() -> None:
    catalog = DataCatalog({"test_openings": MemoryDataset()})
    params = {
        "run_id": "now",
        "env": "test",
        "runtime_params": {},
        "pipeline_names": ["evaluation"],
        "project_path": "/",
    }
    for weight in (1.0, 1.0, 2.0):
        hook = RecordRun()
        hook.before_pipeline_run(run_params=params, catalog=catalog)
        inputs = {"baseline.model": Weights(weight, 3.0), "baseline.operating_point": make_point(0.5)}
        hook.after_node_run(inputs=inputs, outputs={"baseline.validation_predictions": [0] * 7})
        hook.after_node_run(inputs=inputs, outputs={"baseline.test_predictions": [0] * 5})
    openings = catalog.load("test_openings")
    assert [(each["run"], each["recipe"], each["num_images"]) for each in openings] == [("baseline", TITLE, 5)] * 3
    assert openings[0]["model"] == openings[1]["model"] != openings[2]["model"]
    assert openings[0]["opened"].endswith("+00:00")
    assert openings[0]["record"]["pipelines"] == ["evaluation"]


class Context:
    """What the hook reads of Kedro's context."""

    def __init__(self, project: Path, **parameters: Any):
        self.project_path, self.params = project, parameters
        self.config_loader = {"globals": {"data_dir": "data"}}


def start(project: Path) -> RunLock:
    hook = RunLock()
    hook.after_context_created(Context(project, preparation={"width": 16}))
    return hook


def write_text(text: str) -> str:
    return text


WRITING = Pipeline([Node(write_text, "text", "image_split", name="write")])
PREDICTING = Pipeline([Node(write_text, "text", "predictions", name="predict")])


def test_a_second_run_in_the_same_folder_stops_at_once_and_names_the_first(tmp_path: Path) -> None:
    first, second = start(tmp_path), start(tmp_path)
    first.before_pipeline_run(WRITING, DataCatalog())
    with pytest.raises(InputError, match=rf"another run is writing into .*data \(process {os.getpid()}, since .*--env"):
        second.before_pipeline_run(WRITING, DataCatalog())
    second.before_pipeline_run(PREDICTING, DataCatalog())
    start(tmp_path / "elsewhere").before_pipeline_run(WRITING, DataCatalog())
    first.on_pipeline_error()
    second.before_pipeline_run(WRITING, DataCatalog())
    second.after_pipeline_run()


def test_a_new_run_in_the_same_process_is_not_blocked_by_its_own_lock(tmp_path: Path) -> None:
    hook = start(tmp_path)
    for _ in range(2):  # Ctrl+C calls no hook.
        hook.before_pipeline_run(WRITING, DataCatalog())
    hook.after_pipeline_run()


def test_a_run_that_fails_to_start_releases_the_lock(tmp_path: Path) -> None:
    split = tmp_path / "image_split.json"
    catalog = DataCatalog({"image_split": JSONDataset(filepath=str(split))})
    hook = start(tmp_path)
    hook.before_pipeline_run(WRITING, catalog)
    catalog.save("image_split", {"rows": 1})
    hook.after_dataset_saved("image_split", WRITING.nodes[0])
    hook.after_pipeline_run()
    split.write_text("{}")
    reading = Pipeline([Node(write_text, "image_split", "audit", name="read")])
    with pytest.raises(InputError, match=r"image_split \(.*\) is not as it was written"):
        hook.before_pipeline_run(reading, catalog)
    start(tmp_path).before_pipeline_run(WRITING, DataCatalog())


def test_a_folder_that_cannot_be_locked_gives_a_one_sentence_error(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where the folder should be")
    with pytest.raises(InputError, match=r"cannot write into .*data: .*\. Make it writable, make room, or name"):
        start(tmp_path).before_pipeline_run(WRITING, DataCatalog())


def test_partial_files_of_a_killed_run_are_removed_by_the_next_run_that_holds_the_lock(tmp_path: Path) -> None:
    folders = {name: tmp_path / "data" / name / ".part-x" for name in ("08_reporting", "07_model_output/predictions")}
    for folder in folders.values():
        folder.mkdir(parents=True)
    hook = start(tmp_path)
    hook.before_pipeline_run(PREDICTING, DataCatalog())
    hook.after_pipeline_run()
    assert [folder.exists() for folder in folders.values()] == [True, False]
    hook.before_pipeline_run(WRITING, DataCatalog())
    hook.after_pipeline_run()
    assert [folder.exists() for folder in folders.values()] == [False, False]


def test_partial_files_of_a_run_in_another_environment_stay(tmp_path: Path) -> None:
    other = RunLock()
    loader = {"globals": {"data_dir": "data/demo"}}
    other.after_context_created(SimpleNamespace(project_path=tmp_path, config_loader=loader, params={}))
    other.before_pipeline_run(WRITING, DataCatalog())
    part = tmp_path / "data/demo/03_primary/.part-x"
    part.mkdir(parents=True)
    start(tmp_path).before_pipeline_run(WRITING, DataCatalog())
    assert part.exists()
    other.after_pipeline_run()


def describe(source: Any) -> Any:
    return source


def run(
    folder: Path, pipeline: Pipeline, seconds: dict[str, float], monkeypatch: pytest.MonkeyPatch, saves: int = 1
) -> None:
    """Call the hooks as Kedro does in a run whose nodes take these seconds."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr("chest_xray.hooks.runs.monotonic", lambda: clock.now)
    stored = {name: JSONDataset(filepath=str(folder / "data" / f"{name}.json")) for name in ("first", "report")}
    catalog, log = DataCatalog(stored), LogRun()
    loader = {"globals": {"data_dir": "data"}}
    log.after_context_created(SimpleNamespace(project_path=folder, config_loader=loader, params={}))
    log.before_pipeline_run(pipeline, catalog)
    for node in pipeline.nodes:
        log.before_node_run(node)
        clock.now += seconds[node.name]
        for name in node.outputs * saves:
            catalog.get(name, fallback_to_runtime_pattern=True)
            log.after_dataset_saved(name, node)
    log.after_pipeline_run(pipeline)


def test_only_nodes_that_take_time_and_store_something_have_a_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    names = ("source", "first", "in_memory", "report")
    pairs = itertools.pairwise(names)
    pipeline = Pipeline([Node(describe, before, after, name=f"make_{after}") for before, after in pairs])
    run(tmp_path, pipeline, {"make_first": 2.25, "make_in_memory": 60, "make_report": 0.1}, monkeypatch)
    assert caplog.messages == [
        "  1/3 make_first, 2.2 s",
        "3 nodes in 62 s.",
        "Report (in Russian: report.ru.html): data/report.json",
    ]


def test_a_node_that_saves_several_times_is_counted_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    pairs = itertools.pairwise(("source", "first", "second"))
    pipeline = Pipeline([Node(describe, before, after, name=f"make_{after}") for before, after in pairs])
    run(tmp_path, pipeline, {"make_first": 2, "make_second": 0}, monkeypatch, saves=2)
    assert caplog.messages[:2] == ["  1/2 make_first, 2.0 s"] * 2


def test_a_run_in_a_folder_below_the_project_logs_as_one_in_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured: list[Any] = []
    monkeypatch.setattr(runs, "LOGGING", SimpleNamespace(configure=configured.append))
    monkeypatch.delenv("KEDRO_LOGGING_CONFIG", raising=False)
    context = SimpleNamespace(project_path=tmp_path, config_loader={"globals": {"data_dir": "data"}}, params={})
    for folder in ("conf", "notebooks"):
        (tmp_path / folder).mkdir()
    (tmp_path / "conf/logging.yml").write_text("version: 1", "utf-8")
    for place in (tmp_path, tmp_path / "notebooks"):
        monkeypatch.chdir(place)
        LogRun().after_context_created(context)
    assert configured == [{"version": 1}]  # Kedro itself reads the file in the folder of the project.


def test_a_run_names_the_outputs_that_it_has_put_out_of_date_and_how_to_update_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, metrics = tmp_path / "model", tmp_path / "metrics"
    (tmp_path / "data").mkdir()
    lineage = Lineage(tmp_path / "data/lineage.json")

    def save(name: str, path: Path, text: str, *inputs: str) -> None:
        path.write_text(text)
        lineage.record(name, path, [(each, None) for each in inputs])

    save("baseline.model", model, "trained")
    save("baseline.metrics", metrics, "measured", "baseline.model")
    pipeline = Pipeline([Node(describe, "source", "baseline.model", name="train")])
    run(tmp_path, pipeline, {"train": 1.0}, monkeypatch)
    assert "Out of date" not in caplog.text

    save("baseline.model", model, "trained again")
    run(tmp_path, pipeline, {"train": 1.0}, monkeypatch)
    expected = "changed: baseline.metrics. To update them: kedro run --pipelines=evaluation, with the same --env"
    assert expected in caplog.text

    others = sorted(f"baseline.{name}" for name in ("curves", "decisions", "evidence", "figures", "roc_curve"))
    for name in (*others, *(f"augmented.{name}" for name in ("curves", "metrics", "roc_curve"))):
        save(name, tmp_path / name, "drawn", "baseline.metrics")
    run(tmp_path, pipeline, {"train": 1.0}, monkeypatch)
    assert f"{NUM_NAMED} more" not in caplog.text
    assert "augmented.metrics and 1 more. To update them: kedro run --pipelines=evaluation,augmentation," in caplog.text
