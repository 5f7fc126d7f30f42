"""A run that cannot succeed is stopped before its first node, with one sentence that states what to change."""

import functools
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from kedro.io import DataCatalog, DatasetError, MemoryDataset
from kedro.pipeline import Node, Pipeline
from kedro.runner import ParallelRunner
from kedro_datasets.json import JSONDataset

from chest_xray.core.lineage import Lineage
from chest_xray.core.options import InputError
from chest_xray.datasets import CheckpointDataset
from chest_xray.hooks import CheckInputs, RecordRun, RemoveCheckpoints, RunLock
from chest_xray.pipeline_registry import register_pipelines
from tests.builders import TITLE, make_point, make_run, make_study

MADE_BY_DATA_PROCESSING = (
    *("prepared_images", "image_split", "corrupted_validation_images", "corrupted_test_images", "data_evidence"),
)
MADE_BY_MODELING = tuple(
    f"baseline.{name}"
    for name in (
        *(
            "model",
            "operating_point",
            "history",
            "corrupted_predictions",
            "corruption_metrics",
            "learning_curves",
            "settings",
        ),
    )
)
MADE_BY_EVALUATION = ("baseline.decisions", "baseline.evidence")
MADE_BY_AUGMENTATION = tuple(
    f"augmented.{name}" for name in ("model", "operating_point", "history", "metrics", "validation_predictions")
)

wire_pipelines = functools.cache(register_pipelines)  # No test changes them.
pytestmark = pytest.mark.usefixtures("registered_pipelines")


def check(pipeline: str, existing: tuple[str, ...] = (), **parameters: Any) -> None:
    """Call the hook as Kedro does, with a catalog in which these datasets exist."""
    catalog = DataCatalog({name: MemoryDataset("data") for name in existing})
    CheckInputs().before_pipeline_run(
        run_params={"runtime_params": parameters}, pipeline=wire_pipelines()[pipeline], catalog=catalog
    )


def test_the_default_run_and_data_processing_need_no_stored_outputs() -> None:
    check("download")
    check("__default__")
    check("data_processing")


@pytest.mark.parametrize(
    ("node", "existing", "message"),
    [
        (
            "augmented.write_contract",
            (),
            "augmented.input_checks, augmented.ood_detector, augmented.reference are not stored; nodes .* "
            "--from-nodes=augmented.fit_ood_detector$",
        ),
        ("augmented.export_model", ("augmented.contract",), "augmented.ood_detector is not stored"),
    ],
)
def test_a_start_in_the_middle_of_a_pipeline_names_the_nodes_that_make_what_is_not_stored(
    node: str, existing: tuple[str, ...], message: str
) -> None:
    stored = (*MADE_BY_DATA_PROCESSING, *MADE_BY_AUGMENTATION, *existing)
    part = wire_pipelines()["export"].from_nodes(node)
    catalog = DataCatalog({name: MemoryDataset("data") for name in stored})
    with pytest.raises(InputError, match=message):
        CheckInputs().before_pipeline_run(run_params={"runtime_params": {}}, pipeline=part, catalog=catalog)
    suggested = wire_pipelines()["export"].from_nodes("augmented.fit_ood_detector")
    CheckInputs().before_pipeline_run(run_params={"runtime_params": {}}, pipeline=suggested, catalog=catalog)


@pytest.mark.parametrize(
    ("pipeline", "existing", "missing", "makers"),
    [
        (
            "modeling",
            (),
            "corrupted_validation_images, image_split, prepared_images do",
            ["data_processing"],
        ),
        ("modeling", MADE_BY_DATA_PROCESSING[1:], "prepared_images does", ["data_processing"]),
        ("evaluation", MADE_BY_DATA_PROCESSING, "baseline.corrupted_predictions, .* do", ["modeling"]),
        (
            "evaluation",
            (),
            "baseline.corrupted_predictions, .*, corrupted_test_images, .* do",
            ["data_processing", "modeling"],
        ),
        (
            *("augmentation", MADE_BY_DATA_PROCESSING + MADE_BY_MODELING, "baseline.evidence does"),
            ["evaluation"],
        ),
        (
            *("augmentation", (), "baseline.evidence, .* do"),
            ["data_processing", "modeling", "evaluation"],
        ),
        (
            *("report", (), "augmented.evidence, baseline.evidence, comparison_evidence, data_evidence do"),
            ["data_processing", "modeling", "evaluation", "augmentation"],
        ),
        (
            "ensemble",
            MADE_BY_DATA_PROCESSING,
            "augmented.history, augmented.metrics, augmented.model do",
            ["modeling", "evaluation", "augmentation"],
        ),
        (
            *(
                "export",
                MADE_BY_DATA_PROCESSING,
                "augmented.model, augmented.operating_point, augmented.validation_predictions do",
            ),
            ["modeling", "evaluation", "augmentation"],
        ),
        (
            *("prediction", MADE_BY_DATA_PROCESSING, "augmented.packaged_keras does"),
            ["modeling", "evaluation", "augmentation", "export"],
        ),
    ],
)
def test_a_pipeline_before_its_predecessors_names_the_commands_to_run_in_order(
    pipeline: str, existing: tuple[str, ...], missing: str, makers: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chest_xray.models.shipping.has_shipped", lambda: False)  # prediction would use it
    commands = " and then ".join(f"`kedro run --pipelines={name}`" for name in makers)
    with pytest.raises(
        InputError,
        match=f"^cannot start: {missing} not exist yet. Run {commands} first, with the same --env and --params",
    ):
        check(pipeline, existing)


@pytest.mark.parametrize(
    ("pipeline", "existing"),
    [
        ("modeling", MADE_BY_DATA_PROCESSING),
        ("evaluation", MADE_BY_DATA_PROCESSING + MADE_BY_MODELING),
        ("augmentation", MADE_BY_DATA_PROCESSING + MADE_BY_MODELING + MADE_BY_EVALUATION),
        ("ensemble", MADE_BY_DATA_PROCESSING + MADE_BY_AUGMENTATION),
        ("export", MADE_BY_DATA_PROCESSING + MADE_BY_AUGMENTATION),
    ],
)
def test_a_pipeline_runs_alone_once_its_inputs_exist(pipeline: str, existing: tuple[str, ...]) -> None:
    check(pipeline, existing)


@pytest.mark.parametrize(
    ("stored", "warned"),
    [
        ({"epochs": 20}, []),
        ({"epochs": 1}, ["training.epochs"]),
        ({"epochs": 20, "patience": 3}, ["training.patience"]),
    ],
)
def test_settings_other_than_those_of_the_stored_run_are_named_before_training(
    caplog: pytest.LogCaptureFixture, stored: dict[str, int], warned: list[str]
) -> None:
    run = {"title": "a", "seed": 1, "augmentation": {"copies": 0}, "flip_tta": False}
    plain = {"model": {"filters": [4]}, "training": {"epochs": 20}, "preparation": {"width": 32}}
    given = {f"params:{name}": each for name, each in plain.items()}
    augmented = {**run, "title": "b", "augmentation": {"copies": 7}, "flip_tta": True}
    settings = {**plain, "training": stored, "run": run}
    existing = {
        **dict.fromkeys((*MADE_BY_DATA_PROCESSING, *MADE_BY_MODELING, *MADE_BY_EVALUATION), "data"),
        **{"baseline.settings": settings, "params:augmented": augmented, **given},
    }
    CheckInputs().before_pipeline_run(
        run_params={"runtime_params": {}},
        pipeline=wire_pipelines()["augmentation"],
        catalog=DataCatalog({name: MemoryDataset(each) for name, each in existing.items()}),
    )
    messages = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(messages) == len(warned)
    for name, message in zip(warned, messages, strict=True):
        assert f"has {name} = " in message
        assert "would not be of augmentation alone" in message


@pytest.mark.parametrize(
    ("given", "name", "suggestion"),
    [
        ({"trainin": {"epochs": 3}}, "trainin.epochs", r" Did you mean 'training'\?"),
        ({"data_rot": "/data"}, "data_rot", r" Did you mean 'data_root'\?"),
        ({"augmentd": {"augmentation": {"tilt": 5}}}, "augmentd.augmentation.tilt", r"$"),
        ({"epochs": 3}, "epochs", "$"),
    ],
)
def test_an_unknown_parameter_is_refused_and_the_closest_name_is_suggested(
    given: dict[str, Any], name: str, suggestion: str
) -> None:
    told = f"^received the parameter '{name}', which nothing reads; expected one of .*view_training.{suggestion}"
    with pytest.raises(InputError, match=told):
        check("data_processing", **given)


def test_parameters_of_any_pipeline_or_the_catalog_are_accepted() -> None:
    check("data_processing", data_root="/data", training={"epochs": 3, "seed": 1})
    check("data_processing", augmented={"augmentation": {"tilt": 5}}, data_source="elsewhere")


@pytest.fixture
def restored_excepthook(monkeypatch: pytest.MonkeyPatch) -> list[type[BaseException]]:
    """Puts `sys.excepthook` back; the list is of the errors that reached it."""
    shown: list[type[BaseException]] = []
    monkeypatch.setattr(sys, "excepthook", lambda kind, *_: shown.append(kind))
    CheckInputs().after_context_created()
    return shown


MISTAKES = [InputError("no such folder"), DatasetError("no such folder")]
MISTAKES += [ValueError("Failed to find the pipeline named 'modelling'.")]


@pytest.mark.parametrize("error", MISTAKES)
def test_a_user_error_is_shown_in_one_sentence(
    error: Exception, restored_excepthook: list[type[BaseException]], capsys: pytest.CaptureFixture[str]
) -> None:
    sys.excepthook(type(error), error, None)
    assert capsys.readouterr().err == f"\nError: {error}\n"
    assert restored_excepthook == []


def test_any_other_error_keeps_its_traceback(
    restored_excepthook: list[type[BaseException]], capsys: pytest.CaptureFixture[str]
) -> None:
    sys.excepthook(ZeroDivisionError, ZeroDivisionError("a bug"), None)
    assert restored_excepthook == [ZeroDivisionError]
    assert capsys.readouterr().err == ""


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


def test_a_runner_that_makes_tensorflow_hang_is_refused() -> None:
    pipeline = wire_pipelines()["data_processing"]
    with pytest.raises(InputError, match=r"received --runner=ParallelRunner; expected SequentialRunner"):
        CheckInputs().before_pipeline_run(
            run_params={"runtime_params": {}, "runner": str(ParallelRunner())}, pipeline=pipeline, catalog=DataCatalog()
        )
