"""Print what augmentation costs: its share of a training step, and images/s against the three layers of Keras.

    PYTHONPATH=src python benchmarks/augmentation.py step      # milliseconds a step, without and with, in turn
    PYTHONPATH=src python benchmarks/augmentation.py layers    # images/s in tf.data, ours and Keras', in turn

Pixels are random: no step depends on the image. Rounds alternate, so that other work on the machine disturbs
all alike, and medians are printed: by the clock, and of processor time, which other programs disturb less. The settings
are those of conf/base, but for the size.
"""

import argparse
import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from chest_xray.core.types import Dataset, Tensor
from chest_xray.models.augmentation import Augmentation, augment
from chest_xray.models.input_pipeline import TrainingBatches
from chest_xray.models.network import Network, build_network
from chest_xray.models.training import Training, compile_network
from chest_xray.settings import CONFIG_LOADER_ARGS, ConfigLoader

SIZE = 128  # pixels
ROUNDS = 5
STEPS = 30  # of each training, in each round
BATCHES = 200  # through each augmentation, in each round
SETTINGS = ConfigLoader(str(Path(__file__).parents[1] / "conf"), **CONFIG_LOADER_ARGS)["parameters"]
TRAINING = Training.model_validate(SETTINGS["training"])
DEFAULT = Augmentation.model_validate(SETTINGS["augmented"]["augmentation"])
# What the three layers of Keras do, at the strengths of the default.
THREE = Augmentation(horizontal_flip=True, zoom=DEFAULT.zoom, tilt=DEFAULT.tilt)


def print_step() -> None:
    """The default network trained on originals alone, and on originals and copies."""
    arms = {"without": Augmentation(), "three": THREE.model_copy(update={"copies": 7}), "default": DEFAULT}
    trainings = {name: _train(options) for name, options in arms.items()}
    for train in trainings.values():
        train()  # Traces, and fills what is prefetched.
    print(f"{SIZE} x {SIZE} pixels, batches of {TRAINING.batch_size}, {os.cpu_count()} cores, {ROUNDS} rounds; medians")
    for kind, seconds in _alternate(trainings).items():
        for name in arms:
            share = (1 - seconds["without"] / seconds[name]).median()
            ms = 1000 * seconds[name].median() / STEPS
            print(f"{kind}, {name:>8}: {ms:6.1f} ms a step, of which augmentation {share:.1%}")


def _train(options: Augmentation) -> Callable[[], None]:
    pixels = np.random.default_rng(0).integers(0, 256, (512, SIZE, SIZE), dtype=np.uint8)
    rows, labels = np.arange(512), np.arange(512) % 2
    batches = TrainingBatches(
        pixels, rows, labels, np.ones(512), augmentation=options, batch_size=TRAINING.batch_size, seed=1
    ).dataset()
    keras.utils.set_random_seed(1)
    network = compile_network(build_network((SIZE, SIZE), Network.model_validate(SETTINGS["model"])), TRAINING, STEPS)
    network.make_train_function()
    iterator = iter(batches)  # One for all rounds: `fit` would prefetch anew in each, and throw away what was left.

    def train() -> None:
        for _ in range(STEPS):
            network.train_function(iterator)

    return train


def print_layers() -> None:
    """Ours against RandomFlip, RandomZoom and RandomRotation, each as a map in tf.data over the same batch."""
    layers = [
        keras.layers.RandomFlip("horizontal"),
        keras.layers.RandomZoom((-THREE.zoom, THREE.zoom), fill_mode="reflect"),
        keras.layers.RandomRotation(THREE.tilt / 360, fill_mode="reflect"),
    ]

    def by_keras(images: Tensor, _: Tensor) -> Tensor:
        for layer in layers:
            images = layer(images, training=True)
        return images

    def ours(options: Augmentation) -> Callable[[Tensor, Tensor], Tensor]:
        aspects = tf.ones([TRAINING.batch_size])
        return lambda images, number: augment(images, options, tf.stack([tf.constant(1, tf.int64), number]), aspects)

    ways = {"Keras, three layers": by_keras, "ours, the same three": ours(THREE), "ours, the default": ours(DEFAULT)}
    runs = {name: partial(_take, iter(_map(way))) for name, way in ways.items()}
    for run in runs.values():
        run()
    print(f"{SIZE} x {SIZE} pixels, batches of {TRAINING.batch_size}, {os.cpu_count()} cores, {ROUNDS} rounds; medians")
    for kind, seconds in _alternate(runs).items():
        rates = TRAINING.batch_size * BATCHES / seconds
        for name in ways:
            ratio = (rates[name] / rates["Keras, three layers"]).median()
            print(f"{kind}, {name:>20}: {rates[name].median():8,.0f} images/s, {ratio:.1f} times those of Keras")


def _map(way: Callable[[Tensor, Tensor], Tensor]) -> Dataset:
    images = tf.random.stateless_uniform([TRAINING.batch_size, SIZE, SIZE, 1], (1, 2))
    return tf.data.Dataset.counter().map(lambda number: way(images, number), num_parallel_calls=2).prefetch(4)


def _take(batches: Iterator[Tensor]) -> None:
    for _ in range(BATCHES):
        next(batches)


def _alternate(ways: dict[str, Callable[[], Any]]) -> dict[str, pd.DataFrame]:
    """Seconds of each way, by the clock and of processor time, one row a round."""
    rows: list[tuple[str, int, float, float]] = []
    for number in range(ROUNDS):
        for name, run in ways.items():
            clock, processor = time.perf_counter(), time.process_time()
            run()
            clock = time.perf_counter() - clock
            _settle()
            rows.append((name, number, clock, time.process_time() - processor))
    table = pd.DataFrame(rows, columns=["way", "round", "clock", "processor"])
    return {kind: table.pivot(index="round", columns="way", values=kind) for kind in ("clock", "processor")}


def _settle() -> None:
    """Give what is prefetched the time to be complete, so that it counts for its own way and not for the next."""
    for _ in range(10):
        before = time.process_time()
        time.sleep(0.2)
        if time.process_time() - before < 0.01:
            break


def main() -> None:
    """Choose a figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    figures = {"step": print_step, "layers": print_layers}
    parser.add_argument("figure", choices=figures)
    figures[parser.parse_args().figure]()


if __name__ == "__main__":
    main()
