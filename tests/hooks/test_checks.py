"""A run that cannot succeed is stopped before its first node, with one sentence that states what to change."""

import functools
import sys
from typing import Any

import pytest
from kedro.io import DataCatalog, DatasetError, MemoryDataset
from kedro.runner import ParallelRunner

from chest_xray.core.types import InputError
from chest_xray.hooks.checks import CheckCommand, CheckInputs, CompareSettings, HideTracebacks
from chest_xray.pipeline_registry import register_pipelines

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


def check(pipeline: str, existing: tuple[str, ...] = ()) -> None:
    """Call the hook as Kedro does, with a catalog in which these datasets exist."""
    catalog = DataCatalog({name: MemoryDataset("data") for name in existing})
    CheckInputs().before_pipeline_run(wire_pipelines()[pipeline], catalog)


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
        CheckInputs().before_pipeline_run(part, catalog)
    suggested = wire_pipelines()["export"].from_nodes("augmented.fit_ood_detector")
    CheckInputs().before_pipeline_run(suggested, catalog)


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
    pipeline: str, existing: tuple[str, ...], missing: str, makers: list[str]
) -> None:
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
def test_settings_that_differ_from_the_stored_run_are_reported_before_training(
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
    catalog = DataCatalog({name: MemoryDataset(each) for name, each in existing.items()})
    CompareSettings().before_pipeline_run(wire_pipelines()["augmentation"], catalog)
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
        CheckCommand().before_pipeline_run({"runtime_params": given})


def test_parameters_of_any_pipeline_or_the_catalog_are_accepted() -> None:
    given = {"data_root": "/data", "training": {"epochs": 3, "seed": 1}}
    CheckCommand().before_pipeline_run({"runtime_params": given})
    CheckCommand().before_pipeline_run({"runtime_params": {"augmented": {"augmentation": {"tilt": 5}}}})


@pytest.fixture
def restored_excepthook(monkeypatch: pytest.MonkeyPatch) -> list[type[BaseException]]:
    """Puts `sys.excepthook` back; the list is of the errors that reached it."""
    shown: list[type[BaseException]] = []
    monkeypatch.setattr(sys, "excepthook", lambda kind, *_: shown.append(kind))
    HideTracebacks().after_context_created()
    return shown


MISTAKES = [InputError("no such folder"), DatasetError("no such folder")]
MISTAKES += [
    ValueError("Failed to find the pipeline named 'modelling'."),
    ValueError("Pipeline does not contain nodes named ['train']."),
    ValueError("Pipeline contains no nodes after applying all provided filters."),
]


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


def test_a_runner_that_makes_tensorflow_hang_is_refused() -> None:
    with pytest.raises(InputError, match=r"received --runner=ParallelRunner; expected SequentialRunner"):
        CheckCommand().before_pipeline_run({"runtime_params": {}, "runner": str(ParallelRunner())})
