"""Figures in PNG files that pages can show."""

import base64
from pathlib import Path
from typing import Any

import fsspec
from kedro_datasets._typing import ImagePreview

from chest_xray.core.files import atomic_path
from chest_xray.core.types import Figure
from chest_xray.datasets.storage import FileDataset


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
