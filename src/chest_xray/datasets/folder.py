"""A local folder that a node writes into."""

from pathlib import Path
from typing import Any

from chest_xray.datasets.bases import LocalDataset, ReadOnlyDataset


class FolderDataset(LocalDataset, ReadOnlyDataset):
    """Loads the path of a local folder, whether or not it exists; the node itself writes into it."""

    def __init__(self, *, path: str, metadata: dict[str, Any] | None = None):
        super().__init__(filepath=path, metadata=metadata)

    def load(self) -> Path:
        """Return the path of the folder."""
        return self._path

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"path": self._filepath}  # `filepath` would have RunLock digest every image.
