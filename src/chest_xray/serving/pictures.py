"""Images for the page: those that it shows, as data URLs because nothing is stored, and samples to try it with.

Decoding processes import this module, so it must not import TensorFlow.
"""

import base64
import io
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, Self

from chest_xray.core.libraries import np
from chest_xray.core.types import Array, DataFrame
from chest_xray.images.decoding import fit_grey
from chest_xray.images.header import is_dicom
from chest_xray.images.preprocessing import Preparation, decode_content, trim
from chest_xray.images.validation import InputChecks, Refusal, describe_image, is_junk

SIDE = 512  # pixels of the longer side on the page
Label = Literal["NORMAL", "PNEUMONIA"]
AETIOLOGIES: dict[Label, str] = {"NORMAL": "none", "PNEUMONIA": "bacterial"}  # of phantoms


class Picture(NamedTuple):
    """A picture as a data URL, and its size in pixels."""

    url: str
    width: int
    height: int


def show_picture(data: bytes, preparation: Preparation, limits: InputChecks) -> Picture | None:
    """Return the picture of `draw_picture` as a data URL, or None."""
    pixels = draw_picture(data, preparation, limits)
    return None if pixels is None else Picture(to_data_url(pixels), pixels.shape[1], pixels.shape[0])


def draw_picture(data: bytes, preparation: Preparation, limits: InputChecks) -> Array | None:
    """Draw the part of an image that the network receives, in its own proportions.

    Args:
        data: The bytes of a file.
        preparation: Size and geometry of the network's input.
        limits: Images above `max_megapixels` are not shown.

    Returns:
        uint8 of shape (height, width), or None if the file cannot be shown.
    """
    geometry = preparation.geometry

    def scale(original: tuple[float, float]) -> tuple[int, int]:
        width, height = original if geometry == "stretch" else (preparation.width, preparation.height)
        factor = SIDE / max(width, height)
        return max(1, round(width * factor)), max(1, round(height * factor))

    try:
        if is_dicom(data):
            from chest_xray.images.dicom import read_dicom

            image = read_dicom(data, limits.max_megapixels).convert("L")
            original, content = image.size, trim(image, limits)
        else:
            facts = describe_image(io.BytesIO(data), limits.max_megapixels)
            if isinstance(facts, Refusal):
                return None
            original = facts.width, facts.height
            content = decode_content(data, scale(original), geometry, limits)
        size = scale((original[0] * content.share[0], original[1] * content.share[1]))
        return np.asarray(fit_grey(content.image, size, geometry))
    except Exception:  # The image is only for orientation; the answer states why the file was refused.
        return None


def draw_heat(evidence: Array) -> str | None:
    """Return the map of `colour_evidence` as a data URL; None if there is no evidence."""
    from chest_xray.models.gradcam import colour_evidence

    return to_data_url(colour_evidence(evidence, (SIDE // 2, SIDE // 2))) if evidence.any() else None


def encode_png(pixels: Array) -> bytes:
    """Encode uint8 pixels of shape (height, width), or (height, width, 4) with opacity, as PNG."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def to_data_url(pixels: Array) -> str:
    """Return the PNG of `encode_png` as a data URL."""
    return "data:image/png;base64," + base64.b64encode(encode_png(pixels)).decode()


class Samples(NamedTuple):
    """Samples: phantoms, for a network that was trained on some; images that it was not trained on; or none."""

    kind: Literal["phantoms", "validation", "test", "none"]
    paths: Mapping[Label, Sequence[str]] = {}  # of files, by label; empty for phantoms

    @classmethod
    def of_validation(cls, image_split: DataFrame) -> Self:
        """Offer the validation images whose files still exist; "none" unless there are some of each label."""
        rows = image_split[image_split["subset"] == "validation"]
        paths = {
            label: [path for path in rows.loc[rows["label"] == number, "path"] if Path(path).is_file()]
            for number, label in enumerate(AETIOLOGIES)
        }
        return cls("validation", paths) if all(paths.values()) else cls("none")

    @classmethod
    def of_test(cls, folder: str | None) -> Self:
        """Offer the images in the subfolders `NORMAL` and `PNEUMONIA`; "none" unless there are some in each."""
        paths = {
            label: [str(path) for path in Path(folder, label).glob("*") if not is_junk(path.name)]
            for label in AETIOLOGIES
            if folder
        }
        return cls("test", paths) if paths and all(paths.values()) else cls("none")

    def draw(self, label: Label) -> bytes:
        """Return the bytes of a random image with this label."""
        if self.kind == "phantoms":
            from chest_xray.images.phantoms import draw_phantom

            return encode_png(draw_phantom(np.random.default_rng(), AETIOLOGIES[label]))
        return Path(random.choice(self.paths[label])).read_bytes()
