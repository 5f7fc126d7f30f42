"""An archive of images: fetched, and unpacked to where the image folders are read from."""

import json
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset, DatasetError

from chest_xray.core.files import replace_text
from chest_xray.images.archives import Unpacking, unpack
from chest_xray.images.download import ArchiveSource, fetch_archive


class ArchiveDataset(AbstractDataset[ArchiveSource, dict[str, str]]):
    """Saves a source by fetching it; loads where the file lies.

    Args:
        filepath: A local folder for what is downloaded.
        metadata: For plugins such as Kedro-Viz.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None):
        self._folder = _local(filepath)
        self.metadata = metadata

    def load(self) -> dict[str, str]:
        """Return `path`, `sha256` and `source` of the archive."""
        return dict(json.loads(self._record().read_text("utf-8")))

    def save(self, data: ArchiveSource) -> None:
        """Fetch the archive, or what is missing of it."""
        self._folder.mkdir(parents=True, exist_ok=True)
        replace_text(self._record(), json.dumps(fetch_archive(data, self._folder)))

    def _record(self) -> Path:
        return self._folder / "archive.json"

    def _exists(self) -> bool:
        return self._record().exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._folder)}


class UnpackedFolderDataset(AbstractDataset[Unpacking, str]):
    """Saves a plan by unpacking an archive; loads the folder.

    Args:
        path: A local folder, which gets `train` and `test`.
        metadata: For plugins such as Kedro-Viz.
    """

    def __init__(self, *, path: str, metadata: dict[str, Any] | None = None):
        self._folder = _local(path)
        self.metadata = metadata

    def load(self) -> str:
        """Return the path of the folder."""
        return str(self._folder)

    def save(self, data: Unpacking) -> None:
        """Unpack all or nothing."""
        unpack(data, self._folder)

    def _exists(self) -> bool:
        return (self._folder / "train").is_dir()

    def _describe(self) -> dict[str, Any]:
        return {"path": str(self._folder)}


def _local(path: str) -> Path:
    if "://" in path:
        raise DatasetError(
            f"received {path!r}; expected a local folder: archives are fetched to and unpacked on a disk."
        )
    return Path(path)
