"""Open the test split: predictions, metrics, figures, and conclusions that the numbers support."""

import logging
from typing import Any

from chest_xray.core.types import Array, DataFrame, Model
from chest_xray.metrics.bootstrap import whole_and_resamples
from chest_xray.metrics.subgroups import choose_cuts, stratify
from chest_xray.metrics.summary import (
    SCHEMA_VERSION,
    Evaluation,
    measure,
    measure_gap,
    require_both_classes,
    summarise,
)
from chest_xray.models.inference import score_images
from chest_xray.pipelines.modeling.operating_point import calibrate
from chest_xray.reporting import conclusions
from chest_xray.reporting.i18n import Finding, Language, render

logger = logging.getLogger(__name__)


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
        As `chest_xray.models.inference.score_images` gives it, and `calibrated`: the probability of
        pneumonia at the expected prevalence, float64 in [0, 1].
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
        evaluation: Seed of the bootstrap, realistic prevalence, and strata.

    Returns:
        See docs/metrics.md.

    Raises:
        InputError: A subset is of one class alone, or a probability is not a number.
    """
    tables = {"validation": validation_predictions, "test": test_predictions}
    for subset, table in tables.items():
        require_both_classes(table, subset)
    seeds = {"validation": evaluation.seed + 1, "test": evaluation.seed}  # Two samples, drawn apart.
    measured = {
        subset: measure(
            table,
            operating_point,
            evaluation.realistic_prevalence,
            whole_and_resamples(table["group"].to_numpy(), seeds[subset]),
        )
        for subset, table in tables.items()
    }
    cuts = choose_cuts(validation_predictions, evaluation.aspect_cuts, evaluation.size_quantiles)
    found: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "run": operating_point["run"],
        "operating_point": {"rule": operating_point["rule"], **operating_point["calibration"]},
        "realistic_prevalence": evaluation.realistic_prevalence,
        "strata_cuts": cuts,
    }
    for subset, table in tables.items():
        called = (table["probability"] >= operating_point["threshold"]).to_numpy()
        strata = stratify(table, called, cuts, seeds[subset])
        found[subset] = summarise(table, operating_point, measured[subset], strata)
    found["gap"] = measure_gap(measured["validation"], measured["test"])
    _log(found["test"])
    return found


def _log(test: dict[str, Any]) -> None:
    point = test["at_chosen"]
    logger.info(
        "Test: %d images, threshold %.3f, accuracy %.3f, sensitivity %.3f, specificity %.3f, AUC %.3f",
        *(test["num_images"], point["threshold"], point["accuracy"]["value"], point["sensitivity"]["value"]),
        *(point["specificity"]["value"], test["auc"]["value"]),
    )


def find_conclusions(
    metrics: dict[str, Any], history: DataFrame, header_metrics: dict[str, Any]
) -> dict[str, list[Finding]]:
    """Find what the numbers support: how well, what an answer is worth, where it fails, and what to try next.

    Args:
        metrics: From `compute_metrics`.
        history: One row an epoch; the kept one says how training went.
        header_metrics: From `measure_header_rule`: how far the header goes without a look at a pixel.

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
        "how_well": list(conclusions.how_well(metrics, header_metrics)),
        "what_an_answer_is_worth": list(conclusions.what_an_answer_is_worth(metrics)),
        "what_a_probability_is_worth": list(conclusions.what_a_probability_is_worth(metrics)),
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
