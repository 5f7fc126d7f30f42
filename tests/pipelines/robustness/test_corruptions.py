"""Each condition is evaluated separately, and plotted against the uncorrupted images."""

import numpy as np
import pandas as pd
import pytest

from chest_xray.images.corruptions import Robustness
from chest_xray.metrics.bootstrap import draw_resamples
from chest_xray.metrics.summary import bootstrap_auc
from chest_xray.pipelines.robustness.nodes import measure_robustness, predict_corrupted_test
from chest_xray.reporting.i18n import languages, read_messages
from chest_xray.reporting.image_figures import draw_robustness
from chest_xray.reporting.style import Labels
from tests.builders import TITLE, axes_of, make_evaluation, make_point, make_predictions, make_split
from tests.pipelines.evaluation.test_nodes import make_graded_pixels, make_grey_reader

LABELS = [0, 0, 1, 1, 1]
SCORES = {
    ("none", 0.0): [0.1, 0.2, 0.6, 0.7, 0.9],
    ("blur", 1.0): [0.1, 0.6, 0.55, 0.7, 0.9],
    ("blur", 3.0): [0.8, 0.9, 0.1, 0.2, 0.3],
    ("jpeg", 5.0): [0.1, 0.2, 0.3, 0.4, 0.5],
}


def make_altered() -> pd.DataFrame:
    parts = [
        make_predictions(LABELS, scores).assign(kind=kind, strength=strength)
        for (kind, strength), scores in SCORES.items()
    ]
    # As in the list, all conditions of an image are adjacent.
    return pd.concat(parts).sort_index(kind="stable").reset_index(drop=True)


def make_table() -> pd.DataFrame:
    return measure_robustness(make_altered(), make_point(0.5), make_evaluation(seed=1))


def test_corrupted_images_are_scored_row_by_row() -> None:
    others = ("noise", "contrast", "gamma", "jpeg", "tilt", "crop", "collimation")
    corruptions = Robustness.model_validate({"seed": 1, "blur": [1.0]} | dict.fromkeys(others, ()))
    pixels = make_graded_pixels()[[4, 8]]
    scored = predict_corrupted_test(make_grey_reader(4, 0.5), pixels, make_split([1], "test"), corruptions)
    np.testing.assert_allclose(scored["logit"], 4 * (np.array([100, 200]) / 255 - 0.5), rtol=1e-5)
    assert scored["kind"].tolist() == ["none", "blur"]


def test_each_condition_has_a_row_with_metrics_worked_by_hand() -> None:
    table = make_table()
    assert list(zip(table["kind"], table["strength"], strict=True)) == list(SCORES)
    assert set(table["run"]) == {TITLE}
    assert table["n"].tolist() == [5] * 4
    assert table["threshold"].tolist() == [0.5] * 4
    # At 0.5: all correct; one false positive; all wrong; one of three PNEUMONIA images detected.
    assert table["accuracy"].tolist() == [1.0, 0.8, 0.0, 0.6]
    assert table["sensitivity"].tolist() == [1.0, 1.0, 0.0, 1 / 3]  # not rounded, as it will be when it is printed
    assert table["specificity"].tolist() == [1.0, 0.5, 0.0, 1.0]
    assert table["auc"].tolist() == pytest.approx(
        [1.0, 5 / 6, 0.0, 1.0]
    )  # one of six pairs in the wrong order; all of them; none
    # Wilson for 4 of 5, 0.3755 to 0.9638, is narrower than the bootstrap; for 0 of 5, 0 to 0.4345, it is the widest.
    assert table["accuracy_high"][1] - table["accuracy_low"][1] > 0.9638 - 0.3755
    assert (table["accuracy_low"][2], table["accuracy_high"][2]) == pytest.approx((0, 0.4345), abs=5e-5)
    assert table["accuracy_change"].tolist()[1:] == pytest.approx([-0.2, -1.0, -0.4])
    assert table["auc_change"].tolist()[1:] == pytest.approx([-1 / 6, -1.0, 0.0])


def test_the_interval_of_the_auc_is_the_wider_of_those_over_patients_and_blocks() -> None:
    part = make_predictions(LABELS, SCORES["blur", 1.0])
    expected = bootstrap_auc(part, draw_resamples(part, 20, 1))
    row = make_table().iloc[1]
    bounds = (expected.value, expected.low, expected.high)
    assert (row["auc"], row["auc_low"], row["auc_high"]) == pytest.approx(bounds)


def test_the_figure_has_one_panel_per_kind_with_paired_changes_in_points_and_their_intervals() -> None:
    table = make_table()
    figure = draw_robustness(table, Labels("phantoms"))
    assert figure.get_supxlabel() == "Data: phantoms"
    panels = [place for place in axes_of(figure) if place.get_visible()]
    assert [place.get_title() for place in panels] == ["blur", "JPEG"]
    assert [place.get_xlabel() for place in panels] == ["standard deviation, px of 256", "quality"]
    assert [text.get_text() for text in panels[0].get_xticklabels()] == ["1", "3"]
    blurred = table[table["kind"] == "blur"]
    for container, name in zip(panels[0].containers, ("accuracy", "auc"), strict=True):
        value, _, (interval,) = container.lines
        assert value.get_ydata().tolist() == pytest.approx((100 * blurred[f"{name}_change"]).tolist())
        ends = [segment[:, 1].tolist() for segment in interval.get_segments()]
        bounds = 100 * blurred[[f"{name}_change_low", f"{name}_change_high"]].to_numpy()
        np.testing.assert_allclose(ends, bounds, atol=1e-9)
    (legend,) = figure.legends
    title = f"Corrupted minus unaltered, the same test images, {TITLE}: n = 5, paired 95% intervals"
    assert legend.get_title().get_text() == title
    assert [text.get_text() for text in legend.get_texts()] == ["accuracy (unaltered 1.000)", "AUC (unaltered 1.000)"]


@pytest.mark.parametrize("language", languages())
def test_every_kind_of_corruption_has_a_label_for_its_strength(language: str) -> None:
    labels = read_messages(language)["labels"]
    assert {f"strength_{kind}" for kind in set(Robustness.model_fields) - {"seed"}} <= set(labels)
