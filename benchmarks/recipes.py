"""Score recipes that are no options of the project, on the folds and by the metrics of `cross_validation`.

    kedro run --pipelines=data_processing --params data_root=DIR
    CHEST_XRAY_DATA_ROOT=DIR PYTHONPATH=src python benchmarks/recipes.py RECIPE --folder OUT --seed 1 --passes 1

RECIPE is one of

default    the recipe of `augmented`, as `kedro run --pipelines=cross_validation`
ensemble   the mean logit of networks of three seeds, SEED and the next two
distilled  a network that learns, from the same altered images, the probabilities of that ensemble in place of the
           labels ("consistent teaching", Beyer et al. 2022, https://arxiv.org/abs/2106.05237)
mixup      images and labels mixed in pairs, with a share from Beta(0.2, 0.2) (Zhang et al. 2018)
shape      sample weights that make the class independent of width and height: the inverse of its probability by a
           logistic regression on the logarithms of both

Networks stay in OUT and are not trained again, and a killed training resumes. The score is printed as JSON, and so is
the time of the training and scoring that this call did. The test split is not read.
"""

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from sklearn.linear_model import LogisticRegression

from chest_xray.core.types import Array, DataFrame, Dataset, Model
from chest_xray.metrics.operating_point import score_recipe
from chest_xray.models.input_pipeline import TrainingBatches
from chest_xray.models.network import join_networks, with_precision
from chest_xray.models.training import Checkpoint, TrainingSets
from chest_xray.pipelines.data_processing.nodes import corrupt_validation
from chest_xray.pipelines.experiments.nodes import split_folds
from chest_xray.pipelines.modeling import nodes
from chest_xray.pipelines.notebook import Project

MEMBERS = 3


class WeightedBatches(TrainingBatches):
    """Batches with a weight for each image, in place of the class weights of Keras; labels may lie between 0 and 1."""

    def __init__(self, batches: TrainingBatches, weights: Array):
        super().__init__(
            batches.pixels,
            batches.rows,
            batches.labels,
            batches.aspects,
            augmentation=batches.augmentation,
            batch_size=batches.batch_size,
            seed=batches.seed,
        )
        self.weights = weights.astype("float32")

    def dataset(self, first_step: int = 0) -> Dataset:
        """Return images, labels and weights; the latter two float32 of shape (batch, 1)."""

        def weigh(step: Any) -> Array:
            return self.weights[self.pick(int(step))[0]][:, None]

        def make(step: Any) -> Any:
            return tf.ensure_shape(tf.numpy_function(weigh, [step], tf.float32), (self.batch_size, 1))

        weights = tf.data.Dataset.counter(first_step).map(make)
        batches = tf.data.Dataset.zip(super().dataset(first_step), weights)
        return batches.map(lambda pair, weight: self.change(*pair, weight)).prefetch(4)

    def change(self, images: Any, labels: Any, weights: Any) -> Any:
        """Return a batch as it is; recipes change it."""
        return images, labels, weights


class DistilledBatches(WeightedBatches):
    """Batches with the probabilities of a teacher in place of labels."""

    teacher: Model

    def change(self, images: Any, labels: Any, weights: Any) -> Any:  # noqa: ARG002
        """Return the teacher's probability of each image, altered as it is."""
        return images, tf.cast(self.teacher(images, training=False), tf.float32), weights


class MixedBatches(WeightedBatches):
    """Batches whose images are mixed with each other."""

    def change(self, images: Any, labels: Any, weights: Any) -> Any:
        """Mix the batch with itself in reverse order; the weight of a class stays with its share of the image."""
        gammas = tf.random.gamma((2, self.batch_size, 1), 0.2)
        share = gammas[0] / tf.maximum(tf.reduce_sum(gammas, axis=0), 1e-12)
        own, other = share * weights, (1 - share) * weights[::-1]
        mixed = share[..., None, None] * images + (1 - share)[..., None, None] * images[::-1]
        return mixed, (own * labels + other * labels[::-1]) / (own + other), own + other


class Recipes:
    """The recipes on the folds of a project."""

    def __init__(self, folder: Path, passes: int):
        project = Project()
        self.folder, self.load = folder, project.load
        self.pixels = self.load("prepared_images")
        self.training = self.load("params:training").model_copy(update={"passes_per_epoch": passes})
        self.run = self.load("params:cross_validation.run")
        blocks = self.load("params:cross_validation.blocks")
        self.folds = split_folds(self.load("image_split"), self.load("duplicates"), blocks)

    def train(self, recipe: str, seed: int, fold: int) -> Model:
        """Return a network of a recipe: trained now, or before if its checkpoint is complete."""
        run = self.run.model_copy(update={"seed": seed})
        preparation = self.load("params:preparation")
        sets = nodes.build_training_sets(self.pixels, self.folds[fold], preparation, self.training, run)
        if recipe != "default":
            batches = self.change(recipe, sets, fold, seed)
            sets = TrainingSets(batches, sets.validation, sets.steps_per_epoch, None)  # type: ignore[arg-type]
        untrained = nodes.build_model(self.pixels, self.load("params:model"), run)
        checkpoint = Checkpoint(str(self.folder / f"{recipe}_{seed}_{self.training.passes_per_epoch}_{fold}.npz"))
        return nodes.train_model(untrained, sets, self.training, checkpoint)[0]

    def train_members(self, seed: int, fold: int) -> list[Model]:
        """Return the networks of the ensemble."""
        return [self.train("default", seed + i, fold) for i in range(MEMBERS)]

    def change(self, recipe: str, sets: TrainingSets, fold: int, seed: int) -> WeightedBatches:
        """Return the batches of a recipe, with the weights of the classes or of the images."""
        labels = sets.train.labels
        weights = np.vectorize(sets.class_weight.get)(labels)
        if recipe == "mixup":
            keras.utils.set_random_seed(seed)
            return MixedBatches(sets.train, weights)
        if recipe == "distilled":
            batches = DistilledBatches(sets.train, weights)
            members = self.train_members(seed, fold)
            batches.teacher = join_networks([with_precision(member, self.training.precision) for member in members])
            return batches
        sizes = np.log(self.folds[fold].iloc[sets.train.rows][["width", "height"]])
        sizes = (sizes - sizes.mean()) / sizes.std()
        share = LogisticRegression().fit(sizes, labels).predict_proba(sizes)[np.arange(len(labels)), labels]
        weights = 1 / share
        for label in (0, 1):
            weights[labels == label] *= len(labels) / 2 / weights[labels == label].sum()
        return WeightedBatches(sets.train, weights)

    def predict(self, recipe: str, seed: int, fold: int) -> DataFrame:
        """Return the predictions of the corrupted validation images of a fold."""
        split, corruptions = self.folds[fold], self.load("params:validation_corruptions")
        path = self.folder / f"corrupted_{fold}.npy"
        if not path.is_file():
            stored = corrupt_validation(split, corruptions, self.load("params:preparation"), {})
            np.save(path, stored.values)
        trained = self.train_members(seed, fold) if recipe == "ensemble" else [self.train(recipe, seed, fold)]
        network = join_networks(trained, flip_tta=self.run.flip_tta)
        return nodes.predict_corrupted_validation(network, np.load(path, mmap_mode="r"), split, corruptions)


def main() -> None:
    """Train, score and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", choices=["default", "ensemble", "distilled", "mixup", "shape"])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--passes", type=int, default=1)
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    start, recipes, tables = time.monotonic(), Recipes(args.folder, args.passes), []
    for fold in range(len(recipes.folds)):
        tables.append(recipes.predict(args.recipe, args.seed, fold).assign(fold=str(fold)))
        print(f"fold {fold}: {time.monotonic() - start:.0f} s", flush=True)
    score = score_recipe(pd.concat(tables, ignore_index=True)).model_dump()
    print(json.dumps({"recipe": args.recipe, "seconds": round(time.monotonic() - start)} | score, indent=2))


if __name__ == "__main__":
    main()
