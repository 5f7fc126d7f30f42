"""Fixtures: copies of the project for runs, so that nothing is written into `data/` of the checkout."""

import gc
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kedro.framework.project import pipelines

from tests import commands

ROOT = Path(__file__).parents[1]
LONGEST = ("test_whole_runs.py", "test_notebooks.py", "test_attacks.py", "test_page.py", "test_checkpointing.py")
SERVER = pytest.StashKey[commands.Server]()


def pytest_configure(config: pytest.Config) -> None:
    """Before there are workers: keep bytecode, and start what starts commands."""
    is_worker = hasattr(config, "workerinput")
    if is_worker or not config.getoption("numprocesses", None):  # It collects.
        gc.disable()  # What tests import stays: to search it for garbage takes a fifth of the time.
    if is_worker:
        return
    if sys.dont_write_bytecode and (cache := getattr(config, "cache", None)) is not None:
        # Without bytecode TensorFlow takes twice as long to import. It is written here if not beside the sources.
        os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix = str(cache.mkdir("bytecode"))
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        sys.dont_write_bytecode = False
    if sys.platform == "linux":
        config.stash[SERVER] = commands.Server()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop it."""
    if SERVER in config.stash:
        config.stash[SERVER].stop()


def pytest_collection_finish() -> None:
    """Search for garbage again, except among what was imported."""
    gc.freeze()
    gc.enable()


def pytest_sessionfinish() -> None:
    """Let Hypothesis, whose summary may import it first, find what refers to an object."""
    gc.unfreeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the slowest files, so that no process is left with one at the end."""
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


def copy_project(folder: Path) -> Path:
    """Copy what a run needs, without data, local settings and the network of the package."""
    folder.mkdir()
    for name in ("pyproject.toml", ".telemetry"):
        shutil.copy(ROOT / name, folder)
    # With its bytecode, but for what another process is writing at this moment.
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("*.pyc.*", "shipped"))
    shutil.copytree(ROOT / "conf", folder / "conf", ignore=shutil.ignore_patterns("local"))
    (folder / "conf" / "local").mkdir()
    return folder


def run_kedro(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a `kedro` command in a project, as a user would."""
    return commands.run([sys.executable, "-m", "kedro", *arguments], cwd=project, env=without_paths())


def start_kedro(project: Path, *arguments: str) -> Any:
    """Start a `kedro` command in a project without waiting for it."""
    return commands.start([sys.executable, "-m", "kedro", *arguments], cwd=project, env=without_paths())


def without_paths() -> dict[str, str]:
    """An environment in which a copy of the project finds its own source."""
    return {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}


@pytest.fixture(scope="session")
def empty_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project in which nothing has run; tests leave it so."""
    return copy_project(tmp_path_factory.mktemp("empty") / "project")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the project for one test alone."""
    return copy_project(tmp_path / "project")


@pytest.fixture(scope="module")
def registered_pipelines() -> Iterator[None]:
    """The pipelines of the project in `kedro.framework.project.pipelines`, as in a run."""
    pipelines.configure("chest_xray.pipeline_registry")
    yield
    pipelines.configure()
