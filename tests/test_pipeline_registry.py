"""The pipelines: their names, how they fit together, and that listing them prints nothing else."""

import functools
import shutil
import warnings
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from kedro.config import OmegaConfigLoader
from kedro.pipeline import Node, Pipeline

from chest_xray.models.training import Run
from chest_xray.pipeline_registry import register_pipelines
from chest_xray.pipelines import report
from chest_xray.pipelines.experiments.pipeline import ARMS, OTHER_SEEDS, SEEDS
from chest_xray.settings import CONFIG_LOADER_ARGS, ConfigLoader
from tests.conftest import ROOT

BY_DEFAULT = ("data_processing", "modeling", "evaluation", "augmentation", "report")
ON_REQUEST = ("cross_validation", "download", "ensemble", "study", "export", "prediction", "external")
wire_pipelines = functools.cache(register_pipelines)  # No test changes them.


def test_building_the_pipelines_gives_no_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Node, "__dotted_dataset_name_warned__", False, raising=False)  # Kedro warns once.
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        register_pipelines()
    assert [str(warning.message) for warning in caught] == []


def test_the_default_pipeline_joins_all_pipelines_except_those_on_request() -> None:
    pipelines = wire_pipelines()
    assert set(pipelines) == {"__default__", *BY_DEFAULT, *ON_REQUEST}
    together = {node.name for name in BY_DEFAULT for node in pipelines[name].nodes}
    assert {node.name for node in pipelines["__default__"].nodes} == together


def test_a_node_is_named_after_its_function_and_run() -> None:
    pipelines = wire_pipelines()
    for node in sum(pipelines.values(), Pipeline([])).nodes:
        assert node.name.removeprefix(f"{node.namespace}.") == node.func.__name__


@pytest.mark.parametrize(
    "name",
    ["modeling", "evaluation", "augmentation", "report", "ensemble", "study", "export", "prediction", "external"],
)
def test_a_pipeline_reads_only_parameters_and_outputs_of_earlier_pipelines(name: str) -> None:
    pipelines = wire_pipelines()
    order = list(pipelines)
    before: Pipeline = sum((pipelines[each] for each in order[: order.index(name)]), Pipeline([]))
    # A checkpoint dataset always exists; a hook writes the run record; split and patient tables are optional,
    # and new images come from the user.
    optional = ("run_record", "own_tables", "new_images", "labelled_images")
    always_there = (".checkpoint", ".training_state", "_arrays", "_shards", *optional)
    inputs = {
        each for each in pipelines[name].inputs() if not each.startswith("params:") and not each.endswith(always_there)
    }
    assert inputs
    assert inputs <= before.all_outputs()


def test_the_report_accepts_any_runs() -> None:
    pipeline = report.create_pipeline(["augmented", "third"])
    assert {"augmented.evidence", "third.evidence"} <= pipeline.inputs()
    assert "baseline.evidence" not in pipeline.inputs()
    (card,) = (node for node in pipeline.nodes if node.name == "reporting.write_model_card")
    assert "third.evidence" in card.inputs  # the model card is of the last run
    assert {"report", "model_card"} <= pipeline.outputs()


def test_an_environment_changes_what_other_parameters_refer_to(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "conf/base", tmp_path / "base")
    (tmp_path / "local").mkdir()
    (tmp_path / "local/parameters.yml").write_text("{baseline: {seed: 7}, augmented: {augmentation: {zoom: 0.5}}}")
    arguments: dict[str, Any] = {**CONFIG_LOADER_ARGS, "runtime_params": {"augmented": {"augmentation": {"tilt": 3}}}}
    settings = ConfigLoader(str(tmp_path), **arguments)["parameters"]
    assert settings["augmented"]["seed"] == 7
    default = settings["augmented"]["augmentation"]
    assert (default["zoom"], default["tilt"], default["gamma"]) == (0.5, 3, 0.4)
    others = (settings["cross_validation"]["run"], settings["seed_2"], settings["study"]["runs"]["everything_1"])
    assert [each["augmentation"] for each in others] == [default] * 3
    assert settings["study"]["runs"]["tilt_1"]["augmentation"]["tilt"] == 3


def test_members_of_the_ensemble_differ_in_seed_and_title_alone() -> None:
    arguments: dict[str, Any] = {**CONFIG_LOADER_ARGS, "default_run_env": "base"}
    settings = ConfigLoader(str(ROOT / "conf"), **arguments)["parameters"]
    members = [Run.model_validate(settings[name]) for name in ("augmented", *OTHER_SEEDS)]
    assert len({member.seed for member in members}) == len({member.title for member in members}) == len(members) == 5
    alike = [member.model_copy(update={"seed": 0, "title": ""}) for member in members]
    assert alike == alike[:1] * len(members)
    trained = wire_pipelines()["ensemble"].all_outputs()
    assert {f"{name}.trained_model" for name in OTHER_SEEDS} <= trained


def test_runs_of_the_study_differ_only_in_augmentation() -> None:
    arguments: dict[str, Any] = {**CONFIG_LOADER_ARGS, "default_run_env": "base"}
    settings = OmegaConfigLoader(str(ROOT / "conf"), **arguments)["parameters"]
    runs = settings["study"]["runs"]
    assert list(runs) == [f"{arm}_{seed}" for arm, seed in product(ARMS, SEEDS)]
    for arm, seed in product(ARMS, SEEDS):
        run, none = runs[f"{arm}_{seed}"], runs[f"none_{seed}"]
        assert Run.model_validate(run).seed == none["seed"] == seed
        assert (run["augmentation"] == none["augmentation"]) == (arm == "none")
    given = {arm: set(runs[f"{arm}_1"]["augmentation"]) - {"copies"} for arm in ARMS}
    default = settings["augmented"]["augmentation"]
    assert given["none"] == set()
    assert [given[arm] for arm in ("flip", "zoom", "tilt")] == [{"horizontal_flip"}, {"zoom"}, {"tilt"}]
    assert given["collimation"] == {"collimation"}
    assert given["flip_zoom_tilt"] == {"horizontal_flip", "zoom", "tilt"}
    assert runs["everything_1"]["augmentation"] == default
    for arm in ARMS[1:]:
        alone = runs[f"{arm}_1"]["augmentation"]
        zoom = default if arm == "everything" else runs["zoom_1"]["augmentation"]
        strengths = {**default, "zoom": zoom["zoom"]}  # of the default augmentation, except for zoom
        assert alone == {name: strengths[name] for name in alone}
        assert "copies" in alone
