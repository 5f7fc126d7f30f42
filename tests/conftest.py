"""Fixtures: copies of the project that runs may fill, so that nothing is written into the checkout's `data/`."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the file that takes longest, so that no process is left alone with it in the end."""
    items.sort(key=lambda item: item.path.name != "test_whole_runs.py")


def copy_project(folder: Path) -> Path:
    """Copy what a run needs, without data and without local settings."""
    folder.mkdir()
    for name in ("pyproject.toml", ".telemetry"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "conf", folder / "conf", ignore=shutil.ignore_patterns("local"))
    (folder / "conf" / "local").mkdir()
    return folder


def run_kedro(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a `kedro` command in a project, as a user would."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [sys.executable, "-m", "kedro", *arguments]
    return subprocess.run(
        command, cwd=project, env=environment, capture_output=True, text=True, timeout=600, check=False
    )


def start_kedro(project: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """Start a `kedro` command in a project without waiting for it."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [sys.executable, "-m", "kedro", *arguments]
    return subprocess.Popen(command, cwd=project, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.fixture(scope="session")
def empty_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project in which nothing has run; tests leave it so."""
    return copy_project(tmp_path_factory.mktemp("empty") / "project")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the project for one test alone."""
    return copy_project(tmp_path / "project")
