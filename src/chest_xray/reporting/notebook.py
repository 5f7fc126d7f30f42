"""Translation of the report notebook while nbconvert executes it."""

from pathlib import Path
from typing import Any

import yaml
from nbconvert.preprocessors import Preprocessor
from traitlets import Enum

from chest_xray.reporting.i18n import languages


class Translate(Preprocessor):
    """Replaces the title and the Markdown cells by the texts of `NAME.LANGUAGE.yml` beside the notebook.

    nbconvert rejects an unknown language before it executes a cell.
    """

    language = Enum(languages(), default_value="en").tag(config=True)

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        """Return the notebook in the language, and nbconvert's resources.

        Raises:
            KeyError: The text of a Markdown cell is missing; the message is the cell's id.
        """
        if self.language != "en":
            place = resources["metadata"]
            file = Path(place["path"], f"{place['name']}.{self.language}.yml")
            texts = yaml.safe_load(file.read_text(encoding="utf-8"))
            nb.metadata.title = texts["title"]
            for cell in nb.cells:
                if cell.cell_type == "markdown":
                    cell.source = texts[cell.id]
        return nb, resources
