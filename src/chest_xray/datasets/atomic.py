"""Datasets of kedro-datasets that write a file whole or not at all; theirs lose the old file on a full disk."""

from collections.abc import Callable
from typing import Any, ClassVar

from kedro.io import AbstractDataset, DatasetError
from kedro_datasets import json, pandas, text
from kedro_datasets._typing import JSONPreview
from pydantic import ValidationError

from chest_xray.core.files import atomic_path


class AtomicDataset(AbstractDataset[Any, Any]):
    """Saves with a plain dataset beside the file, and then replaces it; loads and previews as the plain one."""

    plain: ClassVar[Callable[..., AbstractDataset[Any, Any]]]

    def __init__(self, *, filepath: str, **arguments: Any):
        super().__init__(filepath=filepath, **arguments)  # type: ignore[call-arg]  # of the plain dataset
        self._address = filepath
        self._arguments = {name: arguments[name] for name in ("save_args", "fs_args") if name in arguments}

    def save(self, data: Any) -> None:
        """Write the file whole or not at all."""
        with atomic_path(self._address) as part:
            try:
                self.plain(filepath=str(part), **self._arguments).save(data)
            except DatasetError as error:
                raise (error.__cause__ if isinstance(error.__cause__, OSError) else error) from None
        self.release()  # the cached state of the old file


class CSVDataset(AtomicDataset, pandas.CSVDataset):
    """A table in a CSV file."""

    plain = pandas.CSVDataset


class ParquetDataset(AtomicDataset, pandas.ParquetDataset):
    """A table in a Parquet file."""

    plain = pandas.ParquetDataset


class JSONDataset(AtomicDataset, json.JSONDataset):
    """Plain values in a JSON file."""

    plain = json.JSONDataset


class ResultDataset(JSONDataset):
    """A typed result in a JSON file, checked when it is read.

    Args:
        filepath: A local path or fsspec address.
        result: The type, a `chest_xray.core.types.Result`, by its dotted name.
        arguments: Of the plain dataset.
    """

    def __init__(self, *, filepath: str, result: str, **arguments: Any):
        super().__init__(filepath=filepath, **arguments)
        self._result = result

    def load(self) -> Any:
        """Return the result.

        Raises:
            DatasetError: The file holds something else, such as what an older version wrote.
        """
        from kedro.utils import load_obj

        try:
            return load_obj(self._result).model_validate(json.JSONDataset.load(self))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise DatasetError(
                f"{self._address} is not a {self._result.rpartition('.')[2]} "
                f"({'.'.join(map(str, first['loc']))}: {first['msg']}). Run the pipeline that writes it again."
            ) from error

    def save(self, data: Any) -> None:
        """Write the result whole or not at all."""
        super().save(data.model_dump(mode="json"))

    def preview(self) -> JSONPreview:
        """Return the JSON for Kedro-Viz; that of the plain dataset expects plain values from `load`."""
        return self.plain(filepath=self._address, **self._arguments).preview()


class TextDataset(AtomicDataset, text.TextDataset):
    """A text."""

    plain = text.TextDataset
