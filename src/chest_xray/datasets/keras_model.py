"""A trained Keras model in one `.keras` file."""

import json
from typing import Any

from kedro.io import DatasetError
from kedro_datasets._typing import JSONPreview

from chest_xray.core.files import atomic_path
from chest_xray.core.types import Model
from chest_xray.datasets.storage import FileDataset


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
