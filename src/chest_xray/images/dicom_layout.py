"""Show a decoded DICOM image as its header says: the part inside its shutter, with square pixels, not mirrored."""

from contextlib import suppress
from typing import Any

from chest_xray.core.types import Array, Image
from chest_xray.images.dicom_display import UnsupportedDicomError, read_codes, read_number, read_numbers
from chest_xray.images.header import square_pixels

EDGES = ("LeftVertical", "RightVertical", "UpperHorizontal", "LowerHorizontal")
SPACINGS = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing", "PixelAspectRatio")
MAX_SPACING = 1e6  # mm; beyond it and its inverse, nothing is known of the shape
P_VALUES_PER_GREY = 257  # Shutters are stated in P-Values, 0 (black) to 65,535 (white): PS3.3, C.7.6.11.


def lay_out(image: Image, dataset: Any) -> Image:
    """Return an image, of mode "L" or "RGB" and as large as stored, as a viewer lays it out.

    Raises:
        UnsupportedDicomError: The shutter is incomplete, or hides all.
    """
    from PIL.Image import Transpose

    image = square_pixels(_close_shutter(image, dataset), read_pixel_aspect(dataset))
    directions = [direction[:1] for direction in read_codes(dataset, "PatientOrientation")]
    return image.transpose(Transpose.FLIP_LEFT_RIGHT) if directions == ["R", "F"] else image


def read_pixel_aspect(dataset: Any) -> float:
    """Return width / height of a pixel, 1 where it is unknown (C.7.6.3.1.7: the ratio counts where no spacing is)."""
    for keyword in SPACINGS:
        with suppress(UnsupportedDicomError):
            match read_numbers(dataset, keyword):
                case [height, width] if all(1 / MAX_SPACING < side < MAX_SPACING for side in (height, width)):
                    return width / height
    return 1.0


def _close_shutter(image: Image, dataset: Any) -> Image:
    import numpy as np
    from PIL.Image import fromarray

    shapes = read_codes(dataset, "ShutterShape")
    try:
        hidden = [_find_hidden(shape, dataset, image.size) for shape in shapes if shape]
    except UnsupportedDicomError:
        raise
    except (ValueError, TypeError, AttributeError, LookupError) as error:
        raise UnsupportedDicomError(f"a {'/'.join(shapes)} shutter that cannot be applied: {error}") from error
    if not hidden or not (outside := np.logical_or.reduce(hidden)).any():
        return image
    if outside.all():
        raise UnsupportedDicomError("a shutter that hides every pixel; expected one that shows the image")
    shade = round(read_number(dataset, "ShutterPresentationValue", 0) / P_VALUES_PER_GREY)
    pixels = np.array(image)
    pixels[outside] = min(max(shade, 0), 255)
    return fromarray(pixels)


def _find_hidden(shape: str, dataset: Any, size: tuple[int, int]) -> Array:
    """Return where a shutter hides pixels (PS3.3, C.7.6.11 and C.7.6.15), bool of shape (height, width)."""
    import numpy as np
    from PIL import ImageDraw
    from PIL.Image import new

    columns, rows = np.arange(1, size[0] + 1), np.arange(1, size[1] + 1)[:, None]
    if shape == "RECTANGULAR":
        left, right, upper, lower = (read_number(dataset, f"Shutter{edge}Edge") for edge in EDGES)
        return np.asarray((columns < left) | (columns > right) | (rows < upper) | (rows > lower))
    if shape == "CIRCULAR":
        row, column = read_numbers(dataset, "CenterOfCircularShutter")
        distances = np.hypot((rows - row) / read_pixel_aspect(dataset), columns - column)  # in widths of a pixel
        return np.asarray(distances > read_number(dataset, "RadiusOfCircularShutter"))
    if shape == "POLYGONAL":
        vertices = np.reshape(read_numbers(dataset, "VerticesOfThePolygonalShutter"), (-1, 2))
        visible = new("1", size)
        ImageDraw.Draw(visible).polygon([(column - 1, row - 1) for row, column in vertices.tolist()], fill=True)
        return ~np.asarray(visible)
    if shape == "BITMAP":
        bitmap = dataset.overlay_array(int(read_number(dataset, "ShutterOverlayGroup")))
        return np.broadcast_to(bitmap > 0, size[::-1])
    raise UnsupportedDicomError(f"a shutter of the shape {shape}; expected RECTANGULAR, CIRCULAR, POLYGONAL or BITMAP")
