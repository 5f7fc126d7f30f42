"""Every file gets the output of the network, or the reason for its refusal."""

import copy
import io
import json
import math
import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from pydicom.uid import RLELossless
from scipy.special import expit, logit

from chest_xray.core.types import Array, InputError
from chest_xray.images.decoding import read_pixels
from chest_xray.images.view_examples import VIEWS
from chest_xray.models import inference
from chest_xray.models.batch import score_shard
from chest_xray.models.contract import CONTRACT, OOD_DETECTOR
from chest_xray.models.inference import Prediction, Predictor, Relaxation
from tests.builders import encode, make_contract, make_packaged, make_pixels, with_band
from tests.dicom_files import compress, make_dataset, write


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    return Predictor.load(make_packaged(tmp_path_factory.mktemp("model") / "packaged.keras"))


def test_paths_and_bytes_give_the_same_predictions_in_order(predictor: Predictor, tmp_path: Path) -> None:
    files = [encode(pixels, "JPEG") for pixels in make_pixels(3, 80, 60)]
    for number, data in enumerate(files):
        (tmp_path / f"{number}.jpeg").write_bytes(data)
    answers = predictor.predict(files)
    assert predictor.predict([str(tmp_path / f"{number}.jpeg") for number in range(3)]) == answers
    assert len({answer.probability for answer in answers}) == 3


def test_pixels_equal_those_prepared_for_training(predictor: Predictor, tmp_path: Path) -> None:
    (tmp_path / "a.jpeg").write_bytes(encode(make_pixels(1, 90, 70)[0], "JPEG"))
    image = predictor.read(str(tmp_path / "a.jpeg"))
    assert not isinstance(image, Prediction)
    assert (image.width, image.height) == (70, 90)
    np.testing.assert_array_equal(image.pixels, read_pixels(str(tmp_path / "a.jpeg"), 32, 32))


def test_non_images_are_refused_and_images_are_scored(predictor: Predictor) -> None:
    refused, answered = predictor.predict([b"no image", encode(make_pixels(1, 80, 60)[0])])
    assert refused[:3] == (None, None, "not_an_image")
    assert "begins with b'no image'" in refused.detail
    assert answered.reason is None


def test_a_file_without_a_contract_is_not_a_packaged_network(tmp_path: Path) -> None:
    (tmp_path / "a.keras").write_bytes(b"none")
    with pytest.raises(InputError, match=r"a\.keras is not a packaged network .*Make one with `kedro run --pipe"):
        Predictor.load(tmp_path / "a.keras")


def change_contract(packaged: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """Copy a packaged network with another contract inside."""
    changed = packaged.with_name("changed.keras")
    with zipfile.ZipFile(packaged) as source, zipfile.ZipFile(changed, "w") as target:
        for name in source.namelist():
            data = source.read(name)
            if name == CONTRACT:
                contract = json.loads(data)
                change(contract)
                data = json.dumps(contract).encode()
            target.writestr(name, data)
    return changed


def change_point(contract: dict[str, Any], **fields: Any) -> None:
    contract["operating_point"]["points"]["balanced"].update(fields)


UNSOUND: dict[str, Callable[[dict[str, Any]], object]] = {
    "points.balanced.log_odds: received nan": lambda it: change_point(it, log_odds=math.nan),
    "points.balanced.threshold: received 1.5": lambda it: change_point(it, threshold=1.5),
    "points.balanced.threshold: received '0.5'": lambda it: change_point(it, threshold="0.5"),
    "threshold 0.25 is not the probability 0.5 of log_odds": lambda it: change_point(it, threshold=0.25),
    "operating_point.calibration.temperature: received 0.0": (
        lambda it: it["operating_point"]["calibration"].update(temperature=0.0)
    ),
    "operating_point.calibration.bias: received inf": (
        lambda it: it["operating_point"]["calibration"].update(bias=math.inf)
    ),
    "input_checks.limits.max_ood_score: received nan": (
        lambda it: it["input_checks"]["limits"].update(max_ood_score=math.nan)
    ),
    "input.preparation.width: received 0": lambda it: it["input"]["preparation"].update(width=0),
    "labels": lambda it: it.pop("labels"),
    "operating_point.rule: received 'luck'": lambda it: it["operating_point"].update(rule="luck"),
    "the rule 'balanced' decides, but there are only points of": lambda it: it["operating_point"]["points"].pop(
        "balanced"
    ),
}


@pytest.mark.parametrize("message", UNSOUND)
def test_an_invalid_contract_is_refused(message: str, tmp_path: Path) -> None:
    changed = change_contract(make_packaged(tmp_path / "a.keras"), UNSOUND[message])
    with pytest.raises(InputError, match=rf"changed\.keras .*{re.escape(message)}.*`kedro run --pipelines=export`"):
        Predictor.load(changed)


def test_code_inside_a_packaged_network_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code = keras.layers.Lambda(lambda values: (values, __import__("pathlib").Path("has_run").touch())[0])
    layers = [keras.layers.Input((32, 32, 1)), keras.layers.Flatten(), code, keras.layers.Dense(1)]
    keras.Sequential(layers).save("code.keras")
    Path("has_run").unlink()  # It runs when the network is built here.
    with zipfile.ZipFile(make_packaged(tmp_path / "a.keras")) as source, zipfile.ZipFile("code.keras", "a") as target:
        for name in (CONTRACT, OOD_DETECTOR):
            target.writestr(name, source.read(name))
    with pytest.raises(ValueError, match="deserialization of a `Lambda` layer"):
        Predictor.load("code.keras")
    assert not Path("has_run").exists()


class Pickled:
    """What `pickle` would make a file of."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_code_inside_an_ood_detector_is_not_run(tmp_path: Path) -> None:
    arrays = io.BytesIO()
    np.savez(arrays, mean=np.array([Pickled(tmp_path / "has_run")], object))
    sound, changed = make_packaged(tmp_path / "a.keras"), tmp_path / "changed.keras"
    with zipfile.ZipFile(sound) as source, zipfile.ZipFile(changed, "w") as target:
        for name in source.namelist():
            target.writestr(name, arrays.getvalue() if name == OOD_DETECTOR else source.read(name))
    with pytest.raises(InputError, match=r"changed\.keras is not a packaged network \(Object arrays cannot be loaded"):
        Predictor.load(changed)
    assert not (tmp_path / "has_run").exists()


def test_one_network_is_loaded_once_for_all_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packaged = make_packaged(tmp_path / "a.keras", threshold=0.125).read_bytes()  # as no other test has it
    loaded: list[bytes] = []
    monkeypatch.setattr(inference, "_load_keras", loaded.append)
    for _ in range(3):
        assert score_shard([], packaged, 1).num_rows == 0
    assert len(loaded) == 1


def test_a_dicom_file_gives_the_same_prediction_as_the_png(predictor: Predictor) -> None:
    pixels = make_pixels(1, 80, 60)[0]
    as_png, as_dicom = predictor.predict([encode(pixels), write(make_dataset(pixels))])
    assert as_png == _approximate(as_dicom)
    assert as_png.reason is None


def _approximate(prediction: Prediction) -> Prediction:
    """Return a prediction whose OOD score equals another one that BLAS rounded in another order."""
    return prediction._replace(ood_score=pytest.approx(prediction.ood_score, rel=1e-6))  # type: ignore[arg-type]


def test_sixteen_bits_of_png_are_read(predictor: Predictor) -> None:
    pixels = make_pixels(1, 80, 60)[0]
    shallow, deep = predictor.predict([encode(pixels), encode(pixels.astype(np.uint16) << 8)])
    assert shallow.probability == pytest.approx(deep.probability, abs=0.01)


def test_an_out_of_distribution_image_gets_an_ood_score_and_no_prediction(tmp_path: Path) -> None:
    strict = Predictor.load(make_packaged(tmp_path / "packaged.keras", max_ood_score=0.1))
    (refused,) = strict.predict([encode(make_pixels(1, 80, 60)[0])])
    assert refused[:2] == (None, None)
    assert refused.reason in VIEWS[1:]
    assert refused.ood_score is not None
    assert refused.ood_score > 0.1
    assert refused.detail.startswith(
        f"an out-of-distribution score of {refused.ood_score:.2f}; expected at most 0.10: it "
    )


def test_many_images_are_scored_64_at_a_time_in_their_order() -> None:
    sizes = []

    def compute_logits(pixels: Array) -> Array:
        sizes.append(len(pixels))
        return pixels[:, 0, 0].astype(np.float32)

    found = Predictor(make_contract(), {}, "", compute_logits).compute_logits(
        np.arange(130, dtype=np.uint8)[:, None, None]
    )
    assert (sizes, found.dtype) == ([64, 64, 2], np.float64)
    np.testing.assert_array_equal(found, np.arange(130))


def test_the_limit_of_megapixels_is_lowered_and_never_raised(predictor: Predictor) -> None:
    lowered = predictor.relax(Relaxation())
    assert lowered.limits == predictor.limits
    for limit in (0.004, 1000.0):
        lowered.limit_megapixels(limit)
        assert lowered.limits.max_megapixels == 0.004
    (found,) = lowered.predict([encode(make_pixels(1, 80, 60)[0])])
    assert found.reason == "too_large"


def test_an_image_that_lies_is_turned_upright_on_request_alone(predictor: Predictor) -> None:
    pixels = make_pixels(1, 32, 32)[0]
    files = [encode(np.rot90(pixels, turns)) for turns in range(4)]
    asked = predictor.relax(Relaxation(turn_upright=True)).predict(files)
    assert len({round(each.probability or 0, 6) for each in asked}) == 1
    assert sorted(each.warnings for each in asked) == ["", "turned", "turned", "turned"]
    unasked = predictor.predict(files)
    assert len({round(each.probability or 0, 6) for each in unasked}) == 4
    assert {each.warnings for each in unasked} == {""}


def test_an_answer_states_that_a_border_was_cut_off(predictor: Predictor) -> None:
    pixels = make_pixels(1, 80, 60)[0]
    plain, framed = predictor.predict([encode(pixels), encode(np.pad(pixels, 20))])
    assert framed == _approximate(plain)._replace(warnings="trimmed", width=100, height=120)


def test_the_decision_compares_the_calibrated_probability_with_the_threshold(tmp_path: Path) -> None:
    files = [encode(pixels) for pixels in make_pixels(20, 80, 60)]
    known = Predictor.load(make_packaged(tmp_path / "a.keras")).predict(files)
    middle = float(np.mean(sorted(each.probability for each in known if each.probability is not None)[9:11]))
    split = Predictor.load(make_packaged(tmp_path / "b.keras", threshold=middle)).predict(files)
    assert [each.decision for each in split].count("PNEUMONIA") == 10
    for answer in split:
        assert answer.probability is not None
        assert answer.decision == ("PNEUMONIA" if answer.probability >= middle else "NORMAL")


def test_images_near_the_threshold_are_referred_if_the_contract_has_a_band(predictor: Predictor) -> None:
    files = [encode(pixels) for pixels in make_pixels(12, 80, 60)]
    plain = predictor.predict([*files, b""])
    assert {each.refer for each in plain} == {None}  # as every network that was packaged before
    distance = np.abs([logit(each.probability or 0) for each in plain[:12]])
    half_width = float(np.median(distance))
    referring = copy.copy(predictor)
    point = with_band(predictor.contract.operating_point, half_width)
    referring.contract = predictor.contract.model_copy(update={"operating_point": point})
    found = referring.predict([*files, b""])
    assert [each.refer for each in found] == [*(distance < half_width).tolist(), None]
    assert [each._replace(refer=None) for each in found] == plain


@pytest.mark.parametrize("bias", [-6.0, 6.0])
def test_calibration_changes_the_probability_but_not_the_decision(tmp_path: Path, bias: float) -> None:
    files = [encode(pixels) for pixels in make_pixels(20, 80, 60)]
    plain = Predictor.load(make_packaged(tmp_path / "a.keras")).predict(files)
    middle = float(np.mean(sorted(each.probability for each in plain if each.probability is not None)[9:11]))
    raw = Predictor.load(make_packaged(tmp_path / "b.keras", threshold=middle)).predict(files)
    there = float(expit(logit(middle) + bias))
    moved = Predictor.load(make_packaged(tmp_path / "c.keras", threshold=there, calibration_bias=bias)).predict(files)
    assert [each.decision for each in moved] == [each.decision for each in raw]
    for before, after in zip(raw, moved, strict=True):
        assert before.probability is not None
        assert after.probability is not None
        assert after.decision == ("PNEUMONIA" if after.probability >= there - 1e-12 else "NORMAL")
        assert (after.probability - before.probability) * bias > 0


GREY = make_pixels(1, 80, 60)[0]
WHOLE = {
    "jpeg": encode(GREY, "JPEG"),
    "png": encode(GREY),
    "dicom": write(make_dataset(GREY)),
    "rle": write(compress(make_dataset(GREY), RLELossless)),
}


@pytest.mark.filterwarnings("ignore")  # Pillow and pydicom warn about damaged files.
@pytest.mark.parametrize("kind", WHOLE)
def test_damaged_files_get_a_reason_and_raise_nothing(predictor: Predictor, kind: str) -> None:
    rng, whole = np.random.default_rng(2018), WHOLE[kind]
    assert predictor.predict([whole])[0].reason is None
    cut = [whole[: int(len(whole) * share)] for share in (0, 0.01, 0.1, 0.5, 0.9, 0.99)]
    for answer in predictor.predict(cut):
        assert answer.reason is not None
        assert answer.detail
    for _ in range(60):
        damaged = np.frombuffer(whole, np.uint8).copy()
        damaged[rng.integers(0, len(whole), 8)] = rng.integers(0, 256, 8)
        (answer,) = predictor.predict([damaged.tobytes()])
        assert (answer.reason is None) == (answer.probability is not None)


def png_bomb() -> bytes:
    """A PNG of a few bytes that says it has 20,000 x 20,000 pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 20_000, 20_000, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + header
        + struct.pack(">I", zlib.crc32(header))
        + WHOLE["png"][33:]
    )


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (lambda: b"", "empty"),
        (lambda: np.random.default_rng(0).bytes(10_000), "not_an_image"),
        (lambda: b"%PDF-1.7" + bytes(1000), "not_an_image"),
        (png_bomb, "too_large"),
        (lambda: encode(np.zeros((80, 60), np.uint8)), "blank"),
        (lambda: encode(make_pixels(1, 20, 60)[0]), "too_small"),
        (lambda: encode(make_pixels(1, 40, 400)[0]), "extreme_aspect"),
        (lambda: encode(np.stack([GREY, GREY // 2, GREY // 4], axis=-1)), "colour"),
        (lambda: write(make_dataset(np.stack([GREY, GREY]), NumberOfFrames=2)), "unsupported_dicom"),
    ],
)
def test_each_kind_of_refusal_has_its_reason(predictor: Predictor, data: Any, reason: str) -> None:
    (answer,) = predictor.predict([data()])
    assert answer.reason == reason
    assert answer.detail
    assert (answer.probability, answer.decision) == (None, None)


def test_a_missing_file_is_unreadable(predictor: Predictor, tmp_path: Path) -> None:
    (answer,) = predictor.predict([str(tmp_path / "none.png")])
    assert answer.reason == "unreadable"
    assert "none.png" in answer.detail
