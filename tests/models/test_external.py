"""The external evaluation counts answers, refusals and patients; numbers are worked by hand."""

import pandas as pd
import pytest

from chest_xray.core.types import DataFrame, InputError
from chest_xray.models.external import ExternalEvaluation, evaluate_external_set, list_internal
from chest_xray.models.inference import Prediction
from tests.builders import make_contract, make_evaluation, make_run_metrics

SICK = Prediction(0.9, "PNEUMONIA", None, "", 1.0, 90, 50, 0.5, 300, 200)
WELL = SICK._replace(probability=0.1, decision="NORMAL")
REFUSED = Prediction.refuse("not_frontal_chest", "far")._replace(
    brightness=90, grey_deviation=50, sharpness=0.5, width=300, height=200
)


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
