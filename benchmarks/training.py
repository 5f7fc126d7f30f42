"""Print how fast a network trains: images/s of the code that `kedro run` trains with, in one precision after the other.

    PYTHONPATH=src python benchmarks/training.py                      # bfloat16 and float32 in turn
    PYTHONPATH=src python benchmarks/training.py --augment            # with the default augmentation

The network is the one that textbooks give, four blocks at 128 pixels, so that other libraries can be timed on the same
one; `--default` takes that of conf/base. Pixels are random: no step depends on the image. Rounds alternate,
and every round is printed: a machine that others use too shows itself by rounds that differ.
"""

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from chest_xray.models.augmentation import Augmentation
from chest_xray.models.input_pipeline import TrainingBatches
from chest_xray.models.network import Network, Precision, build_network
from chest_xray.models.training import Training, compile_network
from chest_xray.settings import CONFIG_LOADER_ARGS, ConfigLoader

ROUNDS = 5
STEPS = 60  # in each round
NUM_IMAGES = 1024
SETTINGS = ConfigLoader(str(Path(__file__).parents[1] / "conf"), **CONFIG_LOADER_ARGS)["parameters"]
TEXTBOOK = {"filters": [32, 64, 128, 128], "last_pooling": "block", "dense_units": 256, "dropout": 0.5}


class Trainer:
    """A network in training, which can train for a given time."""

    def __init__(self, network: Network, size: int, precision: Precision, augmentation: Augmentation):
        training = Training.model_validate(SETTINGS["training"] | {"precision": precision})
        pixels = np.random.default_rng(0).integers(0, 256, (NUM_IMAGES, size, size), dtype=np.uint8)
        rows, labels = np.arange(NUM_IMAGES), np.arange(NUM_IMAGES) % 2
        batches = TrainingBatches(
            pixels, rows, labels, np.ones(NUM_IMAGES), augmentation=augmentation, batch_size=training.batch_size, seed=1
        )
        keras.utils.set_random_seed(1)
        self.batch_size = training.batch_size
        self.network = compile_network(build_network((size, size), network), training, STEPS)
        self.dataset = batches.dataset()

    def measure(self) -> float:
        """Train for `STEPS` steps and give images/s."""
        began = time.perf_counter()
        self.network.fit(self.dataset, steps_per_epoch=STEPS, shuffle=False, verbose=0)
        return STEPS * self.batch_size / (time.perf_counter() - began)


def main() -> None:
    """Train in turn and print every round."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--augment", action="store_true")
    parser.add_argument("--default", action="store_true")
    args = parser.parse_args()
    network = Network.model_validate(SETTINGS["model"] | ({} if args.default else TEXTBOOK))
    size = SETTINGS["preparation"]["width"] if args.default else 128
    augmentation = Augmentation.model_validate(SETTINGS["augmented"]["augmentation"] if args.augment else {})
    precisions: tuple[Precision, ...] = ("mixed_bfloat16", "float32")
    trainers = {name: Trainer(network, size, name, augmentation) for name in precisions}
    for trainer in trainers.values():
        trainer.measure()  # Traces.
    for _ in range(ROUNDS):
        rates = {name: trainer.measure() for name, trainer in trainers.items()}
        print(", ".join(f"{name} {rate:.0f} images/s" for name, rate in rates.items()), flush=True)


if __name__ == "__main__":
    main()
