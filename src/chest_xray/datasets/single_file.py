"""Single files, and folders that a node fills; heavy libraries are imported on loading and saving.

`FileDataset`, `LocalDataset` and `ReadOnlyDataset` are the bases of all datasets of this project; their `metadata` is
for plugins such as Kedro-Viz.
"""

import base64
import glob
import io
import json
import logging
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NewType, NoReturn

import fsspec
from kedro.io import AbstractDataset, DatasetError

from chest_xray.core.files import atomic_path
from chest_xray.core.libraries import np, pd
from chest_xray.core.types import Figure, Model
from chest_xray.models.contract import CONTRACT, OOD_DETECTOR, PackagedModel
from chest_xray.models.network import is_float32
from chest_xray.models.training import Checkpoint

logger = logging.getLogger(__name__)
UNNAMED = "en"  # the language that the names of files do not state
# Kedro-Viz chooses the view of a preview by these names.
HTMLPreview = NewType("HTMLPreview", str)
ImagePreview = NewType("ImagePreview", str)
JSONPreview = NewType("JSONPreview", str)
PlotlyPreview = NewType("PlotlyPreview", dict[str, Any])


def exists(address: str) -> bool:
    """Check whether there is a file or a folder at a local path or fsspec address."""
    filesystem, path = fsspec.core.url_to_fs(address)
    return bool(filesystem.exists(path))


class FileDataset(AbstractDataset[Any, Any]):
    """A dataset at one local path or fsspec address, which ends in one of `suffixes` where a class has them.

    Raises:
        DatasetError: `filepath` has another suffix.
    """

    suffixes: tuple[str, ...] = ()

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None):
        if self.suffixes and not filepath.endswith(self.suffixes):
            expected = " or ".join(", ".join(self.suffixes).rsplit(", ", 1))
            raise DatasetError(
                f"received filepath {filepath!r}; expected one that ends in {expected}. Correct the catalog."
            )
        self._filepath, self.metadata = filepath, metadata

    def _local(self) -> str:
        """Return a local path of the same name to read from; a remote file is fetched whole, as it is now."""
        if "://" not in self._filepath:
            return self._filepath
        filesystem, path = fsspec.core.url_to_fs(self._filepath)
        # A shared cache would keep returning its first copy. This one lasts as long as it is referred to.
        self._fetched = fsspec.filesystem("simplecache", fs=filesystem, same_names=True, skip_instance_cache=True)
        with self._fetched.open(path) as file:
            return str(file.name)

    def _exists(self) -> bool:
        return exists(self._filepath)

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath}


class LocalDataset(FileDataset):
    """A dataset at one path of a local disk.

    Raises:
        DatasetError: The path is an address of remote storage.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None):
        if "://" in filepath:
            raise DatasetError(
                f"received {filepath!r}; expected a local path for {type(self).__name__}. Correct the catalog."
            )
        super().__init__(filepath=filepath, metadata=metadata)
        self._path = Path(filepath)


class ReadOnlyDataset(AbstractDataset[NoReturn, Any]):
    """A dataset that nodes do not write."""

    def save(self, data: NoReturn) -> NoReturn:
        raise DatasetError(
            f"received {type(data).__name__} to save, but {type(self).__name__} is read-only. Remove it from "
            "the outputs of the node."
        )


class TextDataset(FileDataset):
    """A text in UTF-8."""

    def load(self) -> Any:
        return Path(self._local()).read_text("utf-8")

    def save(self, data: Any) -> None:
        with atomic_path(self._filepath) as path:
            path.write_text(data, "utf-8")


class MarkdownDataset(TextDataset):
    """A Markdown text."""

    def preview(self) -> HTMLPreview:
        """Return the page as HTML; HTML in the text, such as in the name of a file, is shown as text."""
        from markdown_it import MarkdownIt

        return HTMLPreview(MarkdownIt("commonmark", {"html": False}).enable("table").render(self.load()))


class PageDataset(FileDataset):
    """A page in each language, as HTML in UTF-8, at paths as in `FigureDataset`."""

    def load(self) -> dict[str, str]:
        return {language: page.decode() for language, page in _read_languages(self._filepath).items()}

    def save(self, data: dict[str, str]) -> None:
        for language, text in data.items():
            TextDataset(filepath=_place(self._filepath, language)).save(text)


class FigureDataset(FileDataset):
    """A matplotlib figure in each language, as PNG, which kedro-datasets' `MatplotlibDataset` cannot load.

    English is at the path itself, such as `roc_curve.png`, and every other language beside it: `roc_curve.ru.png`.
    """

    def load(self) -> dict[str, bytes]:
        return _read_languages(self._filepath)

    def save(self, data: dict[str, Figure]) -> None:
        """Draw each figure at its own resolution; no text is parsed as a formula, since names may hold `$`."""
        for language, figure in data.items():
            for text in _list_texts(figure):
                text.set_parse_math(False)
            if (layout := figure.get_layout_engine()) is not None:
                layout.execute(figure)
                figure.set_layout_engine(None)  # With an engine, even "none", matplotlib lays it out once more.
            with atomic_path(_place(self._filepath, language)) as path:
                figure.savefig(path, format="png")

    def preview(self) -> ImagePreview:
        """Return the English PNG in base64."""
        return ImagePreview(base64.b64encode(Path(self._local()).read_bytes()).decode("ascii"))


class FigureFolderDataset(FileDataset):
    """Figures by name, each in each language as in `FigureDataset`; other PNG files in the folder are removed."""

    def load(self) -> dict[str, dict[str, bytes]]:
        names = sorted({Path(path).name.split(".")[0] for path in self._list()})
        return {name: FigureDataset(filepath=f"{self._filepath}/{name}.png").load() for name in names}

    def save(self, data: dict[str, dict[str, Figure]]) -> None:
        for name, figures in data.items():
            FigureDataset(filepath=f"{self._filepath}/{name}.png").save(figures)
        filesystem, _ = fsspec.core.url_to_fs(self._filepath)
        for path in self._list():
            if Path(path).name.split(".")[0] not in data:
                filesystem.rm_file(path)

    def _list(self) -> list[str]:
        filesystem, folder = fsspec.core.url_to_fs(self._filepath)
        return list(filesystem.glob(f"{glob.escape(folder)}/*.png"))


def _place(path: str, language: str) -> str:
    start, _, suffix = path.rpartition(".")
    return path if language == UNNAMED else f"{start}.{language}.{suffix}"


def _read_languages(filepath: str) -> dict[str, bytes]:
    """Return the content of the file of each language."""
    filesystem, path = fsspec.core.url_to_fs(filepath)
    start, _, suffix = path.rpartition(".")
    others = filesystem.glob(f"{glob.escape(start)}.??.{suffix}")
    paths = {UNNAMED: path} | {other.rsplit(".", 2)[1]: other for other in others}
    return {language: filesystem.cat_file(path) for language, path in paths.items()}


def _list_texts(artist: Any) -> Iterator[Any]:
    """Yield the texts in an artist, but for those at axes that are off, whose ticks would be made for nothing."""
    from matplotlib.axis import Axis
    from matplotlib.text import Text

    if isinstance(artist, Text):
        yield artist
    for child in artist.get_children():
        if not isinstance(child, Axis) or child.axes.axison:
            yield from _list_texts(child)


class PlotlyDataset(TextDataset):
    """A figure of Plotly in a JSON file; the dataset of kedro-datasets takes a second to import."""

    def load(self) -> Any:
        from plotly.io import from_json

        return from_json(super().load())

    def save(self, data: Any) -> None:
        super().save(data.to_json())

    def preview(self) -> PlotlyPreview:
        return PlotlyPreview(json.loads(super().load()))


class EvidenceDataset(TextDataset):
    """A dict of tables (pandas), pictures (bytes), plain values, and dicts that hold tables or pictures, as JSON.

    Missing values of tables are loaded as pandas infers them.
    """

    def load(self) -> dict[str, Any]:
        return {name: _decode(kind, value) for name, (kind, value) in json.loads(super().load()).items()}

    def save(self, data: dict[str, Any]) -> None:
        super().save(json.dumps({name: _encode(value) for name, value in data.items()}, ensure_ascii=False))


def _encode(value: Any) -> tuple[str, Any]:
    if isinstance(value, bytes):
        return "bytes", base64.b64encode(value).decode("ascii")
    if isinstance(value, dict) and any(isinstance(item, bytes | pd.DataFrame) for item in value.values()):
        return "dict", {name: _encode(item) for name, item in value.items()}
    if isinstance(value, pd.DataFrame):
        rows = value.astype(object).where(value.notna(), None).to_numpy().tolist()
        return "table", {"columns": list(value.columns), "rows": rows}
    return "value", value


def _decode(kind: str, value: Any) -> Any:
    if kind == "bytes":
        return base64.b64decode(value)
    if kind == "dict":
        return {name: _decode(*item) for name, item in value.items()}
    return pd.DataFrame(value["rows"], columns=value["columns"]) if kind == "table" else value


class CheckpointDataset(FileDataset, ReadOnlyDataset):
    """Loads the checkpoint at a local `.npz` path, whether or not it has been written; the node itself writes it."""

    def load(self) -> Checkpoint:
        return Checkpoint(self._filepath)

    def _exists(self) -> bool:
        return True


class FolderDataset(LocalDataset, ReadOnlyDataset):
    """Loads the path of a local folder, whether or not it exists; the node itself writes into it."""

    def __init__(self, *, path: str, metadata: dict[str, Any] | None = None):
        super().__init__(filepath=path, metadata=metadata)

    def load(self) -> Path:
        return self._path

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"path": self._filepath}  # `filepath` would have RunLock digest every image.


class KerasModelDataset(FileDataset):
    """A model with its weights, in a `.keras` file: it needs neither pickle nor code that runs on loading."""

    suffixes = (".keras",)

    def load(self) -> Model:
        """Return the model, compiled."""
        import keras

        return keras.saving.load_model(self._local(), safe_mode=True)

    def save(self, data: Model) -> None:
        with atomic_path(self._filepath) as path:
            data.save(path)

    def preview(self) -> JSONPreview:
        """Return the layers with their output shapes and numbers of weights."""
        model = self.load()
        facts = ((layer.name, str(layer.output.shape), layer.count_params()) for layer in model.layers)
        layers = [dict(zip(("layer", "output", "weights"), row, strict=True)) for row in facts]
        return JSONPreview(json.dumps({"weights": model.count_params(), "layers": layers}))


class PackagedModelDataset(FileDataset):
    """Exports a network with Keras' converters, to the format of the suffix; loads the bytes.

    The formats: `.keras` (inside: `contract.json`, `ood_detector.npz`), `.onnx` (contract in the metadata under
    "contract") and `.tflite` (LiteRT; no contract inside). The last two compute in float32: of a network in another
    precision, which they would not answer for, none is written.
    """

    suffixes = (".keras", ".onnx", ".tflite")

    def load(self) -> bytes:
        return Path(self._local()).read_bytes()

    def save(self, data: PackagedModel) -> None:
        """Convert and write the network, whole or not at all.

        Raises:
            DatasetError: The converter is not installed.
        """
        if not self._filepath.endswith(".keras") and not is_float32(data.model):
            Path(self._filepath).unlink(missing_ok=True)
            logger.warning("%s is not written: it would compute in float32, and the network does not.", self._filepath)
            return
        data.model(np.zeros((1, *data.model.input_shape[1:]), np.float32))  # The converters need one call.
        with atomic_path(self._filepath) as path:
            try:
                if path.suffix == ".keras":
                    data.model.save(path)
                    arrays = io.BytesIO()
                    np.savez(arrays, **data.ood_detector)  # type: ignore[arg-type]
                    with zipfile.ZipFile(path, "a") as archive:
                        archive.writestr(CONTRACT, data.contract.model_dump_json(indent=2))
                        archive.writestr(OOD_DETECTOR, arrays.getvalue())
                elif path.suffix == ".onnx":
                    import onnx

                    data.model.export(str(path), format="onnx", verbose=False)
                    converted = onnx.load(path)
                    onnx.helper.set_model_props(converted, {"contract": data.contract.model_dump_json(indent=2)})
                    onnx.save(converted, path)
                else:
                    data.model.export(str(path), format="litert", verbose=False)
            except ImportError as error:
                raise DatasetError(f"{error}. Install the converters: pip install 'chest-xray[export]'.") from error
