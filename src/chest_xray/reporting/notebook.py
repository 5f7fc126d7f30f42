"""The report notebook in another language: nbconvert exchanges its texts while it executes its code."""

from pathlib import Path
from typing import Any

import yaml
from nbconvert.preprocessors import Preprocessor
from traitlets import Enum

from chest_xray.reporting.i18n import languages


class Translate(Preprocessor):
    """Gives a notebook the title and Markdown cells of `NAME.LANGUAGE.yml` beside it; code and outputs stay.

    A language that there are no words for is refused by its name when nbconvert starts, before any cell runs.
    """

    language = Enum(languages(), default_value="en").tag(config=True)

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        """Exchange the texts.

        Args:
            nb: The notebook, in English.
            resources: Of nbconvert; `metadata` has `name` and `path` of the notebook.

        Returns:
            The same notebook and resources, in English unchanged.

        Raises:
            KeyError: A Markdown cell without a text in this language, by its id.
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
