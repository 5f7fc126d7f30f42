"""A network in a file for others: Keras, ONNX or LiteRT, with its contract inside where the format has room for it."""

import json
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

from kedro.io import DatasetError

from chest_xray.datasets.storage import FileDataset, atomic_path
from chest_xray.types import Model

CONTRACT = "contract.json"  # its name inside a .keras file, which is a ZIP archive; Keras leaves it alone


class PackagedModel(NamedTuple):
    """A network and all that one must know to use it, as plain data."""

    model: Model
    contract: dict[str, Any]


class PackagedModelDataset(FileDataset):
    """Writes a network in the format that the suffix of its file names; the converters are Keras' own.

    Args:
        filepath: Ends in `.keras` (contract inside, as `contract.json`), `.onnx` (contract in the metadata under the
            key "contract") or `.tflite` (LiteRT; no contract inside).
        metadata: For plugins such as Kedro-Viz.

    Raises:
        DatasetError: The suffix is another one.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None):
        if not filepath.endswith((".keras", ".onnx", ".tflite")):
            raise DatasetError(f"received filepath {filepath!r}; expected one that ends in .keras, .onnx or .tflite.")
        super().__init__(filepath=filepath, metadata=metadata)

    def load(self) -> bytes:
        """Give the file as it is, for a runtime of the reader's choice."""
        return Path(self._local()).read_bytes()

    def save(self, data: PackagedModel) -> None:
        """Convert and write the network, whole or not at all.

        Raises:
            DatasetError: The converter is not installed.
        """
        contract = json.dumps(data.contract, indent=2)
        _call_once(data.model)
        write = {".keras": _write_keras, ".onnx": _write_onnx, ".tflite": _write_litert}[Path(self._filepath).suffix]
        with atomic_path(self._filepath) as path:
            try:
                write(data.model, contract, str(path))
            except ImportError as error:
                raise DatasetError(f"{error}. Install the converters: pip install 'chest-xray[export]'.") from error


def _write_keras(model: Model, contract: str, path: str) -> None:
    model.save(path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(CONTRACT, contract)


def _write_onnx(model: Model, contract: str, path: str) -> None:
    import onnx

    model.export(path, format="onnx", verbose=False)
    converted = onnx.load(path)
    onnx.helper.set_model_props(converted, {"contract": contract})
    onnx.save(converted, path)


def _write_litert(model: Model, contract: str, path: str) -> None:  # noqa: ARG001
    model.export(path, format="litert", verbose=False)


def _call_once(model: Model) -> None:
    """The converters refuse a model that was loaded and never called."""
    import numpy as np

    model(np.zeros((1, *model.input_shape[1:]), np.float32))
