"""What changes the fingerprint of the prepared images, and what the options refuse."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from chest_xray.core.options import InputError
from chest_xray.images.decoding import Geometry
from chest_xray.images.preprocessing import Preparation, fingerprint_files, measure_appearance
from chest_xray.pipelines.data_processing.nodes import prepare_images
from tests.builders import make_pixels

IMAGES = pd.DataFrame({"path": ["a.jpeg", "b.jpeg"], "bytes": [1, 2], "modified": ["1", "2"]})


def fingerprint(images: pd.DataFrame = IMAGES, **options: Any) -> str:
    preparation = Preparation(**{"width": 16, "height": 16, **options})
    return fingerprint_files(images[["path", "bytes", "modified"]], preparation)


def test_unchanged_inputs_and_parameters_have_the_same_fingerprint() -> None:
    assert fingerprint() == fingerprint(IMAGES.copy())


@pytest.mark.parametrize(
    "changed",
    [
        fingerprint(width=32),
        fingerprint(height=32),
        fingerprint(geometry="crop"),
        fingerprint(IMAGES.assign(path=["a.jpeg", "c.jpeg"])),
        fingerprint(IMAGES.assign(bytes=[1, 3])),
        fingerprint(IMAGES.assign(modified=["1", "3"])),
        fingerprint(IMAGES.iloc[::-1]),
        fingerprint(IMAGES.iloc[:1]),
    ],
)
def test_any_change_to_files_or_parameters_changes_the_fingerprint(changed: str) -> None:
    assert changed != fingerprint()


def test_padding_warns_that_it_shows_the_shape(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    Image.fromarray(make_pixels(1, 40, 60)[0]).save(tmp_path / "a.png")
    images = IMAGES.iloc[:1].assign(path=str(tmp_path / "a.png"))

    def prepare(geometry: Geometry) -> None:
        prepare_images(images, Preparation(width=16, height=16, geometry=geometry), {})

    prepare(geometry="pad")
    assert "padding shows the shape of each image" in caplog.text
    caplog.clear()
    prepare(geometry="crop")
    assert caplog.text == ""


def test_an_unknown_geometry_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"geometry: received 'tile', but Input should be 'stretch', 'crop' or 'pad'"):
        Preparation.model_validate({"width": 16, "height": 16, "geometry": "tile"})


def test_sharpness_measures_detail_and_not_contrast_or_brightness() -> None:
    stripes = np.tile(np.array([100, 140], np.uint8), (1, 16, 8))  # The Laplacian is +-80 and the deviation 20.
    broad = np.tile(np.repeat(np.array([100, 140], np.uint8), 8), (1, 16, 1))
    assert measure_appearance(stripes)["sharpness"][0] == pytest.approx(4)
    assert measure_appearance(stripes // 2 + 50)["sharpness"][0] == pytest.approx(4)
    assert measure_appearance(broad)["sharpness"][0] < 1
    assert measure_appearance(np.full((1, 16, 16), 7, np.uint8))["sharpness"][0] == 0


def test_brightness_and_contrast_are_mean_and_deviation_of_the_grey_values() -> None:
    found = measure_appearance(np.tile(np.array([100, 140], np.uint8), (2, 16, 8)))
    assert found["brightness"].tolist() == [120, 120]
    assert found["grey_deviation"].tolist() == [20, 20]
