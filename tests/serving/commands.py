"""`kedro demo` or `kedro serve` as a user starts it, in a separate process."""

import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests import commands
from tests.conftest import without_paths

PATIENCE = 180  # seconds; on an idle machine it takes 10


class Started(NamedTuple):
    """A running command."""

    process: Any  # a `subprocess.Popen` or equivalent
    url: str
    log: Path
    scratch: Path  # the temporary folder of the process


@contextmanager
def started(command: str, project: Path, folder: Path) -> Iterator[Started]:
    """Run a command on any free port of the loopback until the block is left.

    Args:
        command: "demo" or "serve".
        project: A copy of the project with a packaged network in its environment `test`.
        folder: For the log, and for `scratch`.
    """
    scratch, log = folder / "scratch", folder / "log"
    scratch.mkdir()
    arguments = [sys.executable, "-m", "kedro", command, "--env=test", "--port=0"]
    arguments += ["--no-browser"] if command == "demo" else []
    environment = without_paths() | {"TMPDIR": str(scratch)}
    with log.open("w") as told:
        process = commands.start(arguments, cwd=project, env=environment, stdout=told.fileno(), stderr=told.fileno())
        try:
            yield Started(process, _wait_for_address(log, process), log, scratch)
        finally:
            process.kill()
            process.wait()


def _wait_for_address(log: Path, process: Any) -> str:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        if found := re.search(r"http://127\.0\.0\.1:\d+", log.read_text()):
            return found[0]
        time.sleep(0.1)
    pytest.fail(f"No server: {log.read_text()}")
