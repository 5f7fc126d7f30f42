"""The record of a run: command, environment and time, with git, without it, and outside a repository."""

import platform
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from chest_xray.core.provenance import describe_commit, describe_machine, describe_run, hide_secrets, hide_values

PARAMS = {"run_id": "2026-11-24T10.00.00.000Z", "env": None, "runtime_params": {"training": {"epochs": 3}}}


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@example.org", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository of one file and one commit."""
    git(tmp_path, "init", "--quiet")
    (tmp_path / "file.txt").write_text("one")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "-m", "First")
    return tmp_path


def record(**changes: Any) -> dict[str, Any]:
    params = {**PARAMS, "pipeline_names": None, "project_path": "/nowhere", **changes}
    started = datetime.now(UTC) - timedelta(seconds=90)
    command = ["/home/someone/.venv/bin/kedro", "run", "--params=data_root=/with space"]
    return describe_run(params, started, 90.0, command)


def test_clean_and_modified_checkouts_are_distinguished(repository: Path) -> None:
    commit = git(repository, "rev-parse", "HEAD")
    assert describe_commit(repository) == {"commit": commit, "dirty": False}
    (repository / "file.txt").write_text("two")
    assert describe_commit(repository) == {"commit": commit, "dirty": True}


def test_an_untracked_file_makes_a_checkout_dirty(repository: Path) -> None:
    (repository / "new.py").touch()
    found = describe_commit(repository)
    assert found is not None
    assert found["dirty"]


def test_a_folder_that_is_no_repository_itself_has_no_commit(
    repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    (repository / "project").mkdir()
    assert describe_commit(repository / "project") is None
    assert describe_commit(tmp_path_factory.mktemp("plain")) is None
    assert describe_commit(Path("/no/such/folder")) is None


def test_without_git_there_is_no_commit_and_no_error(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/no/such/folder")
    assert describe_commit(repository) is None


def test_the_record_contains_command_session_environment_and_time() -> None:
    found = record()
    assert found["command"] == "kedro run '--params=data_root=/with space'"
    assert (found["session"], found["environment"]) == ("2026-11-24T10.00.00.000Z", "local")
    assert (found["pipelines"], found["parameters"]) == (["__default__"], {"training": {"epochs": 3}})
    assert 90 <= found["seconds"] < 120
    assert datetime.fromisoformat(found["started"]).utcoffset() == timedelta(0)
    assert found["git"] is None
    assert (record(env="demo")["environment"], record(pipeline_names=("report",))["pipelines"]) == ("demo", ["report"])


def test_the_record_contains_the_installed_versions() -> None:
    import keras
    import tensorflow

    found = record()
    assert found["python"] == sys.version.split()[0] == platform.python_version()
    assert list(found["packages"]) == ["chest-xray", "tensorflow", "keras", "numpy", "scikit-learn", "kedro"]
    assert found["packages"]["tensorflow"] == tensorflow.__version__
    assert found["packages"]["keras"] == keras.__version__
    assert found["packages"]["kedro"] == version("kedro")


def test_the_processor_name_comes_from_linux_or_else_is_the_family(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nmodel name\t: Some CPU: 3 GHz\nmodel name\t: Another\n")
    found = describe_machine(cpuinfo)
    assert found["processor"] == "Some CPU: 3 GHz"
    assert found["cores"] >= 1
    assert found["platform"] == platform.platform()
    assert describe_machine(tmp_path / "missing")["processor"] in (platform.processor(), platform.machine())


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("--params=data_root=s3://me:hunter2@host/x", "--params=data_root=s3://***@host/x"),
        ("data_root=https://host/x?token=abc&part=1", "data_root=https://host/x?token=***&part=1"),
        (
            "url=https://host/a.zip?X-Amz-Signature=abc123&X-Amz-Date=1",
            "url=https://host/a.zip?X-Amz-Signature=***&X-Amz-Date=1",
        ),
        ("storage.aws_secret_access_key=abc,training.epochs=3", "storage.aws_secret_access_key=***,training.epochs=3"),
        ("https://host/x?sig=abc%3D", "https://host/x?sig=***"),
        ("password: hunter2", "password: ***"),
        ("training.epochs=3", "training.epochs=3"),
        ("data_root=/home/someone/signals", "data_root=/home/someone/signals"),
    ],
)
def test_credentials_are_left_out_of_the_command(given: str, kept: str) -> None:
    assert hide_secrets(given) == kept


def test_credentials_are_left_out_of_nested_parameters() -> None:
    given = {"storage": {"key": "a", "secret": {"deep": "b"}, "urls": ["s3://me:x@host/a"]}, "epochs": 3}
    kept = {"storage": {"key": "a", "secret": "***", "urls": ["s3://***@host/a"]}, "epochs": 3}
    assert hide_values(given) == kept
    assert record(runtime_params=given)["parameters"] == kept
