"""By what a result was made: versions, machine, command, commit and time."""

import os
import platform
import re
import shlex
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("chest-xray", "tensorflow", "keras", "numpy", "scikit-learn", "kedro")
PATIENCE = 10  # seconds for git, which on a network drive may never answer
HIDDEN = "***"
# In names, as a regular expression.
SECRET = r"passw|secret|token|credential|api_?key|access_?key|private_?key|signature|\bsig\b|\bauth"


def describe_run(
    run_params: dict[str, Any], started: datetime, seconds: float, arguments: Sequence[str]
) -> dict[str, Any]:
    """Record by what and where a run is made.

    Args:
        run_params: As Kedro gives them to its hooks: `run_id`, `env`, `runtime_params`, `pipeline_names` and
            `project_path`.
        started: When the run began, with a time zone.
        seconds: Since then, by a clock that nobody sets.
        arguments: The command, as `sys.argv` has it; what looks like a credential is left out.

    Returns:
        Plain data: `command`, `session`, `environment`, `pipelines`, `parameters` (those given with the command),
        `started` (ISO 8601, in UTC), `seconds` (since then), `packages` (versions), `python`, `machine` (`platform`,
        `processor`, `cores`) and `git` (`commit`, `dirty`), which is None outside a repository or without git.
    """
    return {
        "command": shlex.join([Path(arguments[0]).name, *map(hide_secrets, arguments[1:])]),
        "session": run_params["run_id"],
        "environment": run_params["env"] or "local",
        "pipelines": list(run_params["pipeline_names"] or ["__default__"]),
        "parameters": hide_values(run_params["runtime_params"] or {}),
        "started": started.astimezone(UTC).isoformat(timespec="seconds"),
        "seconds": round(seconds, 1),
        "packages": {name: _version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "machine": describe_machine(),
        "git": describe_commit(Path(run_params["project_path"])),
    }


def hide_secrets(text: str) -> str:
    """Replace what looks like a credential in a text: the password of a URL, and values whose name says that they are.

    Args:
        text: Such as an argument, `data_root=s3://user:password@host/x?token=abc`.

    Returns:
        The text with `HIDDEN` in their place.
    """
    text = re.sub(r"(?<=://)[^/@\s]+@", f"{HIDDEN}@", text)
    return re.sub(
        rf"([\w.-]*(?:{SECRET})[\w.-]*['\"]?\s*[=:]\s*)[^\s,&;]+", rf"\g<1>{HIDDEN}", text, flags=re.IGNORECASE
    )


def hide_values(value: Any, name: str = "") -> Any:
    """Do the same in nested parameters; whatever stands below a name that says it is a secret is hidden whole."""
    if re.search(SECRET, name, re.IGNORECASE):
        return HIDDEN
    if isinstance(value, dict):
        return {key: hide_values(each, str(key)) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [hide_values(each) for each in value]
    return hide_secrets(value) if isinstance(value, str) else value


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
