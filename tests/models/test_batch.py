"""A batch is counted whole, compared with validation by what could be read, and evaluated where it has labels."""

from typing import cast

import pandas as pd
import pytest

from chest_xray.core.files import ListedFile
from chest_xray.core.types import DataFrame, InputError
from chest_xray.models.batch import (
    ExternalEvaluation,
    evaluate_external_set,
    list_internal,
    predict_files,
    summarise_batch,
)
from chest_xray.models.inference import Prediction, Predictor
from tests.builders import make_contract, make_evaluation, make_point, make_run_metrics, with_band

SICK = Prediction(0.9, "PNEUMONIA", None, "", 1.0, 90, 50, 0.5, 300, 200)
WELL = SICK._replace(probability=0.1, decision="NORMAL")
REFUSED = Prediction.refuse("not_frontal_chest", "far")._replace(
    brightness=90, grey_deviation=50, sharpness=0.5, width=300, height=200
)
READ = Prediction(0.75, "PNEUMONIA", None, "", 1.0, 90, 50, 0.5, 300, 200)
UNLIKE = Prediction.refuse("not_frontal_chest", "an OOD score of 9", 9.0)._replace(
    brightness=90, grey_deviation=50, sharpness=0.5, width=300, height=200
)
EMPTY = Prediction.refuse("empty", "zero bytes")


def tabulate(*predictions: Prediction) -> DataFrame:
    return pd.DataFrame(predictions)


def test_a_file_of_as_many_megabytes_as_are_allowed_is_read() -> None:
    class Reader:
        def read(self, path: str) -> Prediction:
            return Prediction.refuse("empty", path)

        def predict_prepared(self, batch: list[Prediction]) -> list[Prediction]:
            return batch

    files = [ListedFile("a.png", "a.png", size, "", "") for size in (1_000_000, 1_000_001)]
    found = predict_files(cast(Predictor, Reader()), files, max_megabytes=1)
    assert [each.reason for each in found] == ["empty", "too_large"]


def test_answers_and_refusals_are_counted_and_all_images_that_were_read_are_compared() -> None:
    normal = READ._replace(decision="NORMAL", probability=0.2)
    summary = summarise_batch(tabulate(READ, READ, normal, UNLIKE, EMPTY, EMPTY), make_contract(), "0123")
    assert (summary.num_files, summary.num_answered, summary.num_positive) == (6, 3, 2)
    assert summary.refused == {"empty": 2, "not_frontal_chest": 1}
    assert (summary.model, summary.expected_prevalence) == ("0123", 0.5)
    assert "children" in summary.intended_use
    assert summary.shift is not None
    num_images = {each.measure: each.num_images for each in summary.shift.measures}
    assert num_images == {
        "probability": 3,
        "ood_score": 4,
        "brightness": 4,
        "grey_deviation": 4,
        "sharpness": 4,
        "size": 4,
        "aspect": 4,
    }


def test_referred_images_are_counted_if_the_network_refers_any() -> None:
    referred = READ._replace(refer=True)
    table = tabulate(referred, referred, READ._replace(refer=False), EMPTY)
    summary = summarise_batch(table, make_contract(with_band(make_point(0.5))), "0123")
    assert (summary.num_answered, summary.num_positive, summary.num_referred) == (3, 3, 2)
    assert summarise_batch(table, make_contract(), "0123").num_referred is None
    assert summarise_batch(tabulate(EMPTY), make_contract(with_band(make_point(0.5))), "0123").num_referred == 0


def test_without_an_image_or_a_reference_nothing_is_compared() -> None:
    assert summarise_batch(tabulate(EMPTY), make_contract(), "0123").shift is None
    older = make_contract().model_copy(update={"reference": None})
    assert summarise_batch(tabulate(READ), older, "0123").shift is None


def make_predictions() -> DataFrame:
    """8 NORMAL (6 right, 1 wrong, 1 refused), 6 PNEUMONIA (4 right, 1 missed, 1 refused), and one without a label."""
    normal, pneumonia = [WELL] * 6 + [SICK, REFUSED], [SICK] * 4 + [WELL, REFUSED]
    table = pd.DataFrame([*normal, *pneumonia, SICK])
    labels = pd.array([0] * 8 + [1] * 6 + [None], dtype="Int64")
    return table.assign(label=labels, group=[f"p{number // 2}" for number in range(15)])


def evaluate(predictions: DataFrame) -> ExternalEvaluation:
    return evaluate_external_set(
        predictions, "site B", (make_contract(), "0123"), make_run_metrics(), make_evaluation()
    )


def test_metrics_are_on_answered_images_and_refusals_are_errors_beside_them() -> None:
    found = evaluate(make_predictions())
    assert found.counts == {"tn": 6, "fp": 1, "fn": 1, "tp": 4}
    assert found.answered["accuracy"].value == pytest.approx(10 / 12)
    assert found.answered["sensitivity"].value == pytest.approx(4 / 5)
    assert found.answered["specificity"].value == pytest.approx(6 / 7)
    assert found.answered["precision"].value == pytest.approx(4 / 5)
    # Of 35 pairs, 24 are in order, 6 + 4 are ties, and one is reversed.
    assert found.answered["auc"].value == pytest.approx((24 + 10 / 2) / 35)
    assert {name: (each.value, each.n) for name, each in found.refused_as_errors.items()} == {
        "accuracy": (10 / 14, 14),
        "sensitivity": (4 / 6, 6),
        "specificity": (6 / 8, 8),
    }
    assert found.refused_by_class == {"not_frontal_chest": {"NORMAL": 1, "PNEUMONIA": 1}}
    fewer = evaluate(make_predictions().drop(index=13))
    assert fewer.refused_by_class == {"not_frontal_chest": {"NORMAL": 1, "PNEUMONIA": 0}}
    assert (found.num_images, found.num_unlabelled, found.num_patients) == (14, 1, 7)
    assert found.prevalence == 6 / 14
    assert found.batch.num_files == 15


def test_the_same_metrics_stand_beside_it_from_the_internal_test() -> None:
    found = evaluate(make_predictions())
    assert list(found.answered) == list(found.internal) == list(list_internal(make_run_metrics()))
    assert found.internal["auc"] == make_run_metrics().test.auc
    assert all(each.n == 12 for name, each in found.answered.items() if name in ("auc", "brier", "slope", "mcc"))


def test_without_an_answer_for_one_class_there_are_no_metrics() -> None:
    predictions = make_predictions()
    with pytest.raises(InputError, match=r"of one class alone \(label: images \{0: 7\}\) of 14 labelled ones"):
        evaluate(predictions.assign(decision=predictions["decision"].where(predictions["label"] != 1)))
