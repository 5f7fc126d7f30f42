"""The project as users run it: every pipeline on small phantoms, from the command line."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from tests.conftest import ROOT, copy_project, run_kedro

ENVIRONMENT = "--env=test"
PIPELINES = ("data_processing", "modeling", "evaluation", "augmentation", "download", "ensemble", "export")
AFTER_DATA_PROCESSING = ("modeling", "evaluation", "augmentation", "ensemble", "export")  # Download has its own test.
RUNS = ("baseline", "augmented", "seed_2", "seed_3", "seed_4", "seed_5", "ensemble")
# Nothing outside its pipeline reads them.
PASSED_IN_MEMORY = {"indexed_images", "readable_images", "{run}.untrained_model", "{run}.training_sets"}
EXPORTED = ("contract.json", "packaged.keras", "packaged.onnx", "packaged.tflite")  # of one run alone

shares_whole_runs = pytest.mark.xdist_group("whole_runs")


def read_catalog() -> dict[str, Any]:
    catalog: dict[str, Any] = yaml.safe_load((ROOT / "conf/base/catalog.yml").read_text(encoding="utf-8"))
    return catalog


def place(entry: dict[str, Any]) -> str:
    return str(entry.get("filepath", "")).replace("${globals:data_dir}", "data/test")


def declared_outputs(runs: tuple[str, ...]) -> set[str]:
    """Every file or folder that the catalog names and a run leaves, with each run in the place of `{run}`."""
    made = {place(entry) for entry in read_catalog().values()}
    named = {each.replace("{run}", run) for each in made for run in runs if each.startswith("data/test/0")}
    # A checkpoint is gone once its training is over; the ensemble is not trained.
    not_made = {f"data/test/06_models/{run}/checkpoint.npz" for run in runs}
    not_made |= {"data/test/01_raw/download", "data/test/08_reporting/ensemble/learning_curves.png"}
    not_made |= {name for name in named if name.endswith(EXPORTED) and "/augmented/" not in name}
    return named - not_made


def made_in(project: Path) -> set[str]:
    """Every file below the data folder, but for the raw images; an array that is stored as a folder counts as one."""
    arrays = {place(entry) for entry in read_catalog().values() if entry["type"].endswith("ComputedArrayDataset")}
    files = [path.relative_to(project).as_posix() for path in (project / "data").rglob("*") if path.is_file()]
    names = {next((each for each in arrays if name.startswith(f"{each}/")), name) for name in files}
    return {name for name in names if not name.startswith("data/test/01_raw/")}


def read_predictions(project: Path, run: str) -> pd.DataFrame:
    folder = project / "data/test/07_model_output" / run
    tables = [pd.read_parquet(folder / f"{subset}_predictions.parquet") for subset in ("validation", "test")]
    return pd.concat(tables, ignore_index=True)


@pytest.fixture(scope="module")
def step_by_step(
    prepared_project: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, subprocess.CompletedProcess[str]]]:
    """A project in which each pipeline ran alone, in order; and what each printed."""
    project = copy_project(tmp_path_factory.mktemp("step_by_step") / "project")
    shutil.copytree(prepared_project / "data", project / "data")
    printed = {name: run_kedro(project, "run", ENVIRONMENT, f"--pipelines={name}") for name in AFTER_DATA_PROCESSING}
    return project, printed


@shares_whole_runs
def test_each_pipeline_runs_alone_and_leaves_every_output_that_the_catalog_declares(
    step_by_step: tuple[Path, dict[str, subprocess.CompletedProcess[str]]],
) -> None:
    project, printed = step_by_step
    for name, done in printed.items():
        assert done.returncode == 0, f"{name}: {done.stderr}"
    assert made_in(project) == declared_outputs(RUNS)


def test_what_is_passed_in_memory_is_of_no_use_outside_its_pipeline() -> None:
    assert {name for name, entry in read_catalog().items() if entry["type"] == "MemoryDataset"} == PASSED_IN_MEMORY


@shares_whole_runs
def test_whatever_is_printed_for_people_names_its_source(
    step_by_step: tuple[Path, dict[str, subprocess.CompletedProcess[str]]],
) -> None:
    project, _ = step_by_step
    pages = sorted((project / "data/test/08_reporting").rglob("*.md"))
    assert len(pages) == len(RUNS) + 1  # conclusions of each run, and one comparison
    for page in pages:
        assert "SYNTHETIC phantoms drawn by this project, not radiographs" in page.read_text(encoding="utf-8")


@shares_whole_runs
def test_a_third_run_needs_one_line_and_no_catalog_entry_and_with_one_seed_predicts_the_same(
    step_by_step: tuple[Path, dict[str, subprocess.CompletedProcess[str]]], project: Path
) -> None:
    shutil.copytree(step_by_step[0] / "data", project / "data")
    registry = project / "src/chest_xray/pipeline_registry.py"
    last = '        "augmentation": augmentation.create_pipeline(),\n'
    assert last in registry.read_text(encoding="utf-8")
    third = '        "third": modeling.create_pipeline("third") + evaluation.create_pipeline("third"),\n'
    registry.write_text(registry.read_text(encoding="utf-8").replace(last, last + third), encoding="utf-8")
    # A run's own settings; here those of another run, so that it should find the same.
    settings = (project / "conf/base/parameters_augmentation.yml").read_text(encoding="utf-8")
    (project / "conf/base/parameters_third.yml").write_text(settings.replace("augmented:", "third:"), encoding="utf-8")
    done = run_kedro(project, "run", ENVIRONMENT, "--pipelines=third")
    assert done.returncode == 0, done.stderr
    assert made_in(project) == declared_outputs((*RUNS, "third"))
    augmented, third_run = (read_predictions(project, run) for run in ("augmented", "third"))
    pd.testing.assert_frame_equal(third_run, augmented, check_exact=True)
    assert (augmented["probability"] != read_predictions(project, "baseline")["probability"]).any()


@pytest.mark.parametrize(
    ("pipeline", "makers"),
    [
        ("evaluation", ["data_processing", "modeling"]),
        ("ensemble", ["data_processing", "augmentation"]),
    ],
)
def test_a_pipeline_run_before_its_predecessors_says_what_to_run_first(
    pipeline: str, makers: list[str], empty_project: Path
) -> None:
    done = run_kedro(empty_project, "run", ENVIRONMENT, f"--pipelines={pipeline}")
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert "Running node" not in done.stderr
    commands = " and then ".join(f"`kedro run --pipelines={name}`" for name in makers)
    assert f"not exist yet. Run {commands} first, with the same --env and --params." in done.stderr
    assert not (empty_project / "data").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            [ENVIRONMENT, "--params=trainin.epochs=3"],
            "Error: received the parameter 'trainin.epochs', which nothing reads; expected one of audit, augmented",
        ),
        (
            [ENVIRONMENT, "--params=training.epocs=3,training.epochs=0"],
            "epochs: received 0, but Input should be greater than or equal to 1; epocs: received 3, but Extra",
        ),
        (
            [ENVIRONMENT, "--params=data_root=/data"],
            "received data_root=/data, but this environment runs on synthetic phantoms. Leave out --env",
        ),
        ([], "No data at hand? `kedro run --env=demo` draws synthetic phantoms"),
    ],
)
def test_a_mistake_is_told_in_a_sentence_and_the_command_fails(
    arguments: list[str], message: str, empty_project: Path
) -> None:
    done = run_kedro(empty_project, "run", *arguments)
    assert done.returncode != 0
    assert message in done.stderr.replace("\n", " ")
    assert "Traceback" not in done.stderr
    assert "Completed" not in done.stderr
    assert not (empty_project / "data").exists()


def test_listing_the_pipelines_imports_neither_tensorflow_nor_keras_nor_matplotlib(empty_project: Path) -> None:
    code = (
        "import sys, json; from kedro.framework.cli.cli import main; sys.argv = ['kedro', 'registry', 'list']\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=empty_project, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    *listed, modules = done.stdout.strip().splitlines()
    assert [line.removeprefix("- ") for line in listed if line] == ["__default__", *sorted(PIPELINES)]
    assert "chest_xray.pipelines.augmentation.nodes" in json.loads(modules)
    assert not {"tensorflow", "keras", "matplotlib", "pandas", "sklearn"} & set(json.loads(modules))
