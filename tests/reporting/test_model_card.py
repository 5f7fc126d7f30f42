"""The model card agrees with the network, the operating point and the metrics."""

import re
import socket
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from huggingface_hub import ModelCard
from PIL import Image

from chest_xray.core.types import Model
from chest_xray.images.kermany import CLASSES
from chest_xray.models.network import Network, build_network
from chest_xray.pipelines.evaluation.nodes import describe_model
from chest_xray.pipelines.report.nodes import write_model_card
from chest_xray.reporting.i18n import Language
from tests.builders import NONE, TINY_NETWORK, interval, make_point, make_run_metrics, sure
from tests.reporting.inputs import make_evidence, make_run_evidence

SIZE = {"width": 24, "height": 16, "geometry": "stretch"}


@pytest.fixture(scope="module")
def model() -> Model:
    """A small network for images of 24 x 16 pixels."""
    keras.utils.set_random_seed(3)
    return build_network((16, 24), TINY_NETWORK)


def write(
    model: Model, language: str = "en", geometry: str = "stretch", network: Network = TINY_NETWORK, **metrics: Any
) -> str:
    run = make_run_evidence(
        metrics=make_run_metrics(run="with augmentation", **metrics),
        operating_point=make_point(0.437281).model_dump(),
    )
    evidence = make_evidence(params_preparation=SIZE | {"geometry": geometry}, params_model=network.model_dump())
    described = {**run, "described_model": describe_model(model)}
    return write_model_card(evidence, described, Language.model_validate(language))


def read_card(text: str) -> Any:
    """The card as the hub's own library reads it, untyped: what its metadata hold is not in its types."""
    return ModelCard(text)


def read_contract(card: Any) -> dict[str, str]:
    """The rows of the table that hold code."""
    return dict(re.findall(r"^\| (.+?) \| `(.+?)` \|$", card.text, re.MULTILINE))


def test_the_card_describes_the_network(model: Model) -> None:
    contract = read_contract(read_card(write(model)))
    assert contract["input shape"] == "[None, 16, 24, 1]" == str(list(model.input_shape))
    assert contract["output shape"] == str(list(model.output_shape))
    assert int(contract["weights"]) == sum(weights.size for weights in model.get_weights())
    assert contract["dtype"] == model.inputs[0].dtype == "float32"
    assert contract["labels"] == str(list(CLASSES))
    assert contract["value range (0 is black)"] == "[0, 1]"
    point = make_point(0.437281)
    for rule, each in point.points.items():
        assert contract[f"threshold (`{rule}`)"] == f"{each.threshold}`; log odds `{each.log_odds}"
    assert float(contract["temperature"]) == point.calibration.temperature


KINDS = {  # of layers, and how often a network of two blocks has them
    "plain": {"MaxPooling2D": 2, "Flatten": 1, "Add": 0, "GlobalAveragePooling2D": 0, "Dense": 2},
    "residual": {"MaxPooling2D": 1, "Flatten": 0, "Add": 2, "GlobalAveragePooling2D": 1, "Dense": 2},
    "MobileNetV3Small": {"Flatten": 0, "MaxPooling2D": 0, "Dense": 2},
}
SAID = {
    "plain": "2 blocks of Conv2D (2, 4 filters, kernel 3) and MaxPooling2D, and then Flatten",
    "residual": "2 residual blocks of two Conv2D each (2, 4 filters, kernel 3)",
    "MobileNetV3Small": "The network is MobileNetV3Small of `keras.applications`",
}


@pytest.mark.parametrize("architecture", KINDS)
def test_the_card_describes_the_network_that_was_built(architecture: str) -> None:
    options = TINY_NETWORK.model_copy(update={"architecture": architecture})
    model = build_network((32, 32), options)
    kinds = describe_model(model)["layers"]
    assert {kind: kinds.count(kind) for kind in KINDS[architecture]} == KINDS[architecture]
    text = " ".join(write(model, network=options).split())
    assert [each for each, said in SAID.items() if said in text] == [architecture]
    assert "It ends in a Dense layer of 4 units, dropout 0, and one sigmoid. It is trained from scratch." in text
    assert ("Flatten" in text) == (architecture == "plain")


def test_the_metadata_contain_the_metrics_and_their_source(model: Model) -> None:
    accuracy = interval(0.88, 0.9123, 0.93)
    card = read_card(write(model, accuracy=accuracy))
    results = {each.metric_type: each for each in card.data.eval_results}
    assert set(results) == {"accuracy", "recall", "specificity", "precision", "roc_auc"}
    assert results["accuracy"].metric_value == 0.9123
    assert results["accuracy"].metric_name == "accuracy (95% interval 0.880 to 0.930)"
    assert (results["recall"].metric_value, results["roc_auc"].metric_value) == (0.9, 0.9)
    assert {each.dataset_split for each in results.values()} == {"test"}
    assert results["accuracy"].dataset_name == make_evidence()["params_data_source"]
    assert (card.data.license, card.data.library_name) == ("mit", "keras")
    assert "synthetic" not in card.data.tags


def test_a_metric_that_does_not_exist_is_left_out(model: Model) -> None:
    card = read_card(write(model, precision=NONE))
    assert "precision" not in {each.metric_type for each in card.data.eval_results}


@pytest.mark.parametrize("language", ["en", "ru"])
def test_the_card_has_subgroups_limits_data_and_licence(model: Model, language: str) -> None:
    text = read_card(write(model, language, by_aetiology={"viral": sure(0.75), "bacterial": sure(0.5)})).text
    assert "CC BY 4.0" in text
    assert re.search(r"0[.,]750 \[0[.,]740[,;] 0[.,]760\]", text)
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert len(headings) == 5
    assert ("Limits" in headings) == (language == "en")
    assert "{" not in text.replace("{{", "")


@pytest.mark.parametrize("geometry", ["stretch", "crop", "pad"])
def test_the_code_on_the_card_runs_and_decides_as_the_network_does(
    model: Model, geometry: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model.save("model.keras")
    Image.fromarray(np.random.default_rng(5).integers(0, 256, (40, 50), np.uint8)).save("picture.jpeg")
    (code,) = re.findall(r"```python\n(.+?)```", write(model, geometry=geometry), re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    assert names["images"].shape == (1, 16, 24, 1)
    assert 0 <= names["images"].min() <= names["images"].max() <= 1
    assert names["score"] == pytest.approx(float(model(names["images"])[0, 0]), abs=1e-6)
    assert names["probability"] == pytest.approx(names["score"], abs=1e-6)
    assert names["decision"] == CLASSES[int(names["score"] >= 0.437281)]


def test_writing_the_card_opens_no_connection(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert write(model).startswith("---\n")
