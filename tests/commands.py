"""Commands in separate processes that need not import TensorFlow, which takes longer than most of them.

One process imports what commands import from other projects, and forks for each of them. So a command finds these
libraries loaded, and everything else as if Python had been started for it: folder, environment, paths, arguments,
output, signals, exit. Nothing of this project or of Kedro is loaded before. Elsewhere than on Linux, Python is started.

Usage: `start([sys.executable, "-m", "kedro", ...])` in place of `subprocess.Popen`, and `run` of `subprocess.run`.
"""

import contextlib
import gc
import inspect
import json
import os
import random
import runpy
import select
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, Self

ADDRESS = "CHEST_XRAY_TESTS_COMMANDS"  # environment variable: where the server listens
# Never `kedro`, which reads the settings of the project in the current folder on import.
LIBRARIES = (
    *("tensorflow", "keras", "numpy", "pandas", "pyarrow.parquet", "scipy.stats", "matplotlib.pyplot", "PIL.Image"),
    *("sklearn.metrics", "sklearn.linear_model", "sklearn.isotonic", "plotly.graph_objects", "omegaconf", "pydantic"),
    *("yaml", "jinja2", "rich.console", "click", "pluggy", "fsspec", "filelock", "tqdm", "IPython"),
)


class Command:
    """A running command, with what the tests use of `subprocess.Popen`."""

    stdin = stderr = None

    def __init__(self, arguments: Sequence[str], connection: socket.socket, pid: int, stdout: BinaryIO | None):
        self.args, self.pid, self.stdout = arguments, pid, stdout
        self.returncode: int | None = None
        self._connection = connection

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.stdout is not None:
            self.stdout.close()
        self.wait()

    def poll(self) -> int | None:
        """Return the code if the command has ended."""
        if self.returncode is None and select.select([self._connection], [], [], 0)[0]:
            self.wait()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait until the command ends, and return its code.

        Raises:
            TimeoutExpired: It has not ended in time.
        """
        if self.returncode is None:
            self._connection.settimeout(timeout)
            try:
                self.returncode = int(self._connection.makefile().readline())
            except TimeoutError as error:
                raise subprocess.TimeoutExpired(self.args, timeout or 0) from error
            self._connection.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal unless the command has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End the command at once."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """Ask the command to end."""
        self.send_signal(signal.SIGTERM)


def start(
    arguments: Sequence[str],
    *,
    cwd: Path | str = ".",
    env: Mapping[str, str] | None = None,
    stdout: int = subprocess.DEVNULL,
    stderr: int = subprocess.DEVNULL,
    start_new_session: bool = False,
) -> Any:
    """Start `python -m module ...` or `python -c code ...` without waiting for it.

    Args:
        arguments: The first is `sys.executable`.
        cwd: Its folder.
        env: Its environment; without it that of this process.
        stdout: Descriptor of an open file; or `subprocess.PIPE`.
        stderr: Descriptor of an open file.
        start_new_session: Whether it leads a group of processes of its own.

    Returns:
        A `subprocess.Popen`, or what passes for it.
    """
    if arguments[0] != sys.executable or arguments[1] not in ("-m", "-c"):
        raise ValueError(f"received {arguments}; expected [sys.executable, '-m' or '-c', ...]")
    environment = dict(os.environ if env is None else env)
    if ADDRESS not in os.environ:
        options: dict[str, Any] = {"stdout": stdout, "stderr": stderr, "start_new_session": start_new_session}
        return subprocess.Popen(list(arguments), cwd=cwd, env=environment, **options)
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(os.environ[ADDRESS])
    reader, writer = os.pipe() if stdout == subprocess.PIPE else (None, None)
    with Path(os.devnull).open("r+b") as nothing:
        files = [nothing.fileno() if each == subprocess.DEVNULL else each for each in (writer or stdout, stderr)]
        socket.send_fds(connection, [b"\n"], [nothing.fileno(), *files])
    if writer is not None:
        os.close(writer)
    place = {"folder": str(Path(cwd).absolute()), "environment": environment, "session": start_new_session}
    request = {"arguments": list(arguments)[1:], **place}
    connection.sendall(json.dumps(request).encode() + b"\n")
    pid = b""
    while not pid.endswith(b"\n"):  # No file object, which might read the code as well.
        if not (got := connection.recv(1)):
            raise RuntimeError("the process that starts commands has ended")
        pid += got
    return Command(arguments, connection, int(pid), None if reader is None else os.fdopen(reader, "rb"))


def run(
    arguments: Sequence[str], *, cwd: Path | str = ".", env: Mapping[str, str] | None = None, timeout: float = 600
) -> subprocess.CompletedProcess[str]:
    """Do the same as `subprocess.run` with its output captured as text."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        command = start(arguments, cwd=cwd, env=env, stdout=out.fileno(), stderr=err.fileno())
        try:
            code = command.wait(timeout)
        finally:
            command.kill()
            command.wait()
        told = []
        for file in (out, err):
            file.seek(0)
            told.append(file.read().decode("utf-8"))
    return subprocess.CompletedProcess(list(arguments), code, *told)


class Server:
    """The process that forks; it imports nothing before it is asked for the first time."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="commands-"))
        address = str(self._folder / "door")
        with socket.socket(socket.AF_UNIX) as door:
            door.bind(address)
            door.listen(64)
            environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
            environment.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # As the package sets it before TensorFlow is imported.
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(door.fileno())],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[door.fileno()],
            )
        os.environ[ADDRESS] = address

    def stop(self) -> None:
        """End the process, and what it has started."""
        del os.environ[ADDRESS]
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        shutil.rmtree(self._folder)


def _serve(door: socket.socket) -> dict[str, Any]:
    """Fork for each request; the call returns in the forked processes alone."""
    running: dict[int, socket.socket] = {}
    woken, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is for pytest, which then stops this process.
    with selectors.DefaultSelector() as selector:
        for each in (0, woken, door):
            selector.register(each, selectors.EVENT_READ)
        while True:
            ready = {key.fd for key, _ in selector.select()}
            if 0 in ready:
                _stop(running)
            if woken in ready:
                os.read(woken, 512)
                _tell_codes(running)
            if door.fileno() in ready:
                connection, _ = door.accept()
                _, files, _, _ = socket.recv_fds(connection, 1, 3)
                request: dict[str, Any] = json.loads(connection.makefile().readline())
                _import_libraries()
                pid = os.fork()
                if not pid:
                    if request["session"]:
                        os.setsid()
                    connection.sendall(b"%d\n" % os.getpid())
                    for other in (connection, door, *running.values()):
                        other.close()
                    signal.set_wakeup_fd(-1)
                    for descriptor in (woken, waker):
                        os.close(descriptor)
                    return request | {"files": files}
                for file in files:
                    os.close(file)
                running[pid] = connection


def _stop(running: dict[int, socket.socket]) -> NoReturn:
    for pid in running:
        os.kill(pid, signal.SIGKILL)
    sys.exit()


def _tell_codes(running: dict[int, socket.socket]) -> None:
    for pid in list(running):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            with running.pop(pid) as connection, contextlib.suppress(OSError):  # The client may have disconnected.
                connection.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))


def _import_libraries() -> None:
    if "tensorflow" in sys.modules:
        return
    import importlib

    gc.disable()  # To search what stays for garbage takes a fifth of the time.
    for name in LIBRARIES:
        importlib.import_module(name)
    inspect.stack()  # It looks up the file of every module once; Kedro's settings call it four times.
    assert not {"kedro", "chest_xray"} & set(sys.modules)
    gc.freeze()
    gc.enable()


def _become(request: dict[str, Any]) -> None:
    """Take on folder, environment, files, paths and arguments, and run the command."""
    import matplotlib as mpl
    import numpy as np

    for number, file in enumerate(request["files"]):
        os.dup2(file, number)
        os.close(file)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)  # noqa: SIM115
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    tempfile.tempdir = None
    random.seed()
    np.random.seed()
    if "MPLBACKEND" in os.environ:
        mpl.rcParams["backend"] = os.environ["MPLBACKEND"]
    how, what, *arguments = request["arguments"]
    own = [os.path.abspath(each) for each in os.environ.get("PYTHONPATH", "").split(os.pathsep) if each]  # noqa: PTH100
    sys.path[:1] = [os.getcwd() if how == "-m" else "", *own]  # noqa: PTH109
    sys.argv = [what if how == "-m" else how, *arguments]
    if how == "-m":
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    else:
        main = sys.modules["__main__"] = types.ModuleType("__main__")
        exec(compile(what, "<string>", "exec"), main.__dict__)


if __name__ == "__main__":
    # What ends the command ends this process as it would end Python.
    _become(_serve(socket.socket(fileno=int(sys.argv[1]))))
