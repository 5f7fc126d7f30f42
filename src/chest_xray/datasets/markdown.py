"""A page of Markdown that Kedro-Viz shows rendered."""

from pathlib import Path

from kedro_datasets._typing import HTMLPreview

from chest_xray.core.files import atomic_path
from chest_xray.datasets.storage import FileDataset


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
