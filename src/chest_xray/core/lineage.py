"""Which outputs belong together: what each was made from, by digest, so that no stage mixes two data sets in silence.

Every output on a local disk gets an entry in `lineage.json` below the data folder: the digest of its bytes and the
digests of what its node read. Before a run starts, all that it will read is held against these entries.
"""

import json
from collections.abc import Iterable, Iterator
from hashlib import blake2b, file_digest
from pathlib import Path
from threading import Lock
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from chest_xray.core.files import replace_text
from chest_xray.core.options import InputError

DIGEST_SIZE = 16  # bytes
# What these say stands on figures and pages; data made with other values of them may be read together.
PRESENTATION = {"params:data_source", "params:language"}


class Entry(BaseModel):
    """What is known of one output: the digest of its bytes, and those of all that it was made from, by name."""

    model_config = ConfigDict(frozen=True)

    digest: str
    made_from: dict[str, str]


Entries = TypeAdapter(dict[str, Entry])


class Lineage:
    """The entries of one data folder.

    Args:
        file: `lineage.json`; made with the first entry.
    """

    def __init__(self, file: Path):
        self._file, self._lock = file, Lock()
        self._in_memory: dict[str, dict[str, str]] = {}  # what outputs that are not on disk were made from
        try:
            self._entries = Entries.validate_json(file.read_bytes()) if file.exists() else {}
        except ValidationError:  # Damaged: nothing is known, and what is made from now on will be.
            self._entries = {}

    def record(self, name: str, path: Path | None, inputs: Iterable[tuple[str, Any]]) -> None:
        """Add what a node has just saved.

        Args:
            name: Of the dataset.
            path: Its file or folder; None where it is not on a local disk.
            inputs: Of its node: the name of each, and the value of those that are parameters.
        """
        with self._lock:
            made_from: dict[str, str] = {}
            for each, value in inputs:
                if is_parameter(each):
                    made_from[each] = digest_value(value)
                elif each in self._entries:
                    made_from[each] = self._entries[each].digest
                else:
                    made_from |= self._in_memory.get(each, {})
            made_from = {each: digest for each, digest in made_from.items() if each not in PRESENTATION}
            if path is None or not path.exists():
                self._in_memory[name] = made_from
                return
            self._entries[name] = Entry(digest=digest_path(path), made_from=made_from)
            self._file.parent.mkdir(parents=True, exist_ok=True)
            replace_text(self._file, Entries.dump_json(self._entries, indent=1).decode())

    def require_one_origin(self, read: dict[str, Path], parameters: dict[str, Any], makers: dict[str, str]) -> None:
        """Refuse to read together what was not made from the same data.

        Args:
            read: The outputs of earlier runs that this one reads, and where they lie.
            parameters: `params:...` of the pipeline that prepares the data, as this run has them.
            makers: The pipeline that makes each output.

        Raises:
            InputError: A file is not as it was written; or two outputs were made from different versions of a third, or
                with other parameters than this run's.
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
                if parent in current and current[parent] != digest:
                    raise InputError(_describe_conflict(child, parent, makers))

    def _ancestry(self, name: str) -> Iterator[tuple[str, str, str]]:
        """Each output that `name` rests on, itself first, with what that was made from and the digest then."""
        waiting, seen = [name], {name}
        while waiting:
            child = waiting.pop()
            for parent, digest in self._entries[child].made_from.items() if child in self._entries else ():
                yield child, parent, digest
                if parent not in seen:
                    seen.add(parent)
                    waiting.append(parent)


def _describe_conflict(child: str, parent: str, makers: dict[str, str]) -> str:
    command = f"`kedro run --pipelines={makers[child]}`"
    if is_parameter(parent):
        return (
            f"{child} was made with other values of {parent.removeprefix('params:')} than this run has; expected the "
            f"same. Run {command} again with these parameters, or this run with those."
        )
    return (
        f"{child} was made from an earlier {parent}, which has been replaced since (by a run that did not come to its "
        f"end, or by one of other options); expected both from one run. Run {command} again, and what follows it."
    )


def is_parameter(name: str) -> bool:
    """Check whether a dataset of Kedro is a parameter."""
    return name.startswith("params:") or name == "parameters"


def digest_value(value: Any) -> str:
    """Digest a parameter: plain values, or a pydantic model of them."""
    plain = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
    text = json.dumps(plain, sort_keys=True, default=str)
    return blake2b(text.encode(), digest_size=DIGEST_SIZE).hexdigest()


def digest_path(path: Path) -> str:
    """Digest the bytes of a file, or of all files of a folder with their names; "" where there is nothing."""
    if path.is_dir():
        files = sorted(each for each in path.rglob("*") if each.is_file() and not each.name.startswith("."))
        parts = [f"{each.relative_to(path)} {digest_path(each)}" for each in files]
        return blake2b("\n".join(parts).encode("utf-8", "surrogateescape"), digest_size=DIGEST_SIZE).hexdigest()
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return file_digest(file, lambda: blake2b(digest_size=DIGEST_SIZE)).hexdigest()
