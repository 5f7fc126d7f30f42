"""How results were made: what each output was made from, and the command, commit, machine and time of a run.

Every output on a local disk has an entry in `lineage.json` in the data folder: the digest of its bytes and those of its
node's inputs. Before a run starts, its inputs are compared with these entries, so that all are from the same data.
"""

import json
import os
import platform
import re
import shlex
import subprocess
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from hashlib import blake2b, file_digest, sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from threading import Lock
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from chest_xray.core.files import replace_text
from chest_xray.core.types import InputError, Result

DIGEST_SIZE = 16  # bytes
PRESENTATION = {"params:data_source", "params:language"}  # Only figures and pages depend on these.
PACKAGES = ("chest-xray", "tensorflow", "keras", "numpy", "scikit-learn", "kedro")
TIMEOUT = 10  # seconds for git, which may hang on a network drive
HIDDEN = "***"
# A regular expression for names of secrets.
SECRET = r"passw|secret|token|credential|api_?key|access_?key|private_?key|signature|\bsig\b|\bauth"


class Entry(Result):
    """The digest of one output, and those of all that it was made from, by name."""

    digest: str
    made_from: dict[str, str]


Entries = TypeAdapter(dict[str, Entry], config=ConfigDict(defer_build=True))


class Lineage:
    """The entries of one data folder, in its `lineage.json`."""

    def __init__(self, file: Path):
        self._file, self._lock = file, Lock()
        self._in_memory: dict[str, dict[str, str]] = {}  # `made_from` of outputs that are not on disk
        try:
            self._entries = Entries.validate_json(file.read_bytes()) if file.exists() else {}
        except ValidationError:  # A damaged file counts as none.
            self._entries = {}

    def record(self, name: str, path: Path | None, inputs: Iterable[tuple[str, Any]]) -> None:
        """Add the output `name`, at `path` (None where it is not on a local disk), that a node has just saved.

        `inputs` are the names of the node's inputs, with the values of those that are parameters.
        """
        with self._lock:
            made_from: dict[str, str] = {}
            for input_name, value in inputs:
                if is_parameter(input_name):
                    made_from[input_name] = digest_value(value)
                elif input_name in self._entries:
                    made_from[input_name] = self._entries[input_name].digest
                else:
                    made_from |= self._in_memory.get(input_name, {})
            for parameter in PRESENTATION:
                made_from.pop(parameter, None)
            if path is None or not path.exists():
                self._in_memory[name] = made_from
                return
            self._entries[name] = Entry(digest=digest_path(path), made_from=made_from)
            self._file.parent.mkdir(parents=True, exist_ok=True)
            replace_text(self._file, Entries.dump_json(self._entries, indent=1).decode())

    def require_one_origin(self, read: dict[str, Path], parameters: dict[str, Any], makers: dict[str, str]) -> None:
        """Check that the inputs of a run were made from the same data.

        Args:
            read: Paths of the outputs of earlier runs that this run reads.
            parameters: This run's values of the `params:...` of data_processing.
            makers: The pipeline that makes each output.

        Raises:
            InputError: A file is not as it was written; or inputs were made from different versions of an output, or
                with parameters that differ from this run's.
        """
        for name, path in read.items():
            if name in self._entries and digest_path(path) != self._entries[name].digest:
                raise InputError(
                    f"{name} ({path}) is not as it was written: it is damaged, or was changed by hand. "
                    f"Expected the bytes that `kedro run --pipelines={makers[name]}` wrote; run it again."
                )
        current = {name: entry.digest for name, entry in self._entries.items()}
        current |= {name: digest_value(value) for name, value in parameters.items()}
        for name in read:
            for child, parent, digest in self._ancestry(name):
                if current.get(parent, digest) == digest:
                    continue
                command = f"`kedro run --pipelines={makers[child]}`"
                if is_parameter(parent):
                    raise InputError(
                        f"{child} was made with other values of {parent.removeprefix('params:')} than this run has; "
                        f"expected the same. Run {command} again with these parameters, or this run with those."
                    )
                raise InputError(
                    f"{child} was made from an earlier {parent}, which has been replaced since (by a run that did not "
                    "finish, or by one with other options); expected both from one run. "
                    f"Run {command} again, and what follows it."
                )

    def list_stale(self, replaced: Collection[str]) -> list[str]:
        """List the outputs that depend on an earlier version of an output in `replaced`."""
        current = {name: self._entries[name].digest for name in replaced if name in self._entries}
        return [
            name
            for name in self._entries
            if any(current.get(parent, digest) != digest for _, parent, digest in self._ancestry(name))
        ]

    def is_current(self, name: str, read_parameter: Callable[[str], Any]) -> bool:
        """Check whether all that an output was made from is unchanged; False for an output without an entry.

        `read_parameter` returns the current value of a parameter.
        """
        return name in self._entries and all(
            digest == (digest_value(read_parameter(parent)) if is_parameter(parent) else self._entries[parent].digest)
            for _, parent, digest in self._ancestry(name)
        )

    def _ancestry(self, name: str) -> Iterator[tuple[str, str, str]]:
        """Yield (output, input, digest that the input had then) for `name` and all outputs that it depends on."""
        waiting, seen = [name], {name}
        while waiting:
            child = waiting.pop()
            for parent, digest in self._entries[child].made_from.items() if child in self._entries else ():
                yield child, parent, digest
                if parent not in seen:
                    seen.add(parent)
                    waiting.append(parent)


def is_parameter(name: str) -> bool:
    """Check whether a dataset of Kedro is a parameter."""
    return name.startswith("params:") or name == "parameters"


def digest_value(value: Any) -> str:
    """Digest a parameter: plain values or a pydantic model."""
    plain = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
    text = json.dumps(plain, sort_keys=True, default=str)
    return blake2b(text.encode(), digest_size=DIGEST_SIZE).hexdigest()


def digest_path(path: Path) -> str:
    """Digest a file, or all files of a folder with their names; return "" where there is nothing."""
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file() and not file.name.startswith("."))
        lines = [f"{file.relative_to(path)} {digest_path(file)}" for file in files]
        return blake2b("\n".join(lines).encode("utf-8", "surrogateescape"), digest_size=DIGEST_SIZE).hexdigest()
    if not path.is_file():
        return ""
    with path.open("rb") as stream:
        return file_digest(stream, lambda: blake2b(digest_size=DIGEST_SIZE)).hexdigest()


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

    `run` is its name, `recipe` its title, and `weights` are the arrays of the network, whose digest is `model`.
    """
    digest = sha256(b"".join(array.tobytes() for array in weights)).hexdigest()[:16]
    opened = datetime.now(UTC).isoformat(timespec="seconds")
    return {"run": run, "recipe": recipe, "opened": opened, "num_images": num_images, "model": digest}


def hide_secrets(text: str) -> str:
    """Replace user and password in URLs, and values after a name that matches `SECRET`, by `HIDDEN`."""
    text = re.sub(r"(?<=://)[^/@\s]+@", f"{HIDDEN}@", text)
    return re.sub(
        rf"([\w.-]*(?:{SECRET})[\w.-]*['\"]?\s*[=:]\s*)[^\s,&;]+", rf"\g<1>{HIDDEN}", text, flags=re.IGNORECASE
    )


def hide_values(value: Any, name: str = "") -> Any:
    """Apply `hide_secrets` to nested parameters; all values under a name that matches `SECRET` are hidden."""
    if re.search(SECRET, name, re.IGNORECASE):
        return HIDDEN
    if isinstance(value, dict):
        return {key: hide_values(entry, str(key)) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [hide_values(entry) for entry in value]
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
