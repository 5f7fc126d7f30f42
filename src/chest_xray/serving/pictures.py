"""Images for the page as data URLs, so that nothing is written to a file."""

import base64
import io
from typing import NamedTuple

from chest_xray.core.types import Array
from chest_xray.images.decoding import fit_grey
from chest_xray.images.dicom import is_dicom, read_dicom
from chest_xray.images.preprocessing import Preparation, decode_content, trim
from chest_xray.images.validation import InputChecks, Refusal, describe_image

SIDE = 512  # pixels of the longer side on the page


class ShownPicture(NamedTuple):
    """A picture as a data URL, and its size in pixels."""

    url: str
    width: int
    height: int


def show_picture(data: bytes, preparation: Preparation, limits: InputChecks) -> ShownPicture | None:
    """Return what `draw_picture` draws for the page, or None."""
    pixels = draw_picture(data, preparation, limits)
    return None if pixels is None else ShownPicture(to_data_url(pixels), pixels.shape[1], pixels.shape[0])


def draw_picture(data: bytes, preparation: Preparation, limits: InputChecks) -> Array | None:
    """Draw the part of an image that the network receives, in its own proportions.

    Args:
        data: The bytes of a file.
        preparation: Size and geometry of the network's input.
        limits: Images above `max_megapixels` are not shown.

    Returns:
        uint8 of shape (height, width), or None if the file cannot be shown.
    """
    import numpy as np

    geometry = preparation.geometry

    def scale(original: tuple[float, float]) -> tuple[int, int]:
        width, height = original if geometry == "stretch" else (preparation.width, preparation.height)
        factor = SIDE / max(width, height)
        return max(1, round(width * factor)), max(1, round(height * factor))

    try:
        if is_dicom(data):
            whole = read_dicom(data, limits.max_megapixels).convert("L")
            original, content = whole.size, trim(whole, limits)
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
    """Return what `colour_evidence` draws as a data URL; None if there is no evidence."""
    from chest_xray.models.gradcam import colour_evidence  # Not for the processes that decode.

    return to_data_url(colour_evidence(evidence, (SIDE // 2, SIDE // 2))) if evidence.any() else None


def encode_png(pixels: Array) -> bytes:
    """Encode uint8 pixels of shape (height, width), or (height, width, 4) with opacity, as PNG."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def to_data_url(pixels: Array) -> str:
    """Return pixels as for `encode_png` as a data URL."""
    return "data:image/png;base64," + base64.b64encode(encode_png(pixels)).decode()


def draw_phantom_png(aetiology: str) -> bytes:
    """Return a new random phantom as PNG; for the aetiologies see `phantoms.draw_phantom`."""
    import numpy as np

    from chest_xray.images.phantoms import draw_phantom

    return encode_png(draw_phantom(np.random.default_rng(), aetiology))
