"""Hand a trained network to people who do not have this project: with its contract inside, and for other runtimes."""

from importlib.metadata import version
from typing import Any

from chest_xray.datasets.packaged_model import PackagedModel
from chest_xray.pipelines.data_processing.prepare import Preparation
from chest_xray.radiographs import CLASSES
from chest_xray.types import Array, DataFrame, Model

PACKAGES = ("chest-xray", "keras", "numpy", "pillow")


def write_contract(
    prepared_images: Array, image_split: DataFrame, preparation: Preparation, operating_point: dict[str, Any]
) -> dict[str, Any]:
    """Say what the network takes, what comes out, and where the decision lies, as plain data.

    Args:
        prepared_images: uint8 of shape (images, height, width); only its shape is read.
        image_split: One row an image; what the network was trained on is fingerprinted.
        preparation: How an image was prepared.
        operating_point: Thresholds and calibration, from validation under shift.

    Returns:
        `input` (shape, dtype, value range, channel, geometry), `output`, `labels`, `operating_point`, `training_data`
        (number of images and fingerprint of their names and sizes), `packages` (versions), `intended_use`.
    """
    height, width = prepared_images.shape[1:]
    return {
        "input": {
            "shape": [None, height, width, 1],
            "dtype": "float32",
            "value_range": [0.0, 1.0],
            "channel": "grey, 0 is black",
            "preparation": preparation.model_dump(),
        },
        "output": {"shape": [None, 1], "dtype": "float32", "meaning": "sigmoid score of PNEUMONIA, not calibrated"},
        "labels": list(CLASSES),
        "operating_point": operating_point,
        "training_data": _fingerprint(image_split[image_split["subset"] == "train"]),
        "packages": {name: version(name) for name in PACKAGES},
        "intended_use": "Teaching and research on frontal chest radiographs of children. Not a medical device.",
    }


def _fingerprint(train: DataFrame) -> dict[str, Any]:
    from hashlib import sha256

    names = train["path"].str.rsplit("/", n=2).str[1:].str.join("/")
    lines = sorted(f"{name} {size}" for name, size in zip(names, train["bytes"], strict=True))
    return {"num_images": len(train), "sha256_of_names_and_sizes": sha256("\n".join(lines).encode()).hexdigest()}


def export_model(model: Model, contract: dict[str, Any]) -> tuple[PackagedModel, PackagedModel, PackagedModel]:
    """Give the network with its contract to each of the three files: Keras, ONNX and LiteRT."""
    packaged = PackagedModel(model, contract)
    return packaged, packaged, packaged
