"""All nodes of evaluation: predictions, metrics, figures, and conclusions that the numbers support.

In all of them `prepared_images` is uint8 of shape (images, height, width), one for each row of `image_split`;
predictions have a row per image, as `predict_test` returns them; `operating_point` was chosen on corrupted validation;
`evaluation` has the seed of the bootstrap, realistic prevalence and strata; `metrics` is from `compute_metrics`,
`metadata_metrics` from `measure_metadata_baseline`, and `history` has one row per epoch, from `train_model`.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from chest_xray.core.libraries import np, pd, tf
from chest_xray.core.types import Array, DataFrame, Figure, Model
from chest_xray.metrics import abstention as measured_abstention
from chest_xray.metrics.abstention import Abstention
from chest_xray.metrics.binary import NUM_CUTS, compute_rank_curves, compute_threshold_curves
from chest_xray.metrics.bootstrap import draw_resamples
from chest_xray.metrics.comparison import PASSES
from chest_xray.metrics.metadata_baseline import evaluate_metadata_baseline, fit_and_score_thresholds, score_metadata
from chest_xray.metrics.operating_point import (
    OperatingPoint,
    OperatingPointRule,
    add_calibrated,
    choose_points,
    compute_logit,
)
from chest_xray.metrics.results import MetadataMetrics, Metrics
from chest_xray.metrics.subgroups import choose_cuts, stratify
from chest_xray.metrics.summary import (
    LOGIT_AT_HALF,
    SCHEMA_VERSION,
    Evaluation,
    describe_dependence,
    measure,
    measure_gap,
    require_both_classes,
    summarise,
)
from chest_xray.models.inference import MAX_DISAGREEMENT, score_images
from chest_xray.models.input_pipeline import image_batches
from chest_xray.models.network import add_decision_outputs
from chest_xray.reporting import evaluation_figures as figures
from chest_xray.reporting.abstention import draw_net_benefit, draw_risk_coverage
from chest_xray.reporting.conclusions import find_conclusions
from chest_xray.reporting.i18n import Language, render
from chest_xray.reporting.report_contents import make_storable
from chest_xray.reporting.style import Labels, draw_in_languages
from chest_xray.reporting.tables import build_metrics_table


def predict_test(
    model: Model, prepared_images: Array, image_split: DataFrame, operating_point: OperatingPoint
) -> DataFrame:
    """Score the test images, and calibrate the scores by the operating point.

    Returns:
        The table of `score_images` with the columns `log_odds` (calibrated) and `probability`: that of
        pneumonia at the expected prevalence, in [0, 1], both float64.
    """
    return add_calibrated(score_images(model, prepared_images, image_split, "test", both_passes=True), operating_point)


def predict_validation(
    model: Model, prepared_images: Array, image_split: DataFrame, operating_point: OperatingPoint
) -> DataFrame:
    """Score the unaltered validation images in the same way; see `predict_test`."""
    return add_calibrated(score_images(model, prepared_images, image_split, "validation"), operating_point)


def compute_metrics(
    validation_predictions: DataFrame,
    test_predictions: DataFrame,
    operating_point: OperatingPoint,
    evaluation: Evaluation,
) -> Metrics:
    """Return all metrics of validation and test, computed from the predictions; see docs/metrics.md.

    Raises:
        InputError: A subset is of one class alone, or a probability is not a number.
    """
    tables = {"validation": validation_predictions, "test": test_predictions}
    for subset, table in tables.items():
        require_both_classes(table, subset)
    seeds = {"validation": evaluation.seed + 1, "test": evaluation.seed}  # Two samples, drawn apart.
    draws = {subset: draw_resamples(table, evaluation.block_length, seeds[subset]) for subset, table in tables.items()}
    measured = {
        subset: measure(table, operating_point, evaluation.realistic_prevalence, draws[subset])
        for subset, table in tables.items()
    }
    cuts = choose_cuts(validation_predictions, evaluation.aspect_cuts, evaluation.size_quantiles)
    subsets = {}
    for subset, table in tables.items():
        is_positive = (table["log_odds"] >= operating_point.chosen.log_odds).to_numpy()
        strata = stratify(table, is_positive, cuts, evaluation.num_series_blocks, draws[subset])
        subsets[subset] = summarise(table, operating_point, measured[subset], strata)
    return Metrics(
        schema_version=SCHEMA_VERSION,
        run=operating_point.run,
        operating_point=operating_point,
        realistic_prevalence=evaluation.realistic_prevalence,
        strata_cuts=cuts,
        validation=subsets["validation"],
        test=subsets["test"],
        gap=measure_gap(measured["validation"], measured["test"], operating_point),
        dependence=describe_dependence(test_predictions, operating_point, measured["test"], evaluation.block_length),
    )


def measure_abstention(
    validation_predictions: DataFrame,
    test_predictions: DataFrame,
    operating_point: OperatingPoint,
    evaluation: Evaluation,
) -> tuple[Abstention, DataFrame]:
    """Measure referral, conformal sets and net benefit on test; see `chest_xray.metrics.abstention`."""
    return measured_abstention.measure_abstention(validation_predictions, test_predictions, operating_point, evaluation)


def draw_abstention(
    abstention_curves: DataFrame, abstention: Abstention, metrics: Metrics, data_source: str
) -> dict[str, dict[str, Figure]]:
    """Draw the risk-coverage curve with the referral band, and decision curves, by name and language."""
    functions = {
        "risk_coverage": partial(draw_risk_coverage, abstention_curves, abstention, metrics.run),
        "net_benefit": partial(draw_net_benefit, abstention_curves, metrics.run),
    }
    return {name: draw_in_languages(function, data_source) for name, function in functions.items()}


def write_conclusions(
    metrics: Metrics, history: DataFrame, metadata_metrics: MetadataMetrics, data_source: str, language: Language
) -> str:
    """Write the conclusions that the metrics support, in Markdown; the page states its data source."""
    conclusions = find_conclusions(metrics, history, metadata_metrics)
    return render("conclusions_title", conclusions, {"data_source": data_source, "run": metrics.run}, language.root)


def compute_curves(
    validation_predictions: DataFrame,
    corrupted_predictions: DataFrame,
    test_predictions: DataFrame,
    operating_point: OperatingPoint,
    evaluation: Evaluation,
) -> DataFrame:
    """Return every curve of a run with its band; `corrupted_predictions` has a row per validation image and condition.

    Returns:
        `subset`, "validation", "corrupted" or "test"; `num_images` of it; and `curve`, `x`, `value`, `low` and `high`,
        as from `compute_rank_curves` for validation and test, and from `compute_threshold_curves` for corrupted and
        test.
    """
    corrupted = add_calibrated(corrupted_predictions, operating_point)
    tables = {"validation": validation_predictions, "corrupted": corrupted, "test": test_predictions}
    log_odds = np.concatenate([table["log_odds"] for table in tables.values()])
    cuts = np.linspace(log_odds.min() - 1, log_odds.max() + 1, NUM_CUTS)
    traced = [(name, compute_rank_curves(tables[name], evaluation.seed)) for name in ("validation", "test")]
    traced += [(name, compute_threshold_curves(tables[name], cuts, evaluation.seed)) for name in ("corrupted", "test")]
    return pd.concat(
        [curve.assign(subset=name, num_images=len(tables[name])) for name, curve in traced], ignore_index=True
    )


def evaluate_with_keras(
    model: Model, prepared_images: Array, image_split: DataFrame, operating_point: OperatingPoint
) -> dict[str, Any]:
    """Measure the network on test by `model.evaluate`, at an output of 0.5 and at the chosen threshold.

    Returns:
        `loss`, and at each of `at_half` and `at_chosen`: `accuracy`, `precision`, `recall` in [0, 1].
    """
    rows = np.flatnonzero(image_split["subset"] == "test")
    labels = image_split["label"].to_numpy(np.float32)[rows, None]
    answers = tf.data.Dataset.from_tensor_slices(dict.fromkeys(("probability", "at_half", "at_chosen"), labels))
    batches = tf.data.Dataset.zip(image_batches(prepared_images, rows, 64), answers.batch(64))
    chosen = compute_logit(operating_point.chosen.log_odds, operating_point.calibration)
    thresholds = {"at_half": LOGIT_AT_HALF, "at_chosen": chosen}
    scores = add_decision_outputs(model, thresholds).evaluate(batches, return_dict=True, verbose=0)
    names = ("accuracy", "precision", "recall")
    return {"loss": scores["loss"], **{at: {name: scores[f"{at}_{name}"] for name in names} for at in thresholds}}


def cross_check(metrics: Metrics, keras_evaluation: dict[str, Any]) -> DataFrame:
    """Compare the result of `evaluate_with_keras` with what scikit-learn computed from the predictions.

    Returns:
        One row per metric and threshold: `metric`, `at`, `keras`, `scikit_learn`, `difference`.

    Raises:
        ValueError: A pair differs by more than rounding; one of the two was measured on other data.
    """
    rows = [("loss", "", keras_evaluation["loss"], metrics.test.loss)]
    for at, decisions in (("at_half", metrics.test.at_half), ("at_chosen", metrics.test.at_chosen)):
        for keras_name, measured in (
            ("accuracy", decisions.accuracy),
            ("precision", decisions.precision),
            ("recall", decisions.sensitivity),
        ):
            rows.append((keras_name, at, keras_evaluation[at][keras_name], measured.value or 0.0))
    table = pd.DataFrame(rows, columns=["metric", "at", "keras", "scikit_learn"])
    table["difference"] = (table["keras"] - table["scikit_learn"]).round(9)
    apart = table[table["difference"].abs() > MAX_DISAGREEMENT]
    if len(apart):
        raise ValueError(
            f"Keras and scikit-learn disagree on the same test images:\n{apart.to_string(index=False)}\n"
            f"expected differences below {MAX_DISAGREEMENT}. Run modeling and evaluation again, so that model and "
            "predictions belong together."
        )
    return table


def tabulate_metrics(metrics: Metrics, metadata_metrics: MetadataMetrics) -> DataFrame:
    """Tabulate the metrics of one run, one row a value; see `chest_xray.reporting.tables`."""
    return build_metrics_table(metrics, metadata_metrics)


def draw_figures(
    curves: DataFrame,
    validation_predictions: DataFrame,
    test_predictions: DataFrame,
    metrics: Metrics,
    data_source: str,
) -> tuple[dict[str, Figure], dict[str, Figure], dict[str, dict[str, Figure]]]:
    """Draw all figures of an evaluation; `curves` is from `compute_curves`, and each figure states its data source.

    Returns:
        The ROC curve and the confusion matrices in each language, and all others by name and language.
    """

    def draw(function: Callable[..., Figure], *data: Any) -> dict[str, Figure]:
        return draw_in_languages(partial(function, *data, metrics), data_source)

    return (
        draw(figures.draw_roc_curve, curves),
        draw(figures.draw_confusion_matrices),
        {
            "precision_recall": draw(figures.draw_precision_recall, curves),
            "thresholds": draw(figures.draw_thresholds, curves),
            "reliability": draw(figures.draw_reliability, test_predictions),
            "scores": draw(figures.draw_scores, validation_predictions, test_predictions),
        },
    )


def draw_threshold_explorer(test_predictions: DataFrame, metrics: Metrics, data_source: str, language: Language) -> Any:
    """Draw the interactive figure of thresholds; see `chest_xray.reporting.evaluation_figures`."""
    return figures.draw_threshold_explorer(test_predictions, metrics, Labels(data_source, language.root))


def decide_images(
    test_predictions: DataFrame,
    corrupted_predictions: DataFrame,
    operating_point: OperatingPoint,
    rule: OperatingPointRule,
    history: DataFrame,
) -> DataFrame:
    """Return the decision on each test image, with the length of the training.

    Args:
        test_predictions: One row per image, from `predict_test`.
        corrupted_predictions: One row per corrupted validation image.
        operating_point: Its chosen point decides.
        rule: By which that point was chosen.
        history: One row per epoch.

    Returns:
        `path`, `group`, `aetiology`, `label`, `log_odds`, `probability`, `decision` (True: PNEUMONIA), and how many
        steps the optimiser took: `steps` in all, `kept_steps` up to the epoch whose weights are the network's. Where
        predictions have them, also for each of `PASSES` `logit_{passes}`, uncalibrated, and `decision_{passes}`, at
        the threshold that the rule chooses for them.
    """
    decisions = test_predictions[["path", "group", "aetiology", "label", "log_odds", "probability"]].assign(
        decision=test_predictions["log_odds"] >= operating_point.chosen.log_odds,
        steps=int(history["steps"].max()),
        kept_steps=int(history.loc[history["kept"], "steps"].iloc[0]),
    )
    for passes in PASSES:
        if (name := f"logit_{passes}") in test_predictions:
            scored = corrupted_predictions.assign(log_odds=corrupted_predictions[name].astype(float))
            logits = test_predictions[name].astype(float)
            point = choose_points(scored, rule)[operating_point.rule]
            decisions[f"logit_{passes}"], decisions[f"decision_{passes}"] = logits, logits >= point.log_odds
    return decisions


def measure_metadata_baseline(
    test_predictions: DataFrame, image_split: DataFrame, metrics: Metrics, evaluation: Evaluation
) -> MetadataMetrics:
    """Evaluate the rule on the width, fitted on the official train split; see `evaluate_metadata_baseline`."""
    train = image_split[image_split["split"] == "train"]
    score = score_metadata(train, test_predictions)
    return evaluate_metadata_baseline(
        test_predictions, fit_and_score_thresholds(image_split), score, metrics, evaluation
    )


def gather_evidence(**outputs: Any) -> dict[str, Any]:
    """Gather the tables, figures (PNG), pages and values that the report shows of one run, by name."""
    return make_storable(outputs)


def describe_model(model: Model) -> dict[str, Any]:
    """Describe the network for the model card.

    Returns:
        `input_shape` and `output_shape` (None is the number of images), `dtype` of the input, `parameters` (how
        many weights), and `layers` (the kinds, in order).
    """
    return {
        "input_shape": list(model.input_shape),
        "output_shape": list(model.output_shape),
        "dtype": model.inputs[0].dtype,
        "parameters": model.count_params(),
        "layers": [type(layer).__name__ for layer in model.layers],
    }
