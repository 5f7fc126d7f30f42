"""Images that the page offers to people who have none at hand."""

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, Self

from chest_xray.core.types import DataFrame
from chest_xray.images.validation import is_junk
from chest_xray.serving.pictures import draw_phantom_png

Label = Literal["NORMAL", "PNEUMONIA"]
AETIOLOGIES: dict[Label, str] = {"NORMAL": "none", "PNEUMONIA": "bacterial"}  # of phantoms


class Samples(NamedTuple):
    """Phantoms, which only a network of phantoms answers; or images that the network was not trained on; or none."""

    kind: Literal["phantoms", "validation", "test", "none"]
    paths: Mapping[Label, Sequence[str]] = {}  # by label, of images

    @classmethod
    def of_validation(cls, image_split: DataFrame) -> Self:
        """Offer the validation images of a split that are still in their place; none without some of each label."""
        rows = image_split[image_split["subset"] == "validation"]
        found = {
            label: [path for path in rows.loc[rows["label"] == number, "path"] if Path(path).is_file()]
            for number, label in enumerate(AETIOLOGIES)
        }
        return cls("validation", found) if all(found.values()) else cls("none")

    @classmethod
    def of_test(cls, folder: str | None) -> Self:
        """Offer the images in a local folder's subfolders `NORMAL` and `PNEUMONIA`; none without some of each."""
        found = {
            label: [str(path) for path in Path(folder, label).glob("*") if not is_junk(path.name)]
            for label in AETIOLOGIES
            if folder
        }
        return cls("test", found) if found and all(found.values()) else cls("none")

    def draw(self, label: Label) -> bytes:
        """Return the bytes of a random image with this label."""
        if self.kind == "phantoms":
            return draw_phantom_png(AETIOLOGIES[label])
        return Path(random.choice(self.paths[label])).read_bytes()
