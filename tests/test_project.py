"""The command line: user errors give one-sentence messages, and listing pipelines loads no heavy library."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from runpy import run_path
from typing import Any
from unittest.mock import patch

import pytest
import yaml

from chest_xray.settings import count_test_looks
from tests import commands
from tests.conftest import ROOT, run_kedro

ENVIRONMENT = "--env=test"
NODE = re.compile(r"\d+/\d+ |\d+ nodes in")  # what a run prints of its nodes
PIPELINES = (
    *("data_processing", "modeling", "evaluation", "augmentation", "report", "download", "ensemble", "study"),
    "cross_validation",
    *("export", "prediction", "external"),
)


@pytest.mark.parametrize(
    ("pipeline", "makers"),
    [
        ("evaluation", ["data_processing", "modeling"]),
        ("ensemble", ["data_processing", "modeling", "evaluation", "augmentation"]),
        ("prediction", ["data_processing", "modeling", "evaluation", "augmentation", "export"]),
    ],
)
def test_a_pipeline_without_its_inputs_names_the_pipelines_to_run_first(
    pipeline: str, makers: list[str], empty_project: Path
) -> None:
    done = run_kedro(empty_project, "run", ENVIRONMENT, f"--pipelines={pipeline}")
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert not NODE.search(done.stderr)
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
        ([], "No data? `kedro run --env=demo` draws synthetic phantoms"),
    ],
)
def test_a_user_error_gives_a_one_sentence_message_and_the_command_fails(
    arguments: list[str], message: str, empty_project: Path
) -> None:
    done = run_kedro(empty_project, "run", *arguments)
    assert done.returncode != 0
    assert message in done.stderr.replace("\n", " ")
    assert "Traceback" not in done.stderr
    assert not NODE.search(done.stderr)
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
    assert not {"tensorflow", "keras", "matplotlib", "numpy", "pandas", "sklearn"} & set(json.loads(modules))


def list_named_paths(page: Path) -> list[str]:
    """Return every path in backticks that starts with a folder of the project and has no placeholder."""
    text = page.read_text(encoding="utf-8")
    return re.findall(r"`((?:benchmarks|conf|docs|notebooks|src|tests)/[^`\s{*<>]+)`", text)


PAGES = [ROOT / "README.md", ROOT / "README.ru.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES)
def test_every_path_in_the_docs_exists(page: Path) -> None:
    assert [path for path in list_named_paths(page) if not (ROOT / path).exists()] == []


def test_the_docs_contain_paths() -> None:
    assert len(list_named_paths(ROOT / "docs/architecture.md")) > 20


def test_every_module_and_test_that_make_mutate_names_exists() -> None:
    tree = ast.parse((ROOT / "benchmarks/mutate.py").read_text(encoding="utf-8"))
    (modules,) = (
        ast.literal_eval(each.value)
        for each in tree.body
        if isinstance(each, ast.Assign) and ast.unparse(each.targets[0]) == "MODULES"
    )
    named = {f"src/chest_xray/{name}.py" for name in modules} | {
        f"tests/{test}" for tests in modules.values() for test in tests.split()
    }
    assert len(named) > 40
    assert sorted(path for path in named if not (ROOT / path).exists()) == []


NUMBERS = (
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
)
LEDGER = yaml.safe_load((ROOT / "docs/test_ledger.yml").read_text(encoding="utf-8"))


def test_every_look_at_test_has_a_date_a_commit_and_a_consequence() -> None:
    for look in LEDGER["looks"]:
        assert set(look) == {"date", "commit", "recipe", "looked_at", "prompted"}
        assert re.fullmatch(r"[0-9a-f]{7}", look["commit"])
    assert count_test_looks() == len(LEDGER["looks"])


@pytest.mark.parametrize("page", ["README.md", "docs/protocol.md"])
def test_pages_state_as_many_looks_at_test_as_the_ledger_lists(page: str) -> None:
    text = " ".join((ROOT / page).read_text(encoding="utf-8").split())
    num_looks = len(LEDGER["looks"])
    (stated,) = re.findall(r"looked at (\w+) times", text)
    assert stated in (NUMBERS[num_looks], str(num_looks))


CLAIMS = re.compile(
    r"test (?:split|images?|set)[^.]{0,60}(?:opened|used|looked at) (?:only )?once|never seen|seen by nothing"
)


@pytest.mark.parametrize("page", [ROOT / "src/chest_xray/reporting/i18n/en.yml", *PAGES], ids=lambda page: page.name)
def test_no_page_claims_that_test_was_looked_at_only_once(page: Path) -> None:
    text = " ".join(page.read_text(encoding="utf-8").split())
    assert CLAIMS.findall(text) == []


def test_every_path_below_the_data_folder_has_a_key_that_kedro_completes_with_the_project_folder() -> None:
    """From a subfolder of the project, a path below any other key would be below the subfolder."""

    def list_keys(entry: Any, key: str = "") -> Iterator[str]:
        if isinstance(entry, dict):
            for name, each in entry.items():
                yield from list_keys(each, name)
        elif isinstance(entry, str) and ("globals:data_dir" in entry or "_table, null" in entry):
            yield key

    catalogs = [yaml.safe_load(path.read_text("utf-8")) for path in sorted((ROOT / "conf").rglob("catalog*.yml"))]
    assert {key for catalog in catalogs for key in list_keys(catalog)} == {"filepath", "path"}


@pytest.mark.parametrize(
    ("path", "is_ignored"),
    [
        *((each, True) for each in ("data/01_raw/a.png", "notebooks/data/demo/a.png", "build/lib/a.py", "dist/a.whl")),
        *((each, False) for each in ("data/README.md", "src/chest_xray/datasets/atomic.py", "src/chest_xray/build.py")),
    ],
)
def test_data_and_builds_are_ignored_by_git_and_sources_are_not(path: str, is_ignored: bool) -> None:
    done = subprocess.run(["git", "check-ignore", "--no-index", "--quiet", path], cwd=ROOT, check=False)
    assert done.returncode == (0 if is_ignored else 1)


def test_the_package_runs_pipelines_without_a_project_folder(tmp_path: Path) -> None:
    options = [f"--conf-source={ROOT / 'conf'}", "--pipelines=prediction", "--params=images=none.png"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "KEDRO_DISABLE_TELEMETRY": "1"}
    done = commands.run([sys.executable, "-m", "chest_xray", *options], cwd=tmp_path, env=environment)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert re.search(r"no file at /.*/none\.png\. Expected a file", done.stderr)


@pytest.mark.parametrize(("user", "is_allowed"), [("0", True), ("1000", False)])
def test_make_lab_opens_the_notebooks_and_allows_root_to_root_alone(
    user: str, is_allowed: bool, tmp_path: Path
) -> None:
    program = tmp_path / "id"
    program.write_text(f"#!/bin/sh\necho {user}\n")
    program.chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    command = ["make", "--dry-run", "--old-file=.venv/installed", "lab"]
    printed = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout
    assert f'kedro jupyter lab --ServerApp.root_dir="{ROOT}/notebooks"' in printed
    assert f'JUPYTER_DATA_DIR="{ROOT}/.venv/share/jupyter"' in printed  # not in the home folder
    assert ("--allow-root" in printed) == is_allowed


@pytest.mark.parametrize("version", ["3, 10", "3, 14", None])
def test_make_install_names_the_pythons_that_work_before_it_creates_anything(
    version: str | None, tmp_path: Path
) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in ("requirements.lock", "pyproject.toml"):
        (tmp_path / name).touch()
    program = tmp_path / "python3.x"
    if version:
        program.write_text(
            f'#!/bin/sh\n{sys.executable} -c "import sys; sys.version_info = ({version}, 0); ${{2#*;}}"\n'
        )
        program.chmod(0o755)
    command = ["make", "install", f"PYTHON={program}"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert f"{program} is missing, has no module venv, or is no Python 3.11 to 3.13" in ended.stderr
    assert "make install PYTHON=python3.12" in ended.stderr
    assert not (tmp_path / ".venv").exists()


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks").glob("*.py")), ids=lambda path: path.stem)
def test_that_each_benchmark_can_be_imported(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(path.parent)  # as Python does for a script
    with patch.dict(os.environ):
        run_path(str(path), run_name="imported")
