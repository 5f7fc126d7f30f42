"""Keras and scikit-learn measure the same, and the results are laid out with their source."""

import json
from functools import cache
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest

from chest_xray.core.types import Array, InputError
from chest_xray.metrics.metadata_baseline import evaluate_metadata_baseline, score_metadata
from chest_xray.metrics.operating_point import add_calibrated
from chest_xray.metrics.results import Metrics
from chest_xray.pipelines.evaluation.nodes import (
    compute_metrics,
    cross_check,
    evaluate_with_keras,
    predict_test,
    predict_validation,
    write_conclusions,
)
from chest_xray.reporting.i18n import Language, read_messages
from chest_xray.reporting.tables import build_metrics_table
from tests.builders import (
    TITLE,
    make_evaluation,
    make_history,
    make_metadata_baseline,
    make_metadata_metrics,
    make_point,
    make_predictions,
    make_split,
)

LABELS = [0, 0, 1, 0, 1, 1, 0, 1]
SPLIT = make_split([0, 1, *LABELS], ["train", "validation"] + ["test"] * 8)


def make_graded_pixels() -> Array:
    """Images of one grey each, from 0 to 225 in steps of 25."""
    return np.repeat(np.arange(0, 250, 25, dtype=np.uint8), 64).reshape(10, 8, 8)


def make_grey_reader(slope: float, middle: float) -> keras.Model:
    """A model whose probability is sigmoid(slope x (mean grey - middle))."""
    output = keras.layers.Dense(1, activation="sigmoid")
    model = keras.Sequential([keras.layers.Input((8, 8, 1)), keras.layers.GlobalAveragePooling2D(), output])
    output.set_weights([np.array([[slope]], np.float32), np.array([-slope * middle], np.float32)])
    return model


def measure(model: keras.Model, threshold: float, **point_fields: Any) -> tuple[Metrics, dict[str, Any]]:
    """Metrics of scikit-learn and of Keras."""
    point = make_point(threshold, **point_fields)
    table = predict_test(model, make_graded_pixels(), SPLIT, point)
    computed = compute_metrics(table, table, point, make_evaluation())
    return computed, evaluate_with_keras(model, make_graded_pixels(), SPLIT, point)


def test_test_predictions_are_of_the_test_images_alone() -> None:
    table = predict_test(make_grey_reader(4, 0.5), make_graded_pixels(), SPLIT, make_point(0.5))
    assert table["label"].tolist() == LABELS
    assert set(table["subset"]) == {"test"}
    greys = np.arange(50, 250, 25) / 255
    np.testing.assert_allclose(table["sigmoid"], 1 / (1 + np.exp(-4 * (greys - 0.5))), rtol=1e-5)


def test_predictions_are_calibrated_by_the_operating_point() -> None:
    point = make_point(0.5, temperature=2.0, bias=np.log(3))
    for predict, subset in ((predict_validation, "validation"), (predict_test, "test")):
        table = predict(make_grey_reader(4, 0.5), make_graded_pixels(), SPLIT, point)
        assert set(table["subset"]) == {subset}
        odds = 3 * np.exp(table["logit"].to_numpy(float) / 2)
        np.testing.assert_allclose(table["probability"], odds / (1 + odds), rtol=1e-6)
        assert table["probability"].dtype == np.float64
        assert (table["probability"] != table["sigmoid"]).all()


def test_keras_measures_at_one_half_and_at_the_chosen_threshold() -> None:
    # Greys 125/255 and below are classified as NORMAL at 0.5: 50, 75, 125 rightly, 100 wrongly; above 200 wrongly.
    _, found = measure(make_grey_reader(4, 0.5), 0.6)
    assert found["at_half"] == {"accuracy": 0.75, "precision": 0.75, "recall": 0.75}
    # sigmoid(4 x (grey - 0.5)) is 0.6 at 0.6014: 175 (0.686) and above are PNEUMONIA, 150 (0.588) is not.
    assert found["at_chosen"] == {"accuracy": 0.625, "precision": pytest.approx(2 / 3), "recall": 0.5}


# At the steep slope the logits from place 4 on are 17, 35, 54 and 73: in float32, which Keras measures in, their
# probabilities are all 1.
@pytest.mark.parametrize(("slope", "place"), [(4, 0), (4, 3), (4, 7), (190, 0), (190, 3), (190, 4), (190, 5)])
def test_keras_and_scikit_learn_agree_where_a_probability_lies_exactly_at_the_threshold(
    slope: float, place: int
) -> None:
    model = make_grey_reader(slope, 0.5)
    calibrations: list[dict[str, Any]] = [
        {},
        {"temperature": 1.7, "bias": 0.3},
        {"temperature": 0.2, "expected_prevalence": 0.1},
    ]
    for calibration in calibrations:
        table = add_calibrated(score_greys(slope), make_point(0.5, **calibration))
        computed, by_keras = measure(model, 0.5, log_odds=float(table["log_odds"].iloc[place]), **calibration)
        check_agreement(computed, by_keras, 8 - place)


@cache
def score_greys(slope: float) -> pd.DataFrame:
    return predict_test(make_grey_reader(slope, 0.5), make_graded_pixels(), SPLIT, make_point(0.5))


def check_agreement(computed: Metrics, by_keras: dict[str, Any], num_positive: int) -> None:
    """Check that both classify so many images as PNEUMONIA and agree on the metrics."""
    table = cross_check(computed, by_keras)
    assert table["difference"].abs().max() < 1e-5
    assert computed.test.at_chosen.tp + computed.test.at_chosen.fp == num_positive


def test_keras_and_scikit_learn_agree_where_a_probability_is_wrong_and_as_good_as_certain() -> None:
    # At this slope the logits run from -304 to 284, so that the probabilities are 0 and 1 but for one.
    model = make_grey_reader(1000, 0.5)
    computed, by_keras = measure(model, 0.5)
    probability = predict_test(model, make_graded_pixels(), SPLIT, make_point(0.5))["sigmoid"]
    assert ((probability < 1e-30) | (probability == 1)).sum() == 7
    assert cross_check(computed, by_keras)["difference"].abs().max() < 1e-4
    # Two of eight are wrong, each at a cost of -log(1e-7) = 16.1.
    assert by_keras["loss"] == pytest.approx(2 * 16.118 / 8, rel=0.02)


def test_keras_and_scikit_learn_agree_without_positive_decisions() -> None:
    computed, by_keras = measure(make_grey_reader(4, 0.5), 1.0)
    assert computed.test.at_chosen.precision.value is None
    assert cross_check(computed, by_keras)["difference"].abs().max() < 1e-6


def test_measuring_does_not_change_the_model() -> None:
    model = make_grey_reader(4, 0.5)
    before = [weight.copy() for weight in model.get_weights()]
    measure(model, 0.5)
    assert not model.compiled
    for weight, old in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, old)


def test_the_cross_check_names_both_values_and_their_difference() -> None:
    table = cross_check(*measure(make_grey_reader(4, 0.5), 0.6))
    assert table.columns.tolist() == ["metric", "at", "keras", "scikit_learn", "difference"]
    assert table["metric"].tolist() == ["loss"] + ["accuracy", "precision", "recall"] * 2
    assert table["at"].tolist() == ["", *["at_half"] * 3, *["at_chosen"] * 3]
    assert table["scikit_learn"].tolist()[1:4] == [0.75, 0.75, 0.75]


@pytest.mark.parametrize("name", ["accuracy", "precision", "recall"])
def test_a_difference_between_keras_and_scikit_learn_stops_the_run(name: str) -> None:
    computed, by_keras = measure(make_grey_reader(4, 0.5), 0.6)
    by_keras["at_chosen"][name] += 0.0002
    with pytest.raises(
        ValueError, match=rf"disagree on the same test images:\n(.|\n)*{name} at_chosen(.|\n)*below 0.0001"
    ):
        cross_check(computed, by_keras)
    by_keras["at_chosen"][name] -= 0.00015
    assert cross_check(computed, by_keras)["difference"].abs().max() == pytest.approx(0.00005, abs=1e-6)


def make_metrics() -> tuple[pd.DataFrame, pd.DataFrame, Metrics]:
    validation = make_predictions([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    test = make_predictions([0, 0, 1, 1, 1], [0.2, 0.7, 0.3, 0.6, 0.9])
    return validation, test, compute_metrics(validation, test, make_point(0.35), make_evaluation())


def test_metrics_are_those_of_each_subset_at_the_threshold_of_validation() -> None:
    _, _, metrics = make_metrics()
    assert metrics.validation.num_images == 4
    assert metrics.test.num_images == 5
    assert metrics.validation.at_chosen.accuracy.value == 0.75
    assert metrics.test.at_chosen.accuracy.value == 0.6
    assert metrics.run == TITLE
    assert metrics.operating_point == make_point(0.35)


def test_metrics_state_what_they_were_computed_with() -> None:
    _, _, metrics = make_metrics()
    assert metrics.schema_version == 4
    assert metrics.realistic_prevalence == 0.2
    assert metrics.strata_cuts == {"aspect": [1.2, 1.5], "size": [16]}  # all images are 16 x 16


def test_the_gap_is_test_minus_validation() -> None:
    _, _, metrics = make_metrics()
    plain = metrics.model_dump()
    gap = plain["gap"]
    chosen = gap["points"]["balanced"]
    assert chosen["accuracy"]["value"] == pytest.approx(0.6 - 0.75)
    for name, where in (("auc", None), ("f1", "at_half"), ("brier", "calibration")):
        validation, test = (plain[part][where or name] for part in ("validation", "test"))
        pair = (validation[name], test[name]) if where else (validation, test)
        told = gap[where][name] if where else gap[name]
        assert told["value"] == pytest.approx(pair[1]["value"] - pair[0]["value"])
    for name in ("accuracy", "sensitivity", "specificity", "f1"):
        assert chosen[name]["low"] <= chosen[name]["value"] <= chosen[name]["high"]


def test_a_subset_that_nothing_can_be_computed_of_is_named() -> None:
    good, bad = make_predictions([0, 1], [0.2, 0.8]), make_predictions([1, 1], [0.2, 0.8])
    for pair, subset in (((good, bad), "test"), ((bad, good), "validation")):
        with pytest.raises(InputError, match=f"received {subset} images of one class alone"):
            compute_metrics(*pair, make_point(0.5), make_evaluation())


def test_the_gap_compares_two_independently_resampled_sets() -> None:
    # The same images twice: resampled alike, every resample would show no gap at all.
    table = make_predictions([0, 1] * 20, np.linspace(0, 1, 40).tolist())
    gap = compute_metrics(table, table, make_point(0.5), make_evaluation()).gap.at_chosen.accuracy.model_dump()
    assert gap["value"] == 0
    assert gap["low"] < -0.1
    assert gap["high"] > 0.1


@pytest.mark.parametrize(
    "test",
    [
        make_predictions([0, 1, 1], [0.5, 0.5, 0.5]),  # all scores are equal
        make_predictions([0, 1, 1], [0.1, 0.8, 0.9]),  # three images, told apart without error
        make_predictions([0, 0, 1], [0.9, 0.8, 0.1]),  # and the wrong way round
        make_predictions([0, 1], [0.0, 1.0]),
        make_predictions([0, 1], [0.01, 0.02]),  # nothing is classified as PNEUMONIA
    ],
)
@pytest.mark.parametrize("language", ["en", "ru"])
def test_metrics_of_few_images_are_valid_json_and_can_be_reported(test: pd.DataFrame, language: str) -> None:
    metrics = compute_metrics(test, test, make_point(0.5), make_evaluation())
    header = evaluate_metadata_baseline(
        test, make_metadata_baseline(), score_metadata(test, test), metrics, make_evaluation()
    )
    plain = [each.model_dump() for each in (metrics, header)]
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    page = write_conclusions(metrics, make_history([0.7, 0.5], kept=2), header, "phantoms", Language(root=language))
    assert read_messages(language)["undefined"].split("{")[0] in page
    assert not [word for word in ("nan", "None", "inf ", "inf,") if word in page]
    table = build_metrics_table(metrics, header)
    assert (table.loc[table["value"].isna(), "note"] != "").all()


def test_the_conclusions_are_under_their_headings_with_the_source() -> None:
    _, _, metrics = make_metrics()
    history, header = make_history([0.7, 0.5], kept=2), make_metadata_metrics()
    page = write_conclusions(metrics, history, header, "phantoms", Language(root="en"))
    assert page.startswith("# Conclusions, as a trial\n\nData: phantoms. For teaching and research; ")
    headings = [line for line in page.splitlines() if line.startswith("## ")]
    assert headings == [
        *("## Performance", "## Does the network know more than the size of the image?", "## Predictive values"),
        *("## Calibration", "## Errors", "## Validation and test", "## What to try next"),
    ]
    assert "On 5 test images of 5 patients the network has an accuracy of 60.0%" in page


def test_the_conclusions_are_the_same_in_another_language() -> None:
    _, _, metrics = make_metrics()
    found = (metrics, make_history([0.7, 0.5], kept=2), make_metadata_metrics())
    english, russian = (write_conclusions(*found, "phantoms", Language(root=name)) for name in ("en", "ru"))
    marks = [[line.split(" ")[0] for line in page.splitlines()[3:]] for page in (russian, english)]
    assert marks[0] == marks[1]
    assert "На 5 тестовых снимках 5 пациентов доля верных решений сети — 60,0%" in russian  # noqa: RUF001
