"""All nodes of modeling: build a network, train it, and choose its operating point.

`prepared_images` is uint8 of shape (images, height, width), one for each row of `image_split`.
"""

from functools import partial
from typing import Any

from chest_xray.core.libraries import keras, np
from chest_xray.core.types import Array, DataFrame, Figure, InputError, Model
from chest_xray.images.corruptions import ValidationCorruptions, list_corrupted
from chest_xray.images.preprocessing import Preparation, compute_aspects
from chest_xray.metrics.operating_point import (
    OperatingPoint,
    OperatingPointRule,
    add_calibrated,
    average_worst_quarter,
    choose_band,
    choose_points,
    compute_log_odds,
    fit_calibration,
)
from chest_xray.metrics.results import ConditionMetrics, CorruptionMetrics
from chest_xray.models.inference import score_images
from chest_xray.models.input_pipeline import TrainingBatches
from chest_xray.models.network import Network, build_network, join_networks, with_precision
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
from chest_xray.reporting.style import draw_in_languages


def build_model(prepared_images: Array, model: Network, run: Run) -> Model:
    """Build the untrained network for images of the prepared size; the seed of the run gives its weights."""
    keras.utils.set_random_seed(run.seed)
    height, width = prepared_images.shape[1:]
    return build_network((height, width), model)


def prepare_scoring(trained_model: Model, run: Run) -> Model:
    """Return the network as the run scores, and as it is evaluated and packaged.

    With `flip_tta` (flip test-time augmentation) it gives the mean logit of each image and its mirror image, of use
    after training on flipped copies alone. With `scoring_precision` "mixed_bfloat16" it is faster where the processor
    has instructions for it, and logits change by a few hundredths.
    """
    is_changed = run.scoring_precision != "float32"
    network = with_precision(trained_model, run.scoring_precision) if is_changed else trained_model
    return join_networks([network], flip_tta=True) if run.flip_tta else network


def predict_corrupted_validation(
    model: Model, corrupted_images: Array, image_split: DataFrame, corruptions: ValidationCorruptions
) -> DataFrame:
    """Score the corrupted validation images; see `score_images`."""
    table = list_corrupted(image_split, "validation", corruptions)
    return score_images(model, corrupted_images, table, "corrupted_validation", both_passes=True)


def build_training_sets(
    prepared_images: Array, image_split: DataFrame, preparation: Preparation, training: Training, run: Run
) -> TrainingSets:
    """Build the batches of train and validation.

    An epoch has as many steps as the originals fill batches in `passes_per_epoch` passes, whatever the number of
    copies, so that runs with and without augmentation take the same number of optimizer steps.
    """
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
    """Train a copy of the network, and resume from the checkpoint with bit-equal results.

    The loss is binary cross-entropy; with `class_weight` "balanced" both classes have the same weight (inverse to their
    number of images, as in scikit-learn).

    Args:
        untrained_model: Not changed.
        training_sets: From `build_training_sets`.
        training: `schedule` "cosine" is warm-up and decay to a hundredth (Loshchilov and Hutter 2017); `weight_average`
            is the momentum of an exponential average of the weights (Polyak and Juditsky 1992), 0 for none; `keep`
            selects the epoch of the lowest validation loss, or the last; `tensorboard` writes logs beside the
            checkpoint.
        checkpoint: Receives the state after each epoch.

    Returns:
        The trained model, and one row an epoch: `epoch` (from 1), `steps` (of the optimizer, so far), `seconds`,
        `loss`, `accuracy`, `val_loss`, `val_accuracy`, and `kept` (the epoch returned).

    Raises:
        InputError: Loss or weights are not finite; the checkpoint holds the epoch before.
    """
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


def record_settings(
    history: DataFrame, model: Network, training: Training, preparation: Preparation, run: Run
) -> dict[str, Any]:
    """Return the settings that a network was trained with, for the comparison with another run.

    `history` is that of the training, so that the settings are stored with the network and not before it; `trained` has
    the number of epochs that were run.
    """
    groups = {"model": model, "training": training, "preparation": preparation, "run": run}
    settings: dict[str, Any] = {name: options.model_dump(mode="json") for name, options in groups.items()}
    return settings | {"trained": {"epochs": len(history)}}


def choose_operating_point(
    corrupted_predictions: DataFrame, operating_point: OperatingPointRule, run: Run
) -> OperatingPoint:
    """Calibrate, and choose the operating point of each rule and the referral band, on corrupted validation images.

    See `choose_points` and `choose_band`.

    Raises:
        InputError: The images are all of one class.
    """
    label, logit = corrupted_predictions["label"], corrupted_predictions["logit"]
    if label.nunique() < 2:
        raise InputError(
            f"the validation images are all of one class (label {label.max()}); expected both. Raise hold_out.share."
        )
    calibration = fit_calibration(corrupted_predictions, operating_point.expected_prevalence)
    table = corrupted_predictions.assign(log_odds=compute_log_odds(logit, calibration))
    rule, points, share = operating_point.rule, choose_points(table, operating_point), operating_point.max_referred
    band = None if share is None else choose_band(table, points[rule].log_odds, share)
    return OperatingPoint(run=run.title, rule=rule, points=points, calibration=calibration, band=band)


def summarise_corruptions(
    corrupted_predictions: DataFrame, operating_point: OperatingPoint, rule: OperatingPointRule
) -> CorruptionMetrics:
    """Return the metrics by which recipes are ranked, and those of each condition."""
    from sklearn.metrics import roc_auc_score, roc_curve

    conditions: list[ConditionMetrics] = []
    table = add_calibrated(corrupted_predictions, operating_point)
    for (kind, strength), part in table.groupby(["kind", "strength"], sort=False):
        is_positive = part["log_odds"] >= operating_point.chosen.log_odds
        measured = {
            "auc": float(roc_auc_score(part["label"], part["log_odds"])),
            "sensitivity": float(is_positive[part["label"] == 1].mean()),
            "specificity": float(1 - is_positive[part["label"] == 0].mean()),
        }
        conditions.append(ConditionMetrics(kind=kind, strength=strength, **measured))
    scored = table["label"], table["log_odds"]
    false_positive_rate, sensitivity, _ = roc_curve(*scored, drop_intermediate=False)
    return CorruptionMetrics(
        num_images=len(corrupted_predictions),
        auc=float(roc_auc_score(*scored)),
        worst_auc=average_worst_quarter(condition.auc for condition in conditions),
        specificity=float(1 - false_positive_rate[(sensitivity >= rule.min_sensitivity).argmax()]),
        conditions=conditions,
    )


def draw_learning_curves(history: DataFrame, image_split: DataFrame, run: Run, data_source: str) -> dict[str, Figure]:
    """Draw loss and accuracy by epoch, in each language."""
    return draw_in_languages(partial(plot_learning_curves, history, image_split, run.title), data_source)
