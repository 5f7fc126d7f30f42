"""A network in a file for others: Keras, ONNX or LiteRT, with its contract inside where the format has room for it."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

from kedro.io import DatasetError

from chest_xray.core.files import atomic_path
from chest_xray.core.types import Array, Model
from chest_xray.datasets.storage import FileDataset
from chest_xray.models.contract import CONTRACT, OOD_DETECTOR


class PackagedModel(NamedTuple):
    """A network and all that one must know to use it, as plain data; the OOD detector needs the arrays."""

    model: Model
    contract: dict[str, Any]
    ood_detector: dict[str, Array]


class PackagedModelDataset(FileDataset):
    """Writes a network in the format that the suffix of its file names; the converters are Keras' own.

    Args:
        filepath: Ends in `.keras` (inside: `contract.json`, `ood_detector.npz`), `.onnx` (contract in the metadata
            under "contract") or `.tflite` (LiteRT; no contract inside).
        metadata: For plugins such as Kedro-Viz.

    Raises:
        DatasetError: The suffix is another one.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None):
        if not filepath.endswith((".keras", ".onnx", ".tflite")):
            raise DatasetError(f"received filepath {filepath!r}; expected one that ends in .keras, .onnx or .tflite.")
        super().__init__(filepath=filepath, metadata=metadata)

    def load(self) -> bytes:
        """Return the file as it is, for a runtime of the reader's choice."""
        return Path(self._local()).read_bytes()

    def save(self, data: PackagedModel) -> None:
        """Convert and write the network, whole or not at all.

        Raises:
            DatasetError: The converter is not installed.
        """
        _call_once(data.model)
        write = {".keras": _write_keras, ".onnx": _write_onnx, ".tflite": _write_litert}[Path(self._filepath).suffix]
        with atomic_path(self._filepath) as path:
            try:
                write(data, str(path))
            except ImportError as error:
                raise DatasetError(f"{error}. Install the converters: pip install 'chest-xray[export]'.") from error


def _write_keras(data: PackagedModel, path: str) -> None:
    import numpy as np

    data.model.save(path)
    arrays = io.BytesIO()
    np.savez(arrays, **data.ood_detector)  # type: ignore[arg-type]
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(CONTRACT, json.dumps(data.contract, indent=2))
        archive.writestr(OOD_DETECTOR, arrays.getvalue())


def _write_onnx(data: PackagedModel, path: str) -> None:
    import onnx

    data.model.export(path, format="onnx", verbose=False)
    converted = onnx.load(path)
    onnx.helper.set_model_props(converted, {"contract": json.dumps(data.contract, indent=2)})
    onnx.save(converted, path)


def _write_litert(data: PackagedModel, path: str) -> None:
    data.model.export(path, format="litert", verbose=False)


def _call_once(model: Model) -> None:
    """The converters refuse a model that was loaded and never called."""
    import numpy as np

    model(np.zeros((1, *model.input_shape[1:]), np.float32))
