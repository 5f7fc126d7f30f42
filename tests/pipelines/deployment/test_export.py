"""The contract describes input and output of the network, and agrees with the network."""

import numpy as np
import pytest

from chest_xray.core.types import InputError
from chest_xray.images.preprocessing import Preparation
from chest_xray.models.contract import read_contract
from chest_xray.models.network import build_network
from chest_xray.models.views import compute_ood_score
from chest_xray.pipelines.deployment.nodes import export_model, measure_input_checks, write_contract
from tests.builders import (
    TINY_NETWORK,
    make_acceptance,
    make_contract,
    make_ood_detector,
    make_pixels,
    make_point,
    make_reference,
    make_split,
)

SPLIT = make_split([0, 1, 0, 1], ["train", "train", "validation", "test"])
PREPARATION = Preparation(width=24, height=16)
ACCEPTANCE = make_contract().input_checks


def test_the_contract_agrees_with_the_network() -> None:
    model = build_network((16, 24), TINY_NETWORK)
    contract = write_contract(SPLIT, PREPARATION, make_point(0.25), ACCEPTANCE, make_reference())
    assert tuple(contract.input.shape) == model.input_shape
    assert tuple(contract.output.shape) == model.output_shape
    assert contract.input.dtype == model.inputs[0].dtype
    assert contract.output.dtype == model.outputs[0].dtype
    assert contract.input.value_range == (0, 1)
    assert contract.input.preparation == PREPARATION
    assert contract.labels == ["NORMAL", "PNEUMONIA"]
    assert contract.operating_point == make_point(0.25)
    assert contract.input_checks == ACCEPTANCE
    assert "Not a medical device" in contract.intended_use
    assert set(contract.packages) == {"chest-xray", "keras", "numpy", "pillow"}
    assert contract.packages["numpy"] == np.__version__


def test_the_contract_survives_a_json_round_trip() -> None:
    contract = write_contract(SPLIT, PREPARATION, make_point(0.25), ACCEPTANCE, make_reference())
    assert read_contract(contract.model_dump_json(), "a.keras") == contract


def fingerprint(path: str = "a/train/NORMAL/0.png", size: int = 1000, *, swapped: bool = False) -> str:
    split = SPLIT.assign(path=[path, "a/train/PNEUMONIA/1.png", "a/train/NORMAL/2.png", "a/test/PNEUMONIA/3.png"])
    split.loc[0, "bytes"] = size
    found = write_contract(
        split.iloc[::-1] if swapped else split, PREPARATION, make_point(0.25), ACCEPTANCE, make_reference()
    )
    assert found.training_data.num_images == 2
    return found.training_data.sha256_of_names_and_sizes


@pytest.mark.parametrize("alike", [{"path": "/elsewhere/train/NORMAL/0.png"}, {"swapped": True}])
def test_the_fingerprint_does_not_depend_on_location_or_order_of_the_training_images(alike: dict[str, str]) -> None:
    assert fingerprint(**alike) == fingerprint()  # type: ignore[arg-type]


def test_different_training_images_have_different_fingerprints() -> None:
    assert len({fingerprint(), fingerprint(path="a/train/NORMAL/9.png"), fingerprint(size=1001)}) == 3


def test_each_format_receives_the_model_and_its_metadata() -> None:
    model = build_network((16, 16), TINY_NETWORK)
    arrays = {"mean": np.arange(3)}
    for packaged in export_model(model, make_contract(), arrays):
        assert packaged.model is model
        assert packaged.contract == make_contract()
        assert packaged.ood_detector is arrays


def test_the_refused_shares_are_those_of_train_and_validation() -> None:
    pixels, detector = make_pixels(40, 16, 24), make_ood_detector()
    split = make_split([0, 1] * 20, ["train"] * 10 + ["validation"] * 20 + ["test"] * 10)
    scores = compute_ood_score(pixels, detector)
    limit = float(np.sort(scores[10:30])[14:16].mean())
    found = measure_input_checks(pixels, split, detector, make_acceptance(max_ood_score=limit))
    assert found.refused == {"train": (scores[:10] > limit).mean(), "validation": 0.25}
    assert found.limits.max_ood_score == limit


def test_without_validation_images_there_is_no_ood_limit() -> None:
    with pytest.raises(
        InputError, match=r"received images of the subsets .*; expected validation images.* Raise hold_out\.share"
    ):
        measure_input_checks(make_pixels(4), make_split([0, 1, 0, 1], "train"), make_ood_detector(), make_acceptance())
