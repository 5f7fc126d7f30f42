"""The folder of a network that runs without TensorFlow; the wheel has one such folder, `chest_xray/models/shipped`."""

import io
import json
import tempfile
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

from chest_xray.core.libraries import keras, np
from chest_xray.core.types import Array, DataFrame, InputError
from chest_xray.metrics.results import Metrics
from chest_xray.models.contract import CONTRACT, NETWORK, OOD_DETECTOR, Contract
from chest_xray.models.inference import MAX_DISAGREEMENT, Predictor
from chest_xray.models.network import is_float32, without_sigmoid

SHIPPED = Path(__file__).parent / "shipped"
KERAS = "packaged.keras"  # the same network for the pipelines `prediction` and `external`
TRAINED = Path("data/06_models/augmented/packaged.keras")  # where `export` writes it, in the folder of a project
METRICS = "metrics.json"  # see docs/metrics.md
SCORES = "test_scores.csv"  # path, label, logit and calibrated probability of each test image
PROJECT = "project.json"  # parameters that the server needs: `serving` and `data_source`
NOTICE = "NOTICE.md"
ROUNDING = 1e-9  # between two computations of an AUC
NUM_CHECKED = 16  # images of noise


def has_shipped_network() -> bool:
    """Check whether this package has a network."""
    return (SHIPPED / NETWORK).is_file() and (SHIPPED / KERAS).is_file()


def find_shipped_network() -> Path:
    """Return the folder of the network in this package.

    Raises:
        InputError: There is none.
    """
    if not has_shipped_network():
        raise InputError(
            f"no network is shipped with this package: {SHIPPED / NETWORK} or {KERAS} beside it is missing. Name a "
            "network with --model: a folder that `kedro ship --folder FOLDER` wrote, or the packaged.keras of "
            "`kedro run --pipelines=export`."
        )
    return SHIPPED


def find_network() -> Path:
    """Return the network that was trained and packaged in the current folder, else that of this package.

    Raises:
        InputError: There is neither.
    """
    return TRAINED if TRAINED.is_file() else find_shipped_network()


class Results(NamedTuple):
    """Metrics of a network, and `path`, `label`, `logit` and calibrated `probability` of each test image."""

    metrics: Metrics
    test_predictions: DataFrame


def write_folder(
    packaged: bytes, folder: Path, project: dict[str, Any], results: Results | None, origin: dict[str, Any]
) -> None:
    """Write all files of a shipped network.

    Args:
        packaged: The `.keras` file that `kedro run --pipelines=export` wrote.
        folder: Is created if missing; its files of these names are replaced once all new ones are complete.
        project: Content of `project.json`.
        results: Evaluation of the run; None leaves `metrics.json` and `test_scores.csv` out.
        origin: Facts for the notice: `data_licence`, `commit` and `pretrained`.

    Raises:
        InputError: The probabilities of the converted network differ from those of Keras, or the metrics are not
            those of the predictions.
    """
    contract = Predictor.load(packaged).contract
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".part-") as name:
        part = Path(name)
        (part / KERAS).write_bytes(packaged)
        with zipfile.ZipFile(io.BytesIO(packaged)) as archive:
            for file_name in (CONTRACT, OOD_DETECTOR):
                (part / file_name).write_bytes(archive.read(file_name))
        _convert(part / KERAS, part / NETWORK)
        _check_agreement(packaged, part)
        (part / PROJECT).write_text(json.dumps(project, indent=2), "utf-8")
        if results is not None:
            (part / METRICS).write_text(results.metrics.model_dump_json(indent=2), "utf-8")
            _tabulate_scores(results).to_csv(part / SCORES, index=False)
        (part / NOTICE).write_text(_write_notice(contract, project["data_source"], origin), "utf-8")
        for file_name in (METRICS, SCORES):
            (folder / file_name).unlink(missing_ok=True)  # of an earlier network
        for file in part.iterdir():
            file.replace(folder / file.name)


def _tabulate_scores(results: Results) -> DataFrame:
    from sklearn.metrics import roc_auc_score

    test, table = results.metrics.test, results.test_predictions
    auc = float(roc_auc_score(table["label"], table["logit"]))
    if len(table) != test.num_images or abs(auc - test.auc.finite_value) > ROUNDING:
        raise InputError(
            f"the predictions are of {len(table)} test images with an AUC of {auc:.6f}, the metrics of "
            f"{test.num_images} with {test.auc.finite_value:.6f}; expected those of one evaluation. Run it again: "
            "`kedro run --pipelines=augmentation`."
        )
    paths = ["/".join(Path(path).parts[-3:]) for path in table["path"]]  # without where they were on this machine
    scores = table[["label", "logit", "probability"]].copy()
    scores.insert(0, "path", paths)
    return scores


def _convert(source: Path, target: Path) -> None:
    """Write the network without its sigmoid, whose float32 rounds probabilities near 1 to 1."""
    network = without_sigmoid(keras.saving.load_model(source, safe_mode=True))
    if not is_float32(network):
        raise InputError(
            f"{source.name} computes in bfloat16; expected float32, as ONNX does, or its answers would differ. Set "
            "scoring_precision of the run to float32, and run modeling, evaluation and export again."
        )
    network(np.zeros((1, *network.input_shape[1:]), np.float32))  # The converter needs one call.
    network.export(str(target), format="onnx", verbose=False)


def _check_agreement(packaged: bytes, folder: Path) -> None:
    """Compare logits, since probabilities of noise may be near 0 or 1, where they hide differences."""
    keras_predictor, onnx_predictor = Predictor.load(packaged), Predictor.load(folder)
    temperature = keras_predictor.contract.operating_point.calibration.temperature
    # The steepest slope of a sigmoid is 1/4.
    difference = float(abs(_score_noise(keras_predictor) - _score_noise(onnx_predictor)).max()) / temperature / 4
    if difference > MAX_DISAGREEMENT:
        raise InputError(
            f"probabilities of the ONNX network differ by up to {difference:.1g} from those of Keras; expected at most "
            f"{MAX_DISAGREEMENT:g}. Export the network again: `kedro run --pipelines=export`."
        )


def _score_noise(predictor: Predictor) -> Array:
    size = (predictor.preparation.height, predictor.preparation.width)
    noise = np.random.default_rng(0).integers(0, 256, (NUM_CHECKED, *size), dtype=np.uint8)
    return predictor.compute_logits(noise)


def _write_notice(contract: Contract, data_source: str, origin: dict[str, Any]) -> str:
    train = contract.training_data
    packages = ", ".join(f"{name} {version}" for name, version in contract.packages.items())
    start = "ImageNet weights of keras.applications (see its licence)" if origin["pretrained"] else "random weights"
    return f"""# Notice

This folder holds a neural network, the contract for its use, and its results on test.

- Use: {contract.intended_use}
- Weights (`{NETWORK}`, `{KERAS}`): MIT, as the code of chest-xray. Training started from {start}.
- Training data: {data_source}; licence: {origin["data_licence"]}.
  Trained on {train.num_images:,} images; SHA-256 of their names and sizes: {train.sha256_of_names_and_sizes}.
- `{SCORES}`, if it is here, has file name, label, logit and calibrated probability of each test image.
- No image is included. `{OOD_DETECTOR}` holds the weights of a small network that recognises upright frontal chests.
- Made with {packages}, of commit {origin["commit"]}, by `kedro run`, `kedro run --pipelines=export` and `kedro ship`.
"""


def read_metrics(folder: Path) -> Metrics | None:
    """Return the metrics of the network in a folder; None if there are none."""
    file = folder / METRICS
    return Metrics.model_validate_json(file.read_text("utf-8")) if file.is_file() else None


def read_settings(folder: Path) -> dict[str, Any]:
    """Return the parameters `serving` and `data_source` of the project that a folder is from.

    Raises:
        InputError: The folder was not written by `kedro ship`.
    """
    if not (folder / PROJECT).is_file():
        raise InputError(
            f"{folder} lacks {PROJECT}; expected a folder that `kedro ship --folder FOLDER` wrote. Write it "
            "again, or start the server in the project: `kedro serve`."
        )
    return json.loads((folder / PROJECT).read_text("utf-8"))
