"""Pictures for the page, as data that stands in the page itself: nothing is written to a file."""

import base64
import io
import tempfile
from typing import Any

from chest_xray.core.types import Array
from chest_xray.images.decoding import decode_grey, fit_grey
from chest_xray.images.dicom import is_dicom, read_dicom
from chest_xray.images.validation import describe_image

SIDE = 512  # pixels of the longer side of what is shown
# Faint to strong, told apart by colour-blind readers and from the grey below: matplotlib's plasma without its dark end.
HEAT = ("#9c179e", "#cc4778", "#ed7953", "#fdb42f", "#f0f921")


def show_picture(data: bytes, preparation: dict[str, Any], max_megapixels: float) -> tuple[str, int, int] | None:
    """Draw the part of a picture that the network gets, in its own proportions.

    Args:
        data: The bytes of a file.
        preparation: Of the contract: `width`, `height` and `geometry` of what the network gets.
        max_megapixels: Larger pictures are not shown.

    Returns:
        A data URL, and width and height in pixels; None where the file cannot be shown.
    """
    try:
        return (
            _show_dicom(data, preparation, max_megapixels)
            if is_dicom(data)
            else _show_plain(data, preparation, max_megapixels)
        )
    except Exception:  # It is shown for orientation only; why it was refused is told beside it.
        return None


def _show_plain(data: bytes, preparation: dict[str, Any], max_megapixels: float) -> tuple[str, int, int] | None:
    facts = describe_image(io.BytesIO(data), max_megapixels)
    if "reason" in facts:
        return None
    size = _size((facts["width"], facts["height"]), preparation)
    return encode_png(decode_grey(data, size, preparation["geometry"])), *size


def _show_dicom(data: bytes, preparation: dict[str, Any], max_megapixels: float) -> tuple[str, int, int]:
    import numpy as np

    image = read_dicom(data, max_megapixels)
    size = _size(image.size, preparation)
    return encode_png(np.asarray(fit_grey(image.convert("L"), size, preparation["geometry"]))), *size


def _size(original: tuple[int, int], preparation: dict[str, Any]) -> tuple[int, int]:
    """Width and height of what is shown: a stretched picture is shown as it was, any other as the network gets it."""
    stretched = preparation["geometry"] == "stretch"
    width, height = original if stretched else (preparation["width"], preparation["height"])
    scale = SIDE / max(width, height)
    return max(1, round(width * scale)), max(1, round(height * scale))


class Explainer:
    """Computes by Grad-CAM where in a picture the evidence for pneumonia lies.

    Args:
        data: The bytes of a packaged network.
    """

    def __init__(self, data: bytes):
        self._data = data

    def load(self) -> None:
        """Load the network, and explain nothing once: the first time takes seconds."""
        import keras
        import numpy as np

        with tempfile.NamedTemporaryFile(suffix=".keras") as file:
            file.write(self._data)
            file.flush()
            self._network = keras.saving.load_model(file.name, safe_mode=True)
        self.explain(np.zeros(self._network.input_shape[1:3], np.uint8))

    def explain(self, pixels: Array) -> Array:
        """Return the evidence in one prepared image.

        Args:
            pixels: uint8 of shape (height, width).

        Returns:
            float32 in [0, 1] of shape (height, width); see `chest_xray.models.gradcam.grad_cam`.
        """
        import numpy as np

        from chest_xray.models.gradcam import grad_cam

        return grad_cam(self._network, pixels[None, ..., None].astype(np.float32) / 255)[0]


def draw_heat(evidence: Array) -> str | None:
    """Colour a map of evidence: the stronger, the brighter and the less transparent.

    Args:
        evidence: In [0, 1] of shape (height, width).

    Returns:
        A data URL, or None where there is no evidence anywhere.
    """
    import numpy as np
    from PIL import Image, ImageColor

    if not evidence.any():
        return None
    colours = np.array([ImageColor.getrgb(colour) for colour in HEAT], float)
    steps = np.linspace(0, 1, len(HEAT))
    channels = [np.interp(evidence, steps, colours[:, channel]) for channel in range(3)]
    layers = np.stack([*channels, 255 * np.clip(evidence, 0, 1)], axis=-1).round().astype(np.uint8)
    smooth = Image.fromarray(layers, "RGBA").resize((SIDE // 2, SIDE // 2), Image.Resampling.BICUBIC)
    return encode_png(np.asarray(smooth))


def encode_png(pixels: Array) -> str:
    """Return pixels as a data URL.

    Args:
        pixels: uint8 of shape (height, width), or (height, width, 4) with a fourth channel of opacity.
    """
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def draw_phantom_png(aetiology: str) -> bytes:
    """Draw a phantom that was not drawn before, as the bytes of a PNG file.

    Args:
        aetiology: See `phantoms.draw_phantom`.
    """
    import numpy as np
    from PIL import Image

    from chest_xray.images.phantoms import draw_phantom

    buffer = io.BytesIO()
    Image.fromarray(draw_phantom(np.random.default_rng(), aetiology)).save(buffer, "PNG")
    return buffer.getvalue()
