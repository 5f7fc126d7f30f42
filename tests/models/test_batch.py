"""A batch is counted whole, and compared with the validation images by those that could be read."""

import pandas as pd

from chest_xray.core.types import DataFrame
from chest_xray.models.batch import summarise_batch
from chest_xray.models.inference import Prediction
from tests.builders import make_contract, make_point, with_band


def tabulate(*predictions: Prediction) -> DataFrame:
    return pd.DataFrame(predictions)


READ = Prediction(0.75, "PNEUMONIA", None, "", 1.0, 90, 50, 0.5, 300, 200)
UNLIKE = Prediction.refuse("not_frontal_chest", "an OOD score of 9", 9.0)._replace(
    brightness=90, grey_deviation=50, sharpness=0.5, width=300, height=200
)
EMPTY = Prediction.refuse("empty", "zero bytes")


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
