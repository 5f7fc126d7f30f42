"""The commands: missing requirements give a one-sentence error, and all resources are closed."""

import signal
import socket
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest

from chest_xray.core.types import InputError
from chest_xray.serving.starting import require_libraries
from tests.builders import make_packaged
from tests.conftest import run_kedro
from tests.serving.commands import PATIENCE, started

NETWORK = "data/test/06_models/augmented/packaged.keras"


@pytest.mark.parametrize("command", ["demo", "serve", "ship"])
def test_a_missing_packaged_network_gives_an_error_with_the_export_command(command: str, empty_project: Path) -> None:
    done = run_kedro(empty_project, command, "--env=test", *(["--folder=box"] if command == "ship" else []))
    assert done.returncode != 0
    assert "data/test/06_models/augmented/packaged.keras" in done.stderr
    assert "Run `kedro run --pipelines=export --env=test` first." in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_library_gives_an_error_with_the_install_command(monkeypatch: pytest.MonkeyPatch) -> None:
    require_libraries(("pebble", "uvicorn"))
    monkeypatch.setitem(sys.modules, "pebble", None)
    with pytest.raises(InputError, match=r"pebble not installed; .* Run `pip install -e '\.\[serve\]'`"):
        require_libraries(("pebble", "uvicorn"))


def test_a_setting_out_of_range_stops_the_command(empty_project: Path) -> None:
    done = run_kedro(empty_project, "serve", "--env=test", "--params=serving.max_files=0,serving.prot=1")
    assert done.returncode != 0
    assert "max_files: received 0, but Input should be greater than or equal to 1; prot: received 1" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("command", "end"), [("demo", signal.SIGTERM), ("serve", signal.SIGINT)])
def test_a_server_answers_on_the_loopback_and_leaves_no_files_when_stopped(
    command: str, end: signal.Signals, project: Path, tmp_path: Path
) -> None:
    make_packaged(project / NETWORK)
    with started(command, project, tmp_path) as server:
        for path in ("model", "" if command == "demo" else "health"):
            with urlopen(f"{server.url}/{path}", timeout=PATIENCE) as answer:
                assert answer.status == 200
        assert len(list(server.scratch.glob("chest-xray-*"))) == 1
        server.process.send_signal(end)
        assert server.process.wait(PATIENCE) == 0
        assert list(server.scratch.iterdir()) == []
        assert "Traceback" not in server.log.read_text()


def test_a_port_in_use_gives_an_error_that_names_it(project: Path) -> None:
    make_packaged(project / NETWORK)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run_kedro(project, "serve", "--env=test", f"--port={port}")
    assert done.returncode != 0
    assert f"cannot listen on 127.0.0.1, port {port}: Address already in use. Choose another with --port" in done.stderr
