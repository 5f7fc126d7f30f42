"""The same answer as the network gives, for any file; and a reason where there is none."""

from pathlib import Path

import numpy as np
import pytest

from chest_xray.options import InputError
from chest_xray.predictor import Prediction, Predictor
from chest_xray.radiographs import read_pixels
from tests.builders import encode, make_packaged, make_pixels


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    return Predictor.load(make_packaged(tmp_path_factory.mktemp("model") / "packaged.keras"))


def test_files_and_their_bytes_get_the_same_answers_in_order(predictor: Predictor, tmp_path: Path) -> None:
    files = [encode(pixels, "JPEG") for pixels in make_pixels(3, 80, 60)]
    for number, data in enumerate(files):
        (tmp_path / f"{number}.jpeg").write_bytes(data)
    answers = predictor.predict(files)
    assert predictor.predict([str(tmp_path / f"{number}.jpeg") for number in range(3)]) == answers
    assert len({answer.probability for answer in answers}) == 3


def test_pixels_are_those_of_training(predictor: Predictor, tmp_path: Path) -> None:
    (tmp_path / "a.jpeg").write_bytes(encode(make_pixels(1, 90, 70)[0], "JPEG"))
    pixels = predictor.read(str(tmp_path / "a.jpeg"))
    assert not isinstance(pixels, Prediction)
    np.testing.assert_array_equal(pixels, read_pixels(str(tmp_path / "a.jpeg"), 32, 32))


def test_what_is_no_image_is_refused_beside_what_is(predictor: Predictor) -> None:
    refused, answered = predictor.predict([b"no image", encode(make_pixels(1, 80, 60)[0])])
    assert refused[:3] == (None, None, "not_an_image")
    assert "begins with b'no image'" in refused.detail
    assert answered.reason is None


def test_a_file_without_a_contract_is_no_packaged_network(tmp_path: Path) -> None:
    (tmp_path / "a.keras").write_bytes(b"none")
    with pytest.raises(InputError, match=r"a\.keras is no packaged network .*Make one with `kedro run --pipelines=ex"):
        Predictor.load(tmp_path / "a.keras")
