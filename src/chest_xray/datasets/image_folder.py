"""The images of one split, listed and handed out as paths."""

from typing import Any, NoReturn

import fsspec
from kedro.io import AbstractDataset, DatasetError

from chest_xray.types import DataFrame

SUFFIXES = (".jpeg", ".jpg", ".png")
REMEDY = (
    "Expected a folder `train` and a folder `test`, each with NORMAL/ and PNEUMONIA/. Unpack the chest X-ray set into "
    "data/01_raw/chest_xray, or name its place with --params data_root=DIR. No data at hand? `kedro run --env=demo` "
    "draws synthetic phantoms and runs on them."
)


class ImageFolderDataset(AbstractDataset[NoReturn, DataFrame]):
    """Lists the image files below a folder: `.jpeg`, `.jpg` and `.png` in any case, without hidden or junk files.

    Args:
        path: A local folder or an fsspec address.
        metadata: For plugins such as Kedro-Viz.
    """

    def __init__(self, *, path: str, metadata: dict[str, Any] | None = None):
        self._path = path
        self.metadata = metadata

    def load(self) -> DataFrame:
        """Give one row a file, in order of path: `path` (str, for fsspec) and `bytes` (int64).

        Raises:
            DatasetError: There is no such folder, or no image in it; the message says what was found and what to do.
        """
        import pandas as pd

        filesystem, root = fsspec.core.url_to_fs(self._path)
        if not filesystem.isdir(root):
            raise DatasetError(f"no image folder at {self._path}. {REMEDY}")
        files = filesystem.find(root, detail=True)
        rows = [
            (filesystem.unstrip_protocol(path) if "://" in self._path else path, info["size"])
            for path, info in sorted(files.items())
            if path.lower().endswith(SUFFIXES) and not _is_junk(path.removeprefix(root))
        ]
        if not rows:
            raise DatasetError(f"{self._path} holds {len(files)} files, but no .jpeg, .jpg or .png. {REMEDY}")
        return pd.DataFrame(rows, columns=["path", "bytes"])

    def save(self, data: NoReturn) -> NoReturn:
        """Refuse: raw images are read, never written."""
        raise DatasetError(f"{type(self).__name__} is read-only.")

    def _exists(self) -> bool:
        filesystem, root = fsspec.core.url_to_fs(self._path)
        return bool(filesystem.isdir(root))

    def _describe(self) -> dict[str, Any]:
        return {"path": self._path}


def _is_junk(path: str) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in path.split("/"))
