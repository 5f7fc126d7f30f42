"""A page of Markdown that Kedro-Viz shows rendered."""

from kedro_datasets._typing import HTMLPreview
from kedro_datasets.text import TextDataset

from chest_xray.datasets.storage import atomic_path


class MarkdownDataset(TextDataset):
    """Keeps a Markdown text as kedro-datasets' TextDataset does, written whole or not at all, with a preview."""

    def save(self, data: str) -> None:
        """Write the text in UTF-8."""
        with atomic_path(str(self._filepath)) as path:
            path.write_text(data, encoding="utf-8")

    def preview(self) -> HTMLPreview:
        """Give Kedro-Viz the page as HTML."""
        from markdown_it import MarkdownIt

        return HTMLPreview(MarkdownIt().enable("table").render(self.load()))
