"""Print the speed of scoring in docs/prediction.md again, with the network that is shipped with the package.

    PYTHONPATH=src python benchmarks/scoring.py FOLDER

Milliseconds a file, of the clock and of the processor, and how much of the speed of the bare decoder and of reading is
left: medians of alternating rounds. FOLDER holds radiographs at original size, in any depth of folders.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from io import BytesIO
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import simplejpeg

from chest_xray.core.files import ListedFile
from chest_xray.datasets import PackagedModelDataset
from chest_xray.models.batch import predict_files
from chest_xray.models.contract import OOD_DETECTOR, PackagedModel
from chest_xray.models.inference import Predictor
from chest_xray.models.network import join_networks, with_precision
from chest_xray.models.shipping import KERAS, SHIPPED

ROUNDS = 5
SIDE = 96  # pixels, of the input of the network
MAX_MEGABYTES = 500


def load_halved(predictor: Predictor) -> Predictor:
    """Load the network of a predictor as a run with `scoring_precision` "mixed_bfloat16" packages it."""
    network = keras.saving.load_model(SHIPPED / KERAS)
    (member,) = (each for each in network.layers if each.name.startswith("member_"))
    halved = join_networks([with_precision(member, "mixed_bfloat16")], flip_tta=True)
    ood_detector = dict(np.load(BytesIO((SHIPPED / OOD_DETECTOR).read_bytes())))
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/packaged.keras"
        PackagedModelDataset(filepath=path).save(PackagedModel(halved, predictor.contract, ood_detector))
        return Predictor.load(path)


def run_in_threads(work: Callable[..., object], values: list[bytes] | list[str]) -> None:
    """Call a function for every value, a thread a core."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(work, values))


def decode(data: bytes) -> object:
    """Decode a JPEG at the smallest scale that is large enough, and nothing else."""
    return simplejpeg.decode_jpeg(data, "GRAY", min_height=SIDE, min_width=SIDE)


def measure(work: Callable[[], object], num: int) -> tuple[float, float]:
    """Return the milliseconds for each of `num` files, of the clock and of the processor."""
    clock, processor = time.perf_counter(), time.process_time()
    work()
    return 1e3 * (time.perf_counter() - clock) / num, 1e3 * (time.process_time() - processor) / num


def print_speed(folder: Path) -> None:
    """Measure every step in turn."""
    paths = sorted(map(str, folder.rglob("*.jpeg")))
    listed = [ListedFile(path, path, Path(path).stat().st_size, "", "") for path in paths]
    keras_float32 = Predictor.load(SHIPPED / KERAS)
    predictors = {"Keras": keras_float32, "ONNX Runtime": Predictor.load(SHIPPED)}
    predictors["Keras, bfloat16"] = load_halved(keras_float32)
    steps: dict[str, Callable[[], object]] = {
        "decode": partial(run_in_threads, decode, [Path(path).read_bytes() for path in paths]),
        "read": partial(run_in_threads, keras_float32.read, paths),
        **{name: partial(predict_files, each, listed, MAX_MEGABYTES) for name, each in predictors.items()},
    }
    for step in steps.values():
        step()  # Compilation, and files into the page cache.
    rows = [(name, *measure(step, len(paths))) for _ in range(ROUNDS) for name, step in steps.items()]
    table = pd.DataFrame(rows, columns=["step", "clock", "processor"]).groupby("step", sort=False).median()
    for base in ("decode", "read"):
        table[f"of {base}"] = table.loc[base, "clock"] / table["clock"]
    print(f"{len(paths)} files, {os.cpu_count()} cores, {ROUNDS} rounds; ms a file, medians")
    print(table.round(2).to_string())


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    print_speed(parser.parse_args().folder)


if __name__ == "__main__":
    main()
