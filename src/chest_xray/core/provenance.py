"""Describe how a result was made: versions, machine, command, commit and time."""

import os
import platform
import re
import shlex
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("chest-xray", "tensorflow", "keras", "numpy", "scikit-learn", "kedro")
TIMEOUT = 10  # seconds for git, which may hang on a network drive
HIDDEN = "***"
# A regular expression for names of secrets.
SECRET = r"passw|secret|token|credential|api_?key|access_?key|private_?key|signature|\bsig\b|\bauth"


def describe_run(
    run_params: dict[str, Any], started: datetime, seconds: float, arguments: Sequence[str]
) -> dict[str, Any]:
    """Return the record of a run as plain data, without credentials.

    `run_params` are those of Kedro's hooks, `seconds` the duration so far, `arguments` as in `sys.argv`.
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


def describe_opening(run: str, recipe: str, num_images: int, weights: Sequence[Any]) -> dict[str, Any]:
    """Return what is recorded when a run scores the test split: `docs/test_ledger.yml` can be checked against it.

    `run` is its name, `recipe` its title, and `weights` are the arrays of the network, of which `model` is the digest.
    """
    digest = sha256(b"".join(each.tobytes() for each in weights)).hexdigest()[:16]
    opened = datetime.now(UTC).isoformat(timespec="seconds")
    return {"run": run, "recipe": recipe, "opened": opened, "num_images": num_images, "model": digest}


def hide_secrets(text: str) -> str:
    """Replace user and password in URLs, and values after a name that matches `SECRET`, by `HIDDEN`."""
    text = re.sub(r"(?<=://)[^/@\s]+@", f"{HIDDEN}@", text)
    return re.sub(
        rf"([\w.-]*(?:{SECRET})[\w.-]*['\"]?\s*[=:]\s*)[^\s,&;]+", rf"\g<1>{HIDDEN}", text, flags=re.IGNORECASE
    )


def hide_values(value: Any, name: str = "") -> Any:
    """Apply `hide_secrets` to nested parameters; all values below a name that matches `SECRET` are hidden."""
    if re.search(SECRET, name, re.IGNORECASE):
        return HIDDEN
    if isinstance(value, dict):
        return {key: hide_values(each, str(key)) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [hide_values(each) for each in value]
    return hide_secrets(value) if isinstance(value, str) else value


def describe_machine(cpuinfo: Path = Path("/proc/cpuinfo")) -> dict[str, Any]:
    """Return the operating system (`platform`), the `processor` and the number of `cores` that the run may use."""
    # On Linux `platform.processor` returns only the family.
    lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines() if cpuinfo.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    num_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    processor = models[0] if models else platform.processor() or platform.machine()
    return {"platform": platform.platform(), "processor": processor, "cores": num_cores}


def describe_commit(project: Path) -> dict[str, Any] | None:
    """Return the `commit` of the project (40 hexadecimal digits) and `dirty` (files are changed or untracked).

    None without git, before the first commit, and where the project folder is not the top of a repository.
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
    return subprocess.run(command, capture_output=True, check=True, text=True, timeout=TIMEOUT).stdout.strip()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return version(f"{package}-cpu")  # TensorFlow's build without CUDA has another name.
