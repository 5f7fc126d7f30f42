"""An archive of images: its download, and the folder that it is unpacked to."""

import json
from pathlib import Path
from typing import Any

from chest_xray.core.files import replace_text
from chest_xray.datasets.bases import LocalDataset
from chest_xray.images.archives import Unpacking, unpack
from chest_xray.images.download import ArchiveSource, fetch_archive


class ArchiveDataset(LocalDataset):
    """Downloads an archive to a local folder on saving; loads where the file is."""

    def load(self) -> dict[str, str]:
        """Return `path`, `sha256` and `source` of the archive."""
        return dict(json.loads(self._record().read_text("utf-8")))

    def save(self, data: ArchiveSource) -> None:
        """Fetch the archive, or what is missing of it."""
        self._path.mkdir(parents=True, exist_ok=True)
        replace_text(self._record(), json.dumps(fetch_archive(data, self._path)))

    def _record(self) -> Path:
        return self._path / "archive.json"

    def _exists(self) -> bool:
        return self._record().exists()


class UnpackedFolderDataset(LocalDataset):
    """Unpacks `train` and `test` of an archive to a local folder on saving; loads the path of the folder."""

    def __init__(self, *, path: str, metadata: dict[str, Any] | None = None):
        super().__init__(filepath=path, metadata=metadata)

    def load(self) -> str:
        """Return the path of the folder."""
        return str(self._path)

    def save(self, data: Unpacking) -> None:
        """Unpack all or nothing."""
        unpack(data, self._path)

    def _exists(self) -> bool:
        return (self._path / "train").is_dir()

    def _describe(self) -> dict[str, Any]:
        return {"path": self._filepath}  # `filepath` would have RunLock digest every image.
