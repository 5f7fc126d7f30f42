"""The table of metrics: a row per metric, with the metadata baseline, validation and the gap beside those of test."""

import pandas as pd
import pytest

from chest_xray.metrics.metadata_baseline import evaluate_metadata_baseline, score_metadata
from chest_xray.metrics.results import MetadataMetrics, Metrics
from chest_xray.pipelines.evaluation.nodes import compute_metrics
from chest_xray.reporting.tables import build_metrics_table
from tests.builders import make_evaluation, make_metadata_baseline, make_point, make_predictions

# On test the rule calls what is at most 300 pixels wide: two of three PNEUMONIA and one of two NORMAL.
WIDTHS = [200, 400, 300, 250, 500]


def make_tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    validation = make_predictions([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    test = make_predictions([0, 0, 1, 1, 1], [0.2, 0.7, 0.3, 0.6, 0.9]).assign(width=WIDTHS)
    return validation, test


def make_both(threshold: float = 0.35) -> tuple[Metrics, MetadataMetrics]:
    validation, test = make_tables()
    metrics = compute_metrics(validation, test, make_point(threshold), make_evaluation())
    score = score_metadata(test, test)
    return metrics, evaluate_metadata_baseline(test, make_metadata_baseline(), score, metrics, make_evaluation())


def test_the_metadata_baseline_is_evaluated_like_the_network() -> None:
    _, header = make_both()
    point = header.at_rule
    assert (header.feature, header.direction, point.threshold) == ("width", "at most", 300)
    assert [point.tn, point.fp, point.fn, point.tp] == [1, 1, 1, 2]
    assert point.sensitivity.value == 2 / 3
    # Lower is likelier PNEUMONIA: 300 and 250 are below one NORMAL height of two each, 500 below none.
    assert header.auc.value == pytest.approx(2 / 6)
    assert {each.by for each in header.strata} == {"aetiology", "aspect", "size"}


def test_the_network_is_held_against_the_rule_on_the_same_images() -> None:
    metrics, header = make_both()
    for name in ("accuracy", "sensitivity", "specificity", "balanced_accuracy"):
        of_network, of_rule = (getattr(each, name).value for each in (metrics.test.at_chosen, header.at_rule))
        assert getattr(header.difference, name).value == pytest.approx(of_network - of_rule)
    assert header.difference.auc.value == pytest.approx(metrics.test.auc.finite_value - 2 / 6)


def test_a_rule_that_decides_as_the_network_does_differs_from_it_by_nothing() -> None:
    validation, test = make_tables()
    test = test.assign(width=(1000 * (1 - test["probability"])).astype(int))
    metrics = compute_metrics(validation, test, make_point(0.65), make_evaluation())
    rule = make_metadata_baseline(threshold=350)
    header = evaluate_metadata_baseline(test, rule, score_metadata(test, test), metrics, make_evaluation())
    assert all((each.low, each.value, each.high) == (0, 0, 0) for _, each in header.difference)


def test_a_rule_for_large_values_is_reversed() -> None:
    _, test = make_tables()
    metrics, _ = make_both()
    rule = make_metadata_baseline(direction="at least")
    header = evaluate_metadata_baseline(test, rule, score_metadata(test, test), metrics, make_evaluation())
    point = header.at_rule
    assert [point.tn, point.fp, point.fn, point.tp] == [1, 1, 1, 2]  # 400 NORMAL; 300 and 500
    assert header.auc.value == pytest.approx(4 / 6)


def test_the_table_has_a_row_for_each_figure_point_stratum_and_subset() -> None:
    table = build_metrics_table(*make_both())
    assert table.columns.tolist() == [
        *("metric", "point", "decides", "threshold", "subset", "stratum", "n", "value", "low", "high"),
        *("metadata_baseline", "validation", "gap", "gap_low", "gap_high", "note"),
    ]
    assert not table.duplicated(["metric", "point", "subset", "stratum"]).any()
    whole = table[(table["stratum"] == "all") & (table["subset"] == "test")]
    assert whole["metric"].tolist()[:13] == [
        *("prevalence", "loss", "auc", "pr_auc", "log_loss", "brier", "ece", "calibration_slope"),
        *("calibration_intercept", "ece_by_chance", "shift_of_prevalence", "brier_unmoved", "ece_unmoved"),
    ]
    for at, threshold in (("at_half", 0.5), ("balanced", 0.35), ("sensitivity", 0.25), ("specificity", 0.25)):
        rows = whole[whole["point"] == at]
        assert len(rows) == 12
        assert rows["threshold"].tolist() == pytest.approx([threshold] * 12)
        assert set(rows["decides"]) == {at == "balanced"}


def one(table: pd.DataFrame, metric: str, point: str | None = "balanced", subset: str = "test") -> pd.Series:
    at = table["point"].isna() if point is None else table["point"] == point
    (place,) = table.index[(table["metric"] == metric) & at & (table["subset"] == subset) & (table["stratum"] == "all")]
    return table.loc[place]


def test_a_row_of_test_has_the_metadata_baseline_validation_and_the_gap_beside_it() -> None:
    metrics, header = make_both()
    table = build_metrics_table(metrics, header)
    row = one(table, "sensitivity")
    assert (row["n"], row["value"], row["metadata_baseline"], row["validation"]) == pytest.approx((3, 2 / 3, 2 / 3, 1))
    assert row["gap"] == pytest.approx(-1 / 3)
    assert (
        row["gap_low"] == metrics.gap.at_chosen.sensitivity.low
    )  # Not rounded: it would be rounded again when printed.
    area = one(table, "auc", None)
    assert (area["value"], area["metadata_baseline"], area["validation"]) == pytest.approx((2 / 3, 1 / 3, 0.75))
    brier = one(table, "brier", None)
    assert pd.isna(brier["metadata_baseline"])  # a rule gives no probability
    assert brier["gap"] == metrics.gap.calibration.brier.finite_value
    beside = ["metadata_baseline", "validation", "gap", "gap_low", "gap_high"]
    assert table.loc[table["subset"] == "validation", beside].isna().all(axis=None)


def test_strata_follow_with_their_threshold_and_without_a_gap() -> None:
    table = build_metrics_table(*make_both())
    strata = table[(table["stratum"] != "all") & (table["subset"] == "test")]
    assert set(strata["stratum"].str.split().str[0]) == {"aetiology", "aspect", "size"}
    assert strata["gap"].isna().all()
    assert set(strata.loc[strata["metric"] != "auc", "threshold"].round(9)) == {0.35}
    bacterial = strata[strata["stratum"] == "aetiology bacterial"]
    assert bacterial["metric"].tolist() == ["sensitivity", "auc"]  # specificity is not that of an aetiology


def test_a_figure_that_does_not_exist_is_an_empty_cell_with_the_reason_beside_it() -> None:
    row = one(build_metrics_table(*make_both(threshold=0.99)), "precision")
    assert row["n"] == 0
    assert row[["value", "low", "high"]].isna().all()
    assert row["note"] == "no image is classified as PNEUMONIA"


def test_an_interval_without_an_end_is_reported_and_nothing_of_a_whole_one() -> None:
    table = build_metrics_table(*make_both())
    open_end = table[table["value"].notna() & (table["metric"] == "lr_positive") & table["high"].isna()]
    assert len(open_end)
    assert (open_end["note"].str.startswith("unbounded")).all()
    assert one(table, "accuracy")["note"] == ""
    assert one(table, "prevalence", None)["note"] == ""
