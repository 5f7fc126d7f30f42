"""Datasets of a file that kedro-datasets lacks; heavy libraries are imported when one is loaded or saved."""

import base64
import io
import json
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import fsspec
from kedro.io import AbstractDataset, DatasetError
from kedro_datasets._typing import HTMLPreview, ImagePreview, JSONPreview

from chest_xray.core.files import atomic_path
from chest_xray.core.types import Array, Figure, Model
from chest_xray.models.contract import CONTRACT, OOD_DETECTOR, Contract
from chest_xray.models.training import Checkpoint


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


class MarkdownDataset(FileDataset):
    """Keeps a Markdown text in UTF-8, with a preview."""

    def load(self) -> str:
        """Return the text as it was saved."""
        return Path(self._local()).read_text(encoding="utf-8")

    def save(self, data: str) -> None:
        """Write the text whole or not at all."""
        with atomic_path(self._filepath) as path:
            path.write_text(data, encoding="utf-8")

    def preview(self) -> HTMLPreview:
        """Return Kedro-Viz the page as HTML; HTML in the text, such as in the name of a file, is shown as text."""
        from markdown_it import MarkdownIt

        return HTMLPreview(MarkdownIt("commonmark", {"html": False}).enable("table").render(self.load()))


class FigureDataset(FileDataset):
    """Saves a matplotlib figure and gives back the picture of it.

    kedro-datasets' `MatplotlibDataset` cannot load, and imports matplotlib when a catalog is built.
    """

    def load(self) -> bytes:
        """Return the PNG file as it is."""
        return Path(self._local()).read_bytes()

    def save(self, data: Figure) -> None:
        """Draw the figure at its own resolution and write it whole or not at all."""
        _draw(data, self._filepath)

    def preview(self) -> ImagePreview:
        """Return the picture for Kedro-Viz."""
        return ImagePreview(base64.b64encode(self.load()).decode("ascii"))


class FigureFolderDataset(FileDataset):
    """Saves several figures by name, each in a PNG file of its own; what else lies in the folder is removed."""

    def load(self) -> dict[str, bytes]:
        """Return the PNG files by name."""
        filesystem, folder = fsspec.core.url_to_fs(self._filepath)
        return {Path(path).stem: filesystem.cat_file(path) for path in sorted(filesystem.glob(f"{folder}/*.png"))}

    def save(self, data: dict[str, Figure]) -> None:
        """Draw each figure at its own resolution and write it whole or not at all."""
        for name, figure in data.items():
            _draw(figure, f"{self._filepath}/{name}.png")
        filesystem, folder = fsspec.core.url_to_fs(self._filepath)
        for path in filesystem.glob(f"{folder}/*.png"):
            if Path(path).stem not in data:
                filesystem.rm_file(path)


def _draw(figure: Any, filepath: str) -> None:
    """Write a PNG file; no text in it is read as a formula, for names of files and titles may hold `$`."""
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        text.set_parse_math(False)
    with atomic_path(filepath) as path:
        figure.savefig(path, format="png")


class EvidenceDataset(FileDataset):
    """Stores a dict of tables (pandas), pictures (PNG, bytes) and plain values as JSON.

    Pictures are kept as base64; missing values of tables come back as pandas infers them.
    """

    def load(self) -> dict[str, Any]:
        """Return the dict."""
        stored = json.loads(Path(self._local()).read_text("utf-8"))
        return {name: _decode(kind, value) for name, (kind, value) in stored.items()}

    def save(self, data: dict[str, Any]) -> None:
        """Write the dict whole or not at all."""
        text = json.dumps({name: _encode(value) for name, value in data.items()}, ensure_ascii=False)
        with atomic_path(self._filepath) as path:
            path.write_text(text, "utf-8")


def _encode(value: Any) -> tuple[str, Any]:
    import pandas as pd

    if isinstance(value, bytes):
        return "png", base64.b64encode(value).decode("ascii")
    if isinstance(value, pd.DataFrame):
        rows = value.astype(object).where(value.notna(), None).to_numpy().tolist()
        return "table", {"columns": list(value.columns), "rows": rows}
    return "value", value


def _decode(kind: str, value: Any) -> Any:
    import pandas as pd

    if kind == "png":
        return base64.b64decode(value)
    return pd.DataFrame(value["rows"], columns=value["columns"]) if kind == "table" else value


class CheckpointDataset(FileDataset):
    """Gives the node that trains a place for its checkpoint; the node's only door to the disk.

    Args:
        filepath: A local path that ends in `.npz`.
        metadata: For plugins such as Kedro-Viz.
    """

    def load(self) -> Checkpoint:
        """Return the place, whether or not something was left there."""
        return Checkpoint(self._filepath)

    def save(self, data: Any) -> None:
        """Refuse: training itself writes there, after every epoch."""
        raise DatasetError(f"{type(self).__name__} is not an output; received {type(data).__name__}.")

    def _exists(self) -> bool:
        return True


class KerasModelDataset(FileDataset):
    """Keeps a model with its weights; Keras is imported when one is loaded or saved, not when the catalog is built.

    Args:
        filepath: A path or fsspec address that ends in `.keras`, the only format offered: it needs neither pickle nor
            code that runs on loading (Keras' safe mode stays on).
        metadata: For plugins such as Kedro-Viz.

    Raises:
        DatasetError: The suffix is another one.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None):
        if not filepath.endswith(".keras"):
            raise DatasetError(f"received filepath {filepath!r}; expected one that ends in .keras.")
        super().__init__(filepath=filepath, metadata=metadata)

    def load(self) -> Model:
        """Return the model as it was saved, compiled, ready for `predict` and `evaluate`."""
        import keras

        return keras.saving.load_model(self._local(), safe_mode=True)

    def save(self, data: Model) -> None:
        """Write the model whole or not at all."""
        with atomic_path(self._filepath) as path:
            data.save(path)

    def preview(self) -> JSONPreview:
        """Return Kedro-Viz the layers with their output shapes and numbers of weights."""
        model = self.load()
        layers = [
            {"layer": layer.name, "output": str(layer.output.shape), "weights": layer.count_params()}
            for layer in model.layers
        ]
        return JSONPreview(json.dumps({"weights": model.count_params(), "layers": layers}))


class PackagedModel(NamedTuple):
    """A network and all that one must know to use it, as plain data; the OOD detector needs the arrays."""

    model: Model
    contract: Contract
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
        archive.writestr(CONTRACT, data.contract.model_dump_json(indent=2))
        archive.writestr(OOD_DETECTOR, arrays.getvalue())


def _write_onnx(data: PackagedModel, path: str) -> None:
    import onnx

    data.model.export(path, format="onnx", verbose=False)
    converted = onnx.load(path)
    onnx.helper.set_model_props(converted, {"contract": data.contract.model_dump_json(indent=2)})
    onnx.save(converted, path)


def _write_litert(data: PackagedModel, path: str) -> None:
    data.model.export(path, format="litert", verbose=False)


def _call_once(model: Model) -> None:
    """The converters refuse a model that was loaded and never called."""
    import numpy as np

    model(np.zeros((1, *model.input_shape[1:]), np.float32))
