"""A shutter has the shade that its file states, as far as eight bits reach."""

import numpy as np
import pytest
from PIL.Image import new
from pydicom import Dataset

from chest_xray.images.dicom_layout import EDGES, lay_out


@pytest.mark.parametrize(("value", "shade"), [(-70_000, 0), (0, 0), (0x8080, 128), (65_535, 255), (70_000, 255)])
def test_a_shutter_has_the_stated_shade_or_the_nearest_of_eight_bits(value: int, shade: int) -> None:
    dataset = Dataset()
    dataset.ShutterShape = "RECTANGULAR"
    for edge, place in zip(EDGES, (2, 4, 1, 3), strict=True):
        setattr(dataset, f"Shutter{edge}Edge", place)
    dataset.add_new("ShutterPresentationValue", "SL", value)
    assert np.asarray(lay_out(new("L", (4, 3), 7), dataset)).tolist() == [[shade, 7, 7, 7]] * 3
