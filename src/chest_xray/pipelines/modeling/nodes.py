"""All nodes of modeling: build a network, train it, and choose its operating point."""

from typing import Any

from chest_xray.core.options import InputError
from chest_xray.core.types import Array, DataFrame, Figure, Model
from chest_xray.images.corruptions import ValidationCorruptions, list_corrupted_validation
from chest_xray.images.preprocessing import Preparation, compute_aspects
from chest_xray.metrics.operating_point import OperatingPoint, OperatingPointRule, Point, Rule, fit_calibration
from chest_xray.models.inference import score_images
from chest_xray.models.input_pipeline import TrainingBatches
from chest_xray.models.network import Network, build_network, join_networks
from chest_xray.models.training import (
    Checkpoint,
    Run,
    Training,
    TrainingSets,
    TrainingState,
    compile_network,
    fingerprint_training,
    make_validation_batches,
)
from chest_xray.reporting.evaluation_figures import plot_learning_curves


def build_model(prepared_images: Array, model: Network, run: Run) -> Model:
    """Build the untrained network for images of the prepared size.

    Args:
        prepared_images: uint8 of shape (images, height, width); only its shape is read.
        model: Shape of the network.
        run: Its seed gives the first weights.

    Returns:
        A Keras model; see `chest_xray.models.network.build_network`.
    """
    import keras

    keras.utils.set_random_seed(run.seed)
    height, width = prepared_images.shape[1:]
    return build_network((height, width), model)


def add_flip_tta(trained_model: Model, run: Run) -> Model:
    """Add flip test-time augmentation: the mean logit of a picture and its mirror image, if the run asks for it.

    Of use after training on mirrored copies alone.

    Args:
        trained_model: From `train_model`; not changed.
        run: Its `mirror`.

    Returns:
        The network, or one around it whose logit is the mean of the two; see `chest_xray.models.network.join_networks`.
    """
    return join_networks([trained_model], flip_tta=True) if run.flip_tta else trained_model


def predict_corrupted_validation(
    model: Model, corrupted_images: Array, image_split: DataFrame, corruptions: ValidationCorruptions
) -> DataFrame:
    """Score the corrupted validation images; see `chest_xray.models.inference.score_images`."""
    table = list_corrupted_validation(image_split, corruptions)
    return score_images(model, corrupted_images, table, "corrupted_validation")


def build_training_sets(
    prepared_images: Array, image_split: DataFrame, preparation: Preparation, training: Training, run: Run
) -> TrainingSets:
    """Join pixels and labels to what training and validation read.

    Args:
        prepared_images: uint8 of shape (images, height, width), one for each row of `image_split`.
        image_split: One row an image.
        preparation: How the images were prepared.
        training: Batch size, how long an epoch is, and whether the rarer class counts more.
        run: Seed of order and copies, and how the copies beside the originals differ from them; validation never has
            copies.

    Returns:
        Train and validation batches. An epoch has as many steps as the originals fill batches in `passes_per_epoch`
        passes, whatever the number of copies: so runs with and without augmentation take the same number of optimiser
        steps an epoch.
    """
    import numpy as np
    from sklearn.utils.class_weight import compute_class_weight

    labels = image_split["label"].to_numpy()
    aspects = compute_aspects(image_split, preparation)
    train, validation = (np.flatnonzero(image_split["subset"] == name) for name in ("train", "validation"))
    balance = "balanced" if training.class_weight == "balanced" else None
    weights = compute_class_weight(balance, classes=np.array([0, 1]), y=labels[train])
    options: dict[str, Any] = {"augmentation": run.augmentation, "seed": run.seed, "batch_size": training.batch_size}
    return TrainingSets(
        train=TrainingBatches(prepared_images, train, labels[train], aspects[train], **options),
        validation=make_validation_batches(prepared_images, validation, labels),
        steps_per_epoch=-(-len(train) * training.passes_per_epoch // training.batch_size),
        class_weight=dict(enumerate(weights.tolist())),
    )


def train_model(
    untrained_model: Model, training_sets: TrainingSets, training: Training, checkpoint: Checkpoint
) -> tuple[Model, DataFrame]:
    """Train a copy of the network.

    Binary cross-entropy, in which each class counts alike where `class_weight` is "balanced" (weights are inverse to
    the number of images, as scikit-learn has it). After every epoch the state is left in the checkpoint; a training
    that was interrupted goes on there, to the very weights that it would have had.

    Args:
        untrained_model: The network; not changed.
        training_sets: Batches, and how many make an epoch.
        training: All settings. "cosine" warms the learning rate up and lets it fall to a hundredth (Loshchilov and
            Hutter 2017); `weight_average` is the momentum of an exponential average of the weights (Polyak and Juditsky
            1992), 0 for none; `keep` is the epoch of the lowest validation loss, or the last; `tensorboard` leaves logs
            in a folder of that name beside the checkpoint.
        checkpoint: Where the state is left.

    Returns:
        The trained model, and one row an epoch: `epoch` (from 1), `steps` (of the optimiser, so far), `seconds`,
        `loss`, `accuracy`, the same of validation with the prefix `val_`, and `kept` (the epoch returned).

    Raises:
        InputError: Loss or weights are no longer numbers; the checkpoint still holds the epoch before.
    """
    import keras

    keras.utils.set_random_seed(training_sets.train.seed)
    network = compile_network(untrained_model, training, training_sets.steps_per_epoch)
    fingerprint = fingerprint_training(untrained_model, training_sets, training)
    state = TrainingState(network, training, checkpoint, fingerprint)
    first = state.resume()
    if not state.is_done:
        network.fit(
            training_sets.train.dataset(first * training_sets.steps_per_epoch),
            validation_data=training_sets.validation,
            steps_per_epoch=training_sets.steps_per_epoch,
            initial_epoch=first,
            epochs=training.epochs,
            class_weight=training_sets.class_weight,
            callbacks=state.callbacks(),
            shuffle=False,  # The batches are shuffled already.
            verbose=0,
        )
    return state.finish(training_sets.steps_per_epoch)


def choose_operating_point(
    corrupted_predictions: DataFrame, operating_point: OperatingPointRule, run: Run
) -> OperatingPoint:
    """Choose thresholds and calibrate, on the corrupted validation images under every condition.

    Args:
        corrupted_predictions: `label`, `logit` and `probability` of each image and condition.
        operating_point: Which of the two points decides, the least sensitivity of the second, and the prevalence.
        run: Its title goes along with the point.

    Returns:
        Two points: "balanced_accuracy", where the mean of sensitivity and specificity is largest (Youden 1950), and
        "sensitivity", the highest threshold with a sensitivity of at least `min_sensitivity`.

    Raises:
        InputError: The images are all of one class.
    """
    import numpy as np
    from sklearn.metrics import roc_curve

    label, probability = corrupted_predictions["label"], corrupted_predictions["probability"]
    if label.nunique() < 2:
        raise InputError(
            f"the validation images are all of one class (label {label.iloc[0]}); expected both. Raise hold_out.share."
        )
    curve = roc_curve(label, probability, drop_intermediate=False)
    # The first point is that of an infinite threshold, at which no image can be called PNEUMONIA.
    false_positive_rate, sensitivity, thresholds = (column[1:] for column in curve)
    best: dict[Rule, int] = {
        "balanced_accuracy": int(np.argmax((sensitivity - false_positive_rate).round(9))),  # Rounding breaks no tie.
        "sensitivity": int(np.argmax(sensitivity >= operating_point.min_sensitivity)),
    }
    points = {
        rule: Point(
            threshold=float(thresholds[place]),
            sensitivity=float(sensitivity[place]),
            specificity=float(1 - false_positive_rate[place]),
        )
        for rule, place in best.items()
    }
    return OperatingPoint(
        run=run.title,
        rule=operating_point.rule,
        threshold=points[operating_point.rule].threshold,
        points=points,
        calibration=fit_calibration(corrupted_predictions, operating_point.expected_prevalence),
    )


def summarise_corruptions(corrupted_predictions: DataFrame, operating_point: OperatingPoint) -> dict[str, Any]:
    """Return what recipes are ranked by, and under which condition this one breaks.

    Args:
        corrupted_predictions: `label`, `probability`, `kind` and `strength` of each image and condition.
        operating_point: From `choose_operating_point`.

    Returns:
        `num_images` (image and condition), `auc` over all of them pooled, `worst_auc`, the mean over the worst quarter
        of the conditions, `specificity` at the least sensitivity asked for, and `conditions`: for each kind and
        strength `auc`, and `sensitivity` and `specificity` at the threshold.
    """
    from sklearn.metrics import roc_auc_score

    def of(part: DataFrame) -> dict[str, float]:
        called = part["probability"] >= operating_point.threshold
        return {
            "auc": float(roc_auc_score(part["label"], part["probability"])),
            "sensitivity": float(called[part["label"] == 1].mean()),
            "specificity": float(1 - called[part["label"] == 0].mean()),
        }

    groups = corrupted_predictions.groupby(["kind", "strength"], sort=False)
    conditions: list[dict[str, Any]] = [
        {"kind": kind, "strength": strength, **of(part)} for (kind, strength), part in groups
    ]
    worst = sorted(condition["auc"] for condition in conditions)[: -(-len(conditions) // 4)]
    return {
        "num_images": len(corrupted_predictions),
        "auc": float(roc_auc_score(corrupted_predictions["label"], corrupted_predictions["probability"])),
        "worst_auc": sum(worst) / len(worst),
        "specificity": operating_point.points["sensitivity"].specificity,
        "conditions": conditions,
    }


def draw_learning_curves(history: DataFrame, image_split: DataFrame, run: Run, data_source: str) -> Figure:
    """Draw loss and accuracy by epoch; see `chest_xray.reporting.evaluation_figures`."""
    return plot_learning_curves(history, image_split, run.title, data_source)
