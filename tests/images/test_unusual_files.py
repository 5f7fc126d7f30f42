"""Files of unusual kinds are decoded to the right pixels, or refused for a true reason: never wrong in silence."""

import os
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from chest_xray.core.types import Array, InputError
from chest_xray.images.decoding import Geometry, fit_grey, read_pixels
from chest_xray.images.header import is_dicom
from chest_xray.images.preprocessing import Preparation, PreparedImage, preprocess_file
from chest_xray.images.validation import Refusal, read_header
from tests.builders import make_acceptance
from tests.images.unusual_files import BASE, CASES, SHAPES, Case

SIZE = 48
PREPARATION = Preparation(width=SIZE, height=SIZE)
LIMITS = make_acceptance(max_megapixels=10, min_border=0.499, max_age=150)  # no borders, and any patient
LEAST_CORRELATION, LARGEST_DIFFERENCE = 0.999, 2  # of 255, on average
FOLDER = os.environ.get("CHEST_XRAY_CASES", "")


def predict(source: bytes | str) -> Array | str:
    """What a file becomes for prediction, or why it is refused."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Of pydicom, about values that no standard has.
        found = preprocess_file(source, PREPARATION, LIMITS)
    return found.pixels if isinstance(found, PreparedImage) else ": ".join(found)


def train(path: Path) -> Array | str:
    """What a file becomes in the folders for training, or why it is set aside."""
    facts = read_header(str(path), LIMITS.max_megapixels)
    if isinstance(facts, Refusal):
        return ": ".join(facts)
    try:
        return read_pixels(str(path), SIZE, SIZE)
    except InputError as error:
        return f"undecodable: {error}"


def require_same(found: Array | str, expected: Array) -> None:
    assert not isinstance(found, str), found
    scaled = np.asarray(Image.fromarray(expected.astype(np.uint8)).resize((SIZE, SIZE), Image.Resampling.BILINEAR))
    assert np.corrcoef(found.ravel(), scaled.ravel())[0, 1] >= LEAST_CORRELATION
    assert np.abs(found - scaled.astype(float)).mean() <= LARGEST_DIFFERENCE


def test_names_are_unique_and_many() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 150


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_file_is_decoded_or_refused_for_what_it_is(case: Case, tmp_path: Path) -> None:
    data = case.build()
    (tmp_path / "file").write_bytes(data)
    predicted, trained = predict(data), train(tmp_path / "file")
    if is_dicom(data):
        assert trained == "unsupported dicom: a DICOM file; folders for training hold JPEG and PNG. Convert it to PNG"
        trained = predicted
    for found in (predicted, trained):
        if isinstance(case.expected, str):
            assert isinstance(found, str), "an answer, where a refusal is expected"
            assert re.search(case.expected, found)
        else:
            require_same(found, case.expected)


@pytest.mark.parametrize("geometry", ["stretch", "crop", "pad"])
@pytest.mark.parametrize("case", SHAPES, ids=[case.name for case in SHAPES])
def test_an_image_has_the_shape_that_a_viewer_shows(case: Case, geometry: Geometry) -> None:
    preparation = PREPARATION.model_copy(update={"geometry": geometry})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = preprocess_file(case.build(), preparation, LIMITS)
    assert isinstance(found, PreparedImage), found
    assert (found.width, found.height) == BASE.shape[::-1]
    expected = np.asarray(fit_grey(Image.fromarray(BASE), (SIZE, SIZE), geometry))
    assert np.abs(found.pixels - expected.astype(float)).mean() <= LARGEST_DIFFERENCE


@pytest.mark.skipif(
    not Path(FOLDER).is_dir() or not FOLDER, reason="set CHEST_XRAY_CASES to a folder of files to check"
)
def test_files_of_a_folder_give_its_base_image_or_are_refused(subtests: pytest.Subtests) -> None:
    base, padded = (
        np.asarray(Image.open(Path(FOLDER) / name)).astype(float) for name in ("base.png", "base_padded.png")
    )
    least = padded[padded > 0].min()  # Padding is left out when the range of a picture is stretched.
    stretched = ((padded - least) / (padded.max() - least) * 255).clip(0)
    for path in sorted(Path(FOLDER).glob("*/*")):
        with subtests.test(path.name):
            found = predict(str(path))
            if not isinstance(found, str):
                require_same(found, stretched if "pad0" in path.name else base)
