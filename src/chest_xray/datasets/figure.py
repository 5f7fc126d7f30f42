"""A figure in a PNG file that pages can show."""

import base64
from pathlib import Path

from kedro_datasets._typing import ImagePreview

from chest_xray.core.files import atomic_path
from chest_xray.core.types import Figure
from chest_xray.datasets.storage import FileDataset


class FigureDataset(FileDataset):
    """Saves a matplotlib figure and gives back the picture of it.

    kedro-datasets' `MatplotlibDataset` cannot load, and imports matplotlib when a catalog is built.
    """

    def load(self) -> bytes:
        """Give the PNG file as it is."""
        return Path(self._local()).read_bytes()

    def save(self, data: Figure) -> None:
        """Draw the figure at its own resolution and write it whole or not at all.

        Names of files and titles may hold any sign: no text is read as a formula, in which `$` would end the run.
        """
        from matplotlib.text import Text

        for text in data.findobj(Text):
            text.set_parse_math(False)
        with atomic_path(self._filepath) as path:
            data.savefig(path, format="png")

    def preview(self) -> ImagePreview:
        """Give Kedro-Viz the picture."""
        return ImagePreview(base64.b64encode(self.load()).decode("ascii"))
