"""Open the test split: predictions, metrics, figures, and conclusions that the numbers support."""

import logging
from typing import Annotated, Any

from pydantic import Field

from chest_xray.options import Options
from chest_xray.pipelines.evaluation import conclusions
from chest_xray.pipelines.evaluation.metrics import summarise, tabulate
from chest_xray.pipelines.modeling.operating_point import calibrate
from chest_xray.scoring import score_images
from chest_xray.types import Array, DataFrame, Model
from chest_xray.wording import Finding, Language, render

logger = logging.getLogger(__name__)


class Evaluation(Options):
    """How the test split is judged."""

    seed: Annotated[int, Field(ge=0, lt=2**31)]


def predict_test(
    model: Model, prepared_images: Array, image_split: DataFrame, operating_point: dict[str, Any]
) -> DataFrame:
    """Score the test images, and calibrate the scores as validation under shift asks.

    Args:
        model: The trained network.
        prepared_images: uint8 of shape (images, height, width), one for each row of `image_split`.
        image_split: One row an image.
        operating_point: Its `calibration`.

    Returns:
        As `chest_xray.scoring.score_images` gives it, and `calibrated`: the probability of pneumonia at the expected
        prevalence, float64 in [0, 1].
    """
    return _add_calibrated(score_images(model, prepared_images, image_split, "test"), operating_point)


def predict_validation(
    model: Model, prepared_images: Array, image_split: DataFrame, operating_point: dict[str, Any]
) -> DataFrame:
    """Score the unaltered validation images in the same way; see `predict_test`."""
    return _add_calibrated(score_images(model, prepared_images, image_split, "validation"), operating_point)


def _add_calibrated(predictions: DataFrame, operating_point: dict[str, Any]) -> DataFrame:
    return predictions.assign(calibrated=calibrate(predictions["logit"], operating_point["calibration"]))


def compute_metrics(
    validation_predictions: DataFrame,
    test_predictions: DataFrame,
    operating_point: dict[str, Any],
    evaluation: Evaluation,
) -> dict[str, Any]:
    """Give all metrics of validation and test, computed from the predictions tables by scikit-learn and scipy.

    Args:
        validation_predictions: One row a validation image.
        test_predictions: One row a test image.
        operating_point: Chosen on validation under shift.
        evaluation: Seed of the bootstrap.

    Returns:
        `run`: its title; `operating_point`: its rule and calibration; `validation` and `test`, each as
        `chest_xray.pipelines.evaluation.metrics.summarise` gives it.
    """
    found: dict[str, Any] = {
        "run": operating_point["run"],
        "operating_point": {"rule": operating_point["rule"], **operating_point["calibration"]},
        "validation": summarise(validation_predictions, operating_point, evaluation.seed),
        "test": summarise(test_predictions, operating_point, evaluation.seed),
    }
    point = found["test"]["at_chosen"]
    logger.info(
        "Test: %d images, threshold %.3f, accuracy %.3f, sensitivity %.3f, specificity %.3f, AUC %.3f",
        *(found["test"]["num_images"], point["threshold"], point["accuracy"]["value"], point["sensitivity"]["value"]),
        *(point["specificity"]["value"], found["test"]["auc"]["value"]),
    )
    return found


def tabulate_metrics(metrics: dict[str, Any]) -> DataFrame:
    """Lay the metrics out for reading; see `chest_xray.pipelines.evaluation.metrics.tabulate`."""
    return tabulate(metrics)


def find_conclusions(
    metrics: dict[str, Any], history: DataFrame, header_rule: dict[str, Any]
) -> dict[str, list[Finding]]:
    """Find what the numbers support: how well, where it fails, validation against test, what to try next.

    Args:
        metrics: From `compute_metrics`.
        history: One row an epoch; the kept one says how training went.
        header_rule: How far the header of the file goes without a look at a pixel.

    Returns:
        From the key of a heading to what stands below it.
    """
    kept = history[history["kept"]].iloc[0]
    training = {
        "train_accuracy": float(kept["accuracy"]),
        "validation_accuracy": float(kept["val_accuracy"]),
        "best_was_last": bool(history["val_loss"].idxmin() == history.index[-1]),
    }
    return {
        "how_well": list(conclusions.how_well(metrics, header_rule)),
        "where_it_fails": list(conclusions.where_it_fails(metrics)),
        "validation_and_test": list(conclusions.validation_and_test(metrics)),
        "what_to_try": list(conclusions.what_to_try(metrics, training)),
    }


def write_conclusions(
    found_conclusions: dict[str, list[Finding]], metrics: dict[str, Any], data_source: str, language: Language
) -> str:
    """Write what was found as a page.

    Args:
        found_conclusions: From `find_conclusions`.
        metrics: Of the run; its title stands on the page.
        data_source: Stands on the page.
        language: Of the page.

    Returns:
        Markdown.
    """
    about = {"data_source": data_source, "run": metrics["run"]}
    return render("conclusions_title", found_conclusions, about, language.root)
