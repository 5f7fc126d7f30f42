"""The commands: what is missing is told in a sentence, and what was opened is closed again."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

import pytest

from chest_xray.options import InputError
from chest_xray.serving.starting import require_libraries
from tests.builders import make_packaged
from tests.conftest import run_kedro

PATIENCE = 120  # seconds


@pytest.mark.parametrize("command", ["demo", "serve"])
def test_without_a_packaged_network_the_command_that_makes_one_is_named(command: str, empty_project: Path) -> None:
    done = run_kedro(empty_project, command, "--env=test")
    assert done.returncode != 0
    assert "data/test/06_models/augmented/packaged.keras" in done.stderr
    assert "Run `kedro run --pipelines=export --env=test` first." in done.stderr
    assert "Traceback" not in done.stderr


def test_without_gradio_the_command_that_installs_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    require_libraries(("gradio", "uvicorn"))
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(InputError, match=r"gradio not installed; .* Run `pip install -e '\.\[serve\]'`"):
        require_libraries(("gradio", "uvicorn"))


def test_a_setting_out_of_range_stops_the_command(empty_project: Path) -> None:
    done = run_kedro(empty_project, "serve", "--env=test", "--params=serving.max_files=0,serving.prot=1")
    assert done.returncode != 0
    assert "max_files: received 0, but Input should be greater than or equal to 1; prot: received 1" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("command", "end"), [("demo", signal.SIGTERM), ("serve", signal.SIGINT)])
def test_a_server_answers_on_the_loopback_and_leaves_nothing_behind_when_it_is_stopped(
    command: str, end: signal.Signals, project: Path, tmp_path: Path
) -> None:
    make_packaged(project / "data/test/06_models/augmented/packaged.keras")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    arguments = [sys.executable, "-m", "kedro", command, "--env=test", "--port=0"]
    arguments += ["--no-browser"] if command == "demo" else []
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | {"TMPDIR": str(scratch)}
    told = (tmp_path / "log").open("w+")
    server = subprocess.Popen(arguments, cwd=project, env=environment, stderr=told)
    try:
        url = _wait_for_address(tmp_path / "log", server)
        with urlopen(f"{url}/model", timeout=PATIENCE) as answer:
            assert answer.status == 200
        with urlopen(f"{url}/{'' if command == 'demo' else 'health'}", timeout=PATIENCE) as answer:
            assert answer.status == 200
        assert len(list(scratch.glob("chest-xray-*"))) == 1
        server.send_signal(end)
        assert server.wait(PATIENCE) == 0
    finally:
        server.kill()
        server.wait()
        told.close()
    assert list(scratch.iterdir()) == []
    assert "Traceback" not in (tmp_path / "log").read_text()


def _wait_for_address(log: Path, server: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and server.poll() is None:
        if found := re.search(r"http://127\.0\.0\.1:\d+", log.read_text()):
            return found[0]
        time.sleep(0.1)
    pytest.fail(f"No server: {log.read_text()}")


def test_a_port_that_is_taken_is_named(project: Path) -> None:
    import socket

    make_packaged(project / "data/test/06_models/augmented/packaged.keras")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run_kedro(project, "serve", "--env=test", f"--port={port}")
    assert done.returncode != 0
    assert f"cannot listen on 127.0.0.1, port {port}: Address already in use. Choose another with --port" in done.stderr
