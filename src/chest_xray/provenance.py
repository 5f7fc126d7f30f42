"""By what a result was made: versions, machine, command, commit and time."""

import os
import platform
import shlex
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("chest-xray", "tensorflow", "keras", "numpy", "scikit-learn", "kedro")
PATIENCE = 10  # seconds for git, which on a network drive may never answer


def describe_run(run_params: dict[str, Any], started: datetime, arguments: Sequence[str]) -> dict[str, Any]:
    """Record by what and where a run is made.

    Args:
        run_params: As Kedro gives them to its hooks: `run_id`, `env`, `runtime_params`, `pipeline_names` and
            `project_path`.
        started: When the run began, with a time zone.
        arguments: The command, as `sys.argv` has it.

    Returns:
        Plain data: `command`, `session`, `environment`, `pipelines`, `parameters` (those given with the command),
        `started` (ISO 8601, in UTC), `seconds` (since then), `packages` (versions), `python`, `machine` (`platform`,
        `processor`, `cores`) and `git` (`commit`, `dirty`), which is None outside a repository or without git.
    """
    return {
        "command": shlex.join([Path(arguments[0]).name, *arguments[1:]]),
        "session": run_params["run_id"],
        "environment": run_params["env"] or "local",
        "pipelines": list(run_params["pipeline_names"] or ["__default__"]),
        "parameters": run_params["runtime_params"] or {},
        "started": started.astimezone(UTC).isoformat(timespec="seconds"),
        "seconds": round((datetime.now(UTC) - started).total_seconds(), 1),
        "packages": {name: _version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "machine": describe_machine(),
        "git": describe_commit(Path(run_params["project_path"])),
    }


def describe_machine(cpuinfo: Path = Path("/proc/cpuinfo")) -> dict[str, Any]:
    """Name the operating system (`platform`), the `processor` and how many of its `cores` the run may use.

    Args:
        cpuinfo: Where Linux names the processor; `platform.processor` knows its family alone.
    """
    lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines() if cpuinfo.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    may_use = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    processor = models[0] if models else platform.processor() or platform.machine()
    return {"platform": platform.platform(), "processor": processor, "cores": may_use}


def describe_commit(project: Path) -> dict[str, Any] | None:
    """Name the commit that is checked out.

    Args:
        project: The folder of the project. A repository that merely lies around it is not its own.

    Returns:
        `commit` (40 hexadecimal digits) and `dirty` (True where tracked files differ or untracked ones lie about); None
        outside a repository, before its first commit, or without git.
    """
    try:
        top = _git(project, "rev-parse", "--show-toplevel")
        if Path(top).resolve() != project.resolve():
            return None
        return {"commit": _git(project, "rev-parse", "HEAD"), "dirty": bool(_git(project, "status", "--porcelain"))}
    except (OSError, subprocess.SubprocessError):
        return None


def _git(project: Path, *arguments: str) -> str:
    command = ["git", "-C", str(project), *arguments]
    done = subprocess.run(command, capture_output=True, check=True, text=True, timeout=PATIENCE)
    return done.stdout.strip()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return version(f"{package}-cpu")  # TensorFlow's build for processors alone is a distribution of its own.
