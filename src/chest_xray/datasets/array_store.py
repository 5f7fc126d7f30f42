"""An array computed row by row into a folder: killed at any moment it goes on where it was, done once it stays done."""

import json
import logging
import shutil
from hashlib import blake2b, file_digest
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset, DatasetError

from chest_xray.core.files import replace_text
from chest_xray.core.types import DataFrame
from chest_xray.datasets.partial_array import RowPlan, fill, finish

logger = logging.getLogger(__name__)

DIGEST = "blake2b"  # name of the file with the digest of the others


class ComputedArrayDataset(AbstractDataset[RowPlan, Any]):
    """Saves a plan by carrying it out; loads the array that came of it.

    A file `current` names the folder of the finished array and is replaced in one step, so that a reader sees the old
    array or the new one, never a part. A plan whose fingerprint is the finished array's computes nothing.

    Args:
        filepath: A local folder.
        block: Rows that are written, and after a kill computed again, together.
        metadata: For plugins such as Kedro-Viz.

    Raises:
        DatasetError: `filepath` is no local path: what is read by memory map cannot be remote.
    """

    def __init__(self, *, filepath: str, block: int, metadata: dict[str, Any] | None = None):
        if "://" in filepath:
            raise DatasetError(f"received filepath {filepath!r}; expected a local folder, which can be memory-mapped.")
        self._folder = Path(filepath)
        self._block = block
        self.metadata = metadata

    def load(self) -> Any:
        """Give the rows that could be computed, uint8, memory-mapped, read-only, in their order.

        Raises:
            DatasetError: The array is damaged.
        """
        import numpy as np

        path = self._finished() / "array.npy"
        try:
            return np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise DatasetError(
                f"{path} is damaged ({error}); expected an array as it was written. Run "
                "`kedro run --pipelines=data_processing`, which makes it anew."
            ) from error

    def save(self, data: RowPlan) -> None:
        """Compute what is missing.

        Args:
            data: What to compute.

        Raises:
            DatasetError: Another run is at it, the disk is too small, or no row at all could be computed.
        """
        from filelock import FileLock, Timeout

        if self._holds(data):
            logger.info("%s: nothing has changed, %s rows stand as they are.", data.title, f"{data.shape[0]:,}")
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self._folder / ".lock", timeout=0):
                self._carry_out(data)
        except Timeout as error:
            raise DatasetError(f"{self._folder} is being written by another run; wait for its end.") from error

    def _carry_out(self, plan: RowPlan) -> None:
        finished = self._folder / plan.fingerprint
        if finished.exists() and not _is_sound(finished):
            logger.warning("%s: %s is damaged and is made anew.", plan.title, finished)
            shutil.rmtree(finished)
        if not finished.exists():
            part = self._folder / f"{plan.fingerprint}.part"
            finish(part, fill(part, plan, self._block), self._block)
            (part / DIGEST).write_text(_digest(part), "utf-8")
            part.rename(finished)
        replace_text(self._folder / "current", finished.name)
        for other in self._folder.iterdir():
            if other.is_dir() and other != finished:
                shutil.rmtree(other)

    def _holds(self, plan: RowPlan) -> bool:
        return self._exists() and self._finished().name == plan.fingerprint and _is_sound(self._finished())

    def _finished(self) -> Path:
        return self._folder / (self._folder / "current").read_text("utf-8")

    def _exists(self) -> bool:
        return (self._folder / "current").exists() and self._finished().exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._folder), "block": self._block}


class FailedRowsDataset(ComputedArrayDataset):
    """The rows of the same folder that could not be computed: whichever of the two is saved first does the work."""

    def save(self, data: RowPlan) -> None:
        """Compute what is missing, unless the array has been saved already."""
        if not self._holds(data):
            super().save(data)

    def load(self) -> DataFrame:
        """Give one row a failure: `row` (its number in the plan) and `detail` (why)."""
        import pandas as pd

        failures = json.loads((self._finished() / "failures.json").read_text("utf-8"))
        return pd.DataFrame(failures, columns=["row", "detail"])


def _is_sound(folder: Path) -> bool:
    """Tell whether the files of a finished array are as they were written."""
    try:
        return (folder / DIGEST).read_text("utf-8") == _digest(folder)
    except (OSError, ValueError):
        return False


def _digest(folder: Path) -> str:
    digests = []
    for name in ("array.npy", "failures.json"):
        with (folder / name).open("rb") as file:
            digests.append(file_digest(file, blake2b).hexdigest())
    return " ".join(digests)
