"""A command that is forked does what it would do if Python were started for it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests import commands

SHOW = """
import os, sys, __main__
print(os.getcwd(), os.environ.get("PLACE"), sys.path[:2], sys.argv[1:], __name__, __main__.shown, sys.flags.utf8_mode)
print("to the other", file=sys.stderr)
"""


def run_both(*arguments: str, folder: Path, **changes: str) -> list[subprocess.CompletedProcess[str]]:
    """Fork, and start Python."""
    command, environment = [sys.executable, *arguments], {**os.environ, **changes}
    started = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return [commands.run(command, cwd=folder, env=environment), started]


def test_a_command_gets_its_folder_environment_paths_arguments_and_output(tmp_path: Path) -> None:
    code = f"shown = 1\n{SHOW}"
    forked, started = run_both("-c", code, "a", "b", folder=tmp_path, PLACE="here", PYTHONPATH=f"{tmp_path}/own")
    assert "here" in forked.stdout
    assert (forked.returncode, forked.stdout, forked.stderr) == (0, started.stdout, started.stderr)


def test_a_module_in_the_folder_runs_as_main(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text(f"shown = 1\n{SHOW}\nprint(__spec__.name, __file__, sys.argv)")
    forked, started = run_both("-m", "module", "a", folder=tmp_path)
    assert "module" in forked.stdout
    assert (forked.returncode, forked.stdout, forked.stderr) == (0, started.stdout, started.stderr)


@pytest.mark.parametrize(
    "code",
    [
        "import sys; sys.exit(3)",
        "import sys; sys.exit('in a word')",
        "import os; os.kill(os.getpid(), 15)",
        "import atexit; atexit.register(print, 'over')",
        "import sys; sys.excepthook = lambda *error: print(error[1]); raise ValueError('told')",
        "import threading, time; threading.Thread(target=lambda: (time.sleep(0.1), print('late'))).start()",
    ],
)
def test_a_command_exits_as_python_does(code: str, tmp_path: Path) -> None:
    forked, started = run_both("-c", code, folder=tmp_path)
    assert (forked.returncode, forked.stdout, forked.stderr) == (started.returncode, started.stdout, started.stderr)


def test_an_uncaught_error_is_shown(tmp_path: Path) -> None:
    forked, started = run_both("-c", "1 / 0", folder=tmp_path)
    assert forked.returncode == started.returncode == 1
    assert forked.stderr.splitlines()[-1] == started.stderr.splitlines()[-1] == "ZeroDivisionError: division by zero"


def test_no_project_module_is_preloaded(tmp_path: Path) -> None:
    code = "import sys; print([each for each in sys.modules if each.split('.')[0] in ('kedro', 'chest_xray', 'tests')])"
    assert commands.run([sys.executable, "-c", code], cwd=tmp_path).stdout == "[]\n"


def test_commands_do_not_share_random_state(tmp_path: Path) -> None:
    code = "import random, tempfile, numpy; print(random.random(), numpy.random.random(), tempfile.mkdtemp(dir='.'))"
    first, second = (commands.run([sys.executable, "-c", code], cwd=tmp_path).stdout.split() for _ in range(2))
    assert len({*first, *second}) == 6


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_command_receives_signals(number: signal.Signals) -> None:
    code = "import time; print('begun', flush=True); time.sleep(60)"
    with commands.start([sys.executable, "-c", code], stdout=subprocess.PIPE) as command:
        assert command.stdout.readline() == b"begun\n"
        assert command.poll() is None
        command.send_signal(number)
        assert command.wait(30) == -number
    assert command.poll() == -number


def test_a_command_that_takes_too_long_is_killed(tmp_path: Path) -> None:
    code = "import os, pathlib, time; pathlib.Path('pid').write_text(str(os.getpid())); time.sleep(60)"
    with pytest.raises(subprocess.TimeoutExpired):
        commands.run([sys.executable, "-c", code], cwd=tmp_path, timeout=5)
    pid = int((tmp_path / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
