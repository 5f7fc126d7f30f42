"""The commands: missing requirements give a one-sentence error, and all resources are closed."""

import queue
import signal
import socket
import subprocess
import sys
import tempfile
import webbrowser
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from urllib.request import urlopen

import pytest

from chest_xray.core.types import InputError
from chest_xray.serving import starting
from chest_xray.serving.starting import Project, start
from tests.builders import make_packaged
from tests.conftest import run_kedro
from tests.serving.commands import PATIENCE, started
from tests.serving.fakes import BACKGROUND, make_serving

NETWORK = "data/test/06_models/augmented/packaged.keras"


@pytest.mark.parametrize("command", ["demo", "serve", "ship"])
def test_a_missing_packaged_network_gives_an_error_with_the_export_command(command: str, empty_project: Path) -> None:
    done = run_kedro(empty_project, command, "--env=test", *(["--folder=box"] if command == "ship" else []))
    assert done.returncode != 0
    assert "data/test/06_models/augmented/packaged.keras" in done.stderr
    assert "Run `kedro run --pipelines=export --env=test` first." in done.stderr
    assert "Traceback" not in done.stderr


def test_missing_libraries_give_an_error_with_the_install_command() -> None:
    code = """
import sys
sys.modules |= dict.fromkeys(("fastapi", "multipart", "pebble", "starlette", "uvicorn"))
sys.argv[1:] = ["serve"]
from chest_xray.serving.command_line import main
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "Error: fastapi, uvicorn, multipart, pebble not installed; expected the extra `serve`. Run `" in done.stderr


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


def test_a_port_in_use_gives_an_error_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        message = f"cannot listen on 127.0.0.1, port {port}: Address already in use. Choose another with --port"
        with pytest.raises(InputError, match=message):
            start(Project(make_serving(port=port), b"", BACKGROUND), with_page=False, browser=False)


@pytest.mark.parametrize(
    ("host", "shown", "is_open"),
    [("127.0.0.1", "127.0.0.1", False), ("0.0.0.0", "0.0.0.0", True), ("::1", "[::1]", False), ("::", "[::]", True)],
)
def test_a_server_that_others_can_reach_warns_and_the_page_is_opened_where_it_is(
    host: str, shown: str, is_open: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    opened: queue.Queue[str] = queue.Queue()
    folders: list[Path] = []
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(webbrowser, "open", opened.put)
    listener = SimpleNamespace(getsockname=lambda: (host, 8000, 0, 0))
    monkeypatch.setattr(starting, "_listen", lambda _: nullcontext(listener))
    monkeypatch.setattr(starting, "_run", lambda *_: folders.append(Path(tempfile.mkdtemp())))
    with caplog.at_level("INFO"):
        start(Project(make_serving(host=host), b"", BACKGROUND), with_page=True, browser=True)
    url = f"http://{shown}:8000"
    assert opened.get(timeout=PATIENCE) == url
    assert f"Page: {url}/ (stop with Ctrl+C)" in caplog.messages
    assert any("every machine that reaches this one can send images" in each for each in caplog.messages) == is_open
    assert folders[0].parent.name.startswith("chest-xray-")
    assert not folders[0].parent.exists()
