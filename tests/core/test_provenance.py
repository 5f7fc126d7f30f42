"""Outputs made from different data are refused; the record of a run has command, environment and time."""

import json
import platform
import random
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from chest_xray.core.provenance import (
    Lineage,
    describe_commit,
    describe_machine,
    describe_run,
    digest_path,
    hide_secrets,
    hide_values,
)
from chest_xray.core.types import InputError

MAKERS = dict.fromkeys(("pixels", "hashes", "split", "model"), "data_processing") | {"model": "modeling"}
PARAMS = {"run_id": "2026-11-24T10.00.00.000Z", "env": None, "runtime_params": {"training": {"epochs": 3}}}


class Outputs:
    """A data folder with a chain of outputs: pixels, then in memory hashes, then the split, then a model."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.lineage = Lineage(folder / "lineage.json")

    def path(self, name: str) -> Path:
        """Return the path of an output."""
        return self.folder / f"{name}.bin"

    def save(self, name: str, text: str, *inputs: str, memory: bool = False, **parameters: Any) -> None:
        """Write an output and its entry."""
        if not memory:
            self.path(name).write_text(text)
        given = [*((each, None) for each in inputs), *((f"params:{key}", value) for key, value in parameters.items())]
        self.lineage.record(name, None if memory else self.path(name), given)

    def make_all(self, pixels: str = "a", size: int = 128) -> None:
        """Run everything."""
        self.save("pixels", pixels, size=size)
        self.save("hashes", "", "pixels", memory=True)
        self.save("split", f"split of {pixels}", "hashes", seed=1)
        self.save("model", f"model of {pixels}", "pixels", "split")

    def read(self, *names: str, **parameters: Any) -> None:
        """Check the inputs, as a new process would."""
        given = {f"params:{key}": value for key, value in parameters.items()}
        Lineage(self.folder / "lineage.json").require_one_origin(
            {name: self.path(name) for name in names}, given, MAKERS
        )


@pytest.fixture
def outputs(tmp_path: Path) -> Outputs:
    made = Outputs(tmp_path)
    made.make_all()
    return made


def test_outputs_of_one_run_can_be_combined(outputs: Outputs) -> None:
    outputs.read("pixels", "split", "model", size=128, seed=1)


def test_a_split_made_from_older_pixels_is_refused_across_in_memory_datasets(outputs: Outputs) -> None:
    outputs.save("pixels", "b", size=128)  # and the run stopped here
    with pytest.raises(InputError, match=r"split was made from an earlier pixels.*`kedro run --pipelines=data_proc"):
        outputs.read("pixels", "split")


def test_a_conflict_among_distant_ancestors_is_found_from_the_model(outputs: Outputs) -> None:
    outputs.save("pixels", "b", size=128)
    with pytest.raises(InputError, match="was made from an earlier pixels"):
        outputs.read("model")


def test_recomputing_identical_bytes_is_not_a_conflict(outputs: Outputs) -> None:
    outputs.save("pixels", "a", size=128)
    outputs.read("pixels", "split", "model")


def test_parameters_that_differ_from_those_of_the_data_are_refused(outputs: Outputs) -> None:
    with pytest.raises(InputError, match=r"pixels was made with other values of size .* Run `kedro run --pipelines=d"):
        outputs.read("model", size=64)


def test_the_language_of_figures_may_differ(outputs: Outputs) -> None:
    outputs.save("pixels", "a", size=128, language="en")
    outputs.read("pixels", language="ru")


def test_a_data_folder_without_lineage_is_accepted(outputs: Outputs) -> None:
    (outputs.folder / "lineage.json").unlink()
    outputs.read("pixels", "split", "model")


@pytest.mark.parametrize("damage", ["", "{", '{"pixels": 3}', "\0\0"])
def test_damaged_lineage_entries_are_ignored(damage: str, outputs: Outputs) -> None:
    (outputs.folder / "lineage.json").write_text(damage)
    outputs.read("pixels", "split", "model")


@pytest.mark.parametrize("seed", range(25))
def test_any_damaged_input_is_reported(seed: int, outputs: Outputs) -> None:
    rng = random.Random(seed)
    name = rng.choice(["pixels", "split", "model"])
    whole = outputs.path(name).read_bytes()
    place = rng.randrange(len(whole))
    damaged = [b"", whole[:place], whole[:place] + bytes([whole[place] ^ 1 << rng.randrange(8)]) + whole[place + 1 :]]
    outputs.path(name).write_bytes(rng.choice(damaged))
    with pytest.raises(InputError, match=rf"{name} \(.*\) is not as it was written: it is damaged, or was changed by"):
        outputs.read("pixels", "split", "model")


def test_a_missing_output_is_reported(outputs: Outputs) -> None:
    outputs.path("split").unlink()
    with pytest.raises(InputError, match="is not as it was written"):
        outputs.read("split")


def test_the_digest_of_a_folder_depends_on_names_and_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").write_text("1")
    (tmp_path / "a" / ".lock").write_text("")
    first = digest_path(tmp_path / "a")
    (tmp_path / "a" / ".lock").write_text("held")
    assert digest_path(tmp_path / "a") == first
    (tmp_path / "a" / "x").rename(tmp_path / "a" / "y")
    assert digest_path(tmp_path / "a") != first


def test_lineage_entries_are_plain_json(outputs: Outputs) -> None:
    entries = json.loads((outputs.folder / "lineage.json").read_text())
    assert set(entries) == {"pixels", "split", "model"}
    assert set(entries["split"]["made_from"]) == {"pixels", "params:seed"}


def test_what_depends_on_a_replaced_output_is_stale_also_across_in_memory_datasets(outputs: Outputs) -> None:
    assert Lineage(outputs.folder / "lineage.json").list_stale(["pixels"]) == []
    outputs.save("pixels", "b", size=128)
    assert Lineage(outputs.folder / "lineage.json").list_stale(["pixels"]) == ["split", "model"]
    assert Lineage(outputs.folder / "lineage.json").list_stale(["split"]) == []


@pytest.mark.parametrize(
    ("parameters", "pixels", "is_current"),
    [
        ({}, "a", True),
        ({"params:seed": 2}, "a", False),
        ({}, "b", False),  # of which no split was made
    ],
)
def test_an_output_is_current_if_all_its_inputs_are(
    outputs: Outputs, parameters: dict[str, Any], pixels: str, is_current: bool
) -> None:
    outputs.save("pixels", pixels, size=128)
    values = {"params:size": 128, "params:seed": 1} | parameters
    assert outputs.lineage.is_current("model", values.__getitem__) == is_current
    assert not outputs.lineage.is_current("unknown", values.__getitem__)


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
