"""A split that the user brings, or none."""

from typing import Any, NoReturn

import fsspec
from kedro.io import AbstractDataset, DatasetError

from chest_xray.core.types import DataFrame

COLUMNS = ["path", "subset"]


class SplitTableDataset(AbstractDataset[NoReturn, DataFrame]):
    """Reads a table that says which image trains, validates or tests; without one, the project draws its own split.

    Args:
        filepath: A `.csv` or `.parquet` file, local or an fsspec address, such as the project's own
            `image_split.parquet` of an earlier run; null for no table.
        metadata: For plugins such as Kedro-Viz.
    """

    def __init__(self, *, filepath: str | None = None, metadata: dict[str, Any] | None = None):
        self._filepath = filepath
        self.metadata = metadata

    def load(self) -> DataFrame:
        """Return the columns `path` and `subset` (str); no rows where there is no table.

        Raises:
            DatasetError: The file is missing, or lacks a column.
        """
        import pandas as pd

        if self._filepath is None:
            return pd.DataFrame(columns=COLUMNS, dtype="str")
        if not self._exists():
            raise DatasetError(f"no split table at {self._filepath}; name another file with --params split_table=FILE.")
        table = pd.read_parquet(self._filepath) if self._filepath.endswith(".parquet") else pd.read_csv(self._filepath)
        if not set(COLUMNS) <= set(table):
            raise DatasetError(
                f"{self._filepath} has the columns {', '.join(table.columns)}; expected path and subset."
            )
        return table[COLUMNS].astype("str")

    def save(self, data: NoReturn) -> NoReturn:
        """Refuse: the table belongs to the user."""
        raise DatasetError(f"received {type(data).__name__} to save, but {type(self).__name__} is read-only.")

    def _exists(self) -> bool:
        if self._filepath is None:
            return True
        filesystem, path = fsspec.core.url_to_fs(self._filepath)
        return bool(filesystem.exists(path))

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath}
