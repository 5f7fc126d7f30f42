"""What the datasets of a single file share."""

from typing import Any

import fsspec
from kedro.io import AbstractDataset


class FileDataset(AbstractDataset[Any, Any]):
    """What the datasets of a single file share.

    Args:
        filepath: A local path or an fsspec address.
        metadata: For plugins such as Kedro-Viz.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None):
        self._filepath = filepath
        self.metadata = metadata

    def _local(self) -> str:
        """Return a local path of the same name to read from; a remote file is fetched whole, as it is now."""
        if "://" not in self._filepath:
            return self._filepath
        filesystem, path = fsspec.core.url_to_fs(self._filepath)
        # A cache that all loads share would go on giving what it fetched first. It lasts as long as it is referred to.
        self._fetched = fsspec.filesystem("simplecache", fs=filesystem, same_names=True, skip_instance_cache=True)
        with self._fetched.open(path) as file:
            return str(file.name)

    def _exists(self) -> bool:
        filesystem, path = fsspec.core.url_to_fs(self._filepath)
        return bool(filesystem.exists(path))

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath}
