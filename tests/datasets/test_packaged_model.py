"""An exported network gives the output of the trained one in every format, with its contract inside."""

import sys
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
from kedro.io import DatasetError

from chest_xray.core.types import Array
from chest_xray.datasets import KerasModelDataset, PackagedModelDataset
from chest_xray.models.contract import PackagedModel, read_contract
from chest_xray.models.network import build_network, join_networks, with_precision, without_sigmoid
from tests.builders import TINY_NETWORK, make_contract, make_pixels

CONTRACT = make_contract()
IMAGES = make_pixels(100)[..., None].astype(np.float32) / 255


# tf2onnx, which writes the ONNX file, uses a deprecated NumPy name.
pytestmark = pytest.mark.filterwarnings("ignore:In the future `np.object` will be defined:FutureWarning")


@pytest.fixture(scope="module")
def model() -> keras.Model:
    """A network with widely spread outputs, so that a wrong one is noticed."""
    keras.utils.set_random_seed(3)
    network = build_network((16, 16), TINY_NETWORK.model_copy(update={"batch_normalization": True}))
    *others, kernel, bias = network.get_weights()
    logits = without_sigmoid(network).predict(IMAGES, verbose=0)
    network.set_weights([*others, kernel / logits.std(), (bias - logits.mean()) / logits.std()])
    return join_networks([network], flip_tta=True)  # as in the default run


def package(model: keras.Model, path: Path) -> Path:
    dataset = PackagedModelDataset(filepath=str(path))
    dataset.save(PackagedModel(model, CONTRACT, {"mean": np.arange(3)}))
    assert dataset.load() == path.read_bytes()
    return path


def answers(model: keras.Model) -> Array:
    found = model.predict(IMAGES, verbose=0)
    assert found.std() > 0.1
    return np.asarray(found)


def test_plain_keras_loads_the_file_in_safe_mode_and_the_contract_is_inside(model: keras.Model, tmp_path: Path) -> None:
    path = package(model, tmp_path / "packaged.keras")
    again = keras.saving.load_model(path, safe_mode=True)
    np.testing.assert_allclose(answers(again), answers(model), atol=1e-6)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert read_contract(archive.read("contract.json"), "packaged.keras") == CONTRACT
        with archive.open("ood_detector.npz") as file, np.load(file, allow_pickle=False) as arrays:
            assert arrays["mean"].tolist() == [0, 1, 2]


def test_onnx_gives_the_keras_output_and_contains_the_contract(model: keras.Model, tmp_path: Path) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(package(model, tmp_path / "packaged.onnx"))
    (given,) = session.get_inputs()
    assert given.shape[1:] == [16, 16, 1]
    (found,) = session.run(None, {given.name: IMAGES})
    np.testing.assert_allclose(found, answers(model), atol=1e-4)
    assert read_contract(session.get_modelmeta().custom_metadata_map["contract"], "a") == CONTRACT


@pytest.mark.parametrize("name", ["packaged.onnx", "packaged.tflite"])
def test_no_float32_file_is_written_of_a_network_in_another_precision(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / name).write_bytes(b"of an earlier network")
    halved = with_precision(build_network((16, 16), TINY_NETWORK), "mixed_bfloat16")
    joined = join_networks([halved], flip_tta=True)
    PackagedModelDataset(filepath=str(tmp_path / name)).save(PackagedModel(joined, CONTRACT, {"mean": np.arange(3)}))
    assert not (tmp_path / name).exists()
    assert f"{name} is not written" in caplog.text


def test_litert_gives_the_keras_output(model: keras.Model, tmp_path: Path) -> None:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(package(model, tmp_path / "packaged.tflite")))
    (given,), (answer,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.resize_tensor_input(given["index"], IMAGES.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(given["index"], IMAGES)
    interpreter.invoke()
    np.testing.assert_allclose(interpreter.get_tensor(answer["index"]), answers(model), atol=1e-4)


def test_a_loaded_model_that_was_never_called_is_converted(model: keras.Model, tmp_path: Path) -> None:
    stored = KerasModelDataset(filepath=str(tmp_path / "model.keras"))
    stored.save(model)
    assert package(stored.load(), tmp_path / "packaged.onnx").stat().st_size > 0


@pytest.mark.parametrize("name", ["model.h5", "model", "model.onnx.zip"])
def test_any_other_format_is_refused(name: str) -> None:
    with pytest.raises(DatasetError, match=rf"received filepath '{name}'; expected one that ends in .keras, .onnx or"):
        PackagedModelDataset(filepath=name)


@pytest.mark.parametrize("module", ["onnx", "tf2onnx"])
def test_missing_converters_give_an_error_with_the_install_command(
    module: str, model: keras.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [each for each in sys.modules if each.split(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(DatasetError, match=r"Install the converters: pip install 'chest-xray\[export\]'"):
        package(model, tmp_path / "packaged.onnx")
    assert list(tmp_path.iterdir()) == []
