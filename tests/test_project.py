"""The project as users run it: every pipeline on small phantoms, from the command line."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tests.conftest import ROOT, copy_project, run_kedro

ENVIRONMENT = "--env=test"
PIPELINES = ("data_processing", "modeling", "evaluation", "augmentation", "export")
PASSED_IN_MEMORY = {"untrained_model", "training_sets"}  # Nothing outside its pipeline reads them.


EXPORTED = ("contract.json", "packaged.keras", "packaged.onnx", "packaged.tflite")  # of one run alone


def declared_outputs(runs: tuple[str, ...]) -> set[str]:
    """Every file that the catalog names and a run leaves, with each run in the place of `{run}`."""
    catalog = yaml.safe_load((ROOT / "conf/base/catalog.yml").read_text(encoding="utf-8"))
    patterns = [entry["filepath"] for entry in catalog.values() if "filepath" in entry]
    memory = {name.removeprefix("{run}.") for name, entry in catalog.items() if entry["type"] == "MemoryDataset"}
    assert memory == PASSED_IN_MEMORY
    named = {
        pattern.replace("${globals:data_dir}", "data/test").replace("{run}", run)
        for pattern in patterns
        for run in runs
    }
    # A checkpoint is gone once its training is over.
    return {
        name
        for name in named
        if not name.endswith("/checkpoint.npz") and ("/augmented/" in name or not name.endswith(EXPORTED))
    }


def made_in(project: Path) -> set[str]:
    files = (path.relative_to(project).as_posix() for path in (project / "data").rglob("*") if path.is_file())
    return {name for name in files if not name.startswith("data/test/01_raw/")}


def read_predictions(project: Path, run: str) -> pd.DataFrame:
    folder = project / "data/test/07_model_output" / run
    tables = [pd.read_parquet(folder / f"{subset}_predictions.parquet") for subset in ("validation", "test")]
    return pd.concat(tables, ignore_index=True)


@pytest.fixture(scope="module")
def step_by_step(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, subprocess.CompletedProcess[str]]]:
    """A project in which each pipeline ran alone, in order; and what each printed."""
    project = copy_project(tmp_path_factory.mktemp("step_by_step") / "project")
    return project, {name: run_kedro(project, "run", ENVIRONMENT, f"--pipelines={name}") for name in PIPELINES}


def test_each_pipeline_runs_alone_and_leaves_every_output_that_the_catalog_declares(
    step_by_step: tuple[Path, dict[str, subprocess.CompletedProcess[str]]],
) -> None:
    project, printed = step_by_step
    for name, done in printed.items():
        assert done.returncode == 0, f"{name}: {done.stderr}"
    assert made_in(project) == declared_outputs(("baseline", "augmented"))


def test_whatever_is_printed_for_people_names_its_source(
    step_by_step: tuple[Path, dict[str, subprocess.CompletedProcess[str]]],
) -> None:
    project, _ = step_by_step
    pages = sorted((project / "data/test/08_reporting").rglob("*.md"))
    assert len(pages) == 3
    for page in pages:
        assert "SYNTHETIC phantoms drawn by this project, not radiographs" in page.read_text(encoding="utf-8")


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
    assert made_in(project) == declared_outputs(("baseline", "augmented", "third"))
    augmented, third_run = (read_predictions(project, run) for run in ("augmented", "third"))
    pd.testing.assert_frame_equal(third_run, augmented, check_exact=True)
    assert (augmented["probability"] != read_predictions(project, "baseline")["probability"]).any()


@pytest.mark.parametrize(
    ("pipeline", "makers"),
    [
        ("modeling", ["data_processing"]),
        ("evaluation", ["data_processing", "modeling"]),
        ("augmentation", ["data_processing", "modeling", "evaluation"]),
        ("export", ["data_processing", "augmentation"]),
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
            "Error: received the parameter 'trainin.epochs', which nothing reads; expected one of augmented, baseline",
        ),
        (
            [ENVIRONMENT, "--params=training.epocs=3"],
            "epocs: received 3, but Extra inputs are not permitted (known keys: epochs, batch_size",
        ),
        (
            [ENVIRONMENT, "--params=training.epochs=0"],
            "epochs: received 0, but Input should be greater than or equal to 1",
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
