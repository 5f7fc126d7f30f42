"""The types of the metrics: their JSON, in order, and what is read back from it."""

import json
from typing import Any

import pytest

from chest_xray.images.audit import AuditSummary
from chest_xray.metrics.results import Interval, MetadataMetrics, Metrics, Stratum
from tests.builders import NONE, interval, make_metadata_metrics, make_run_metrics, make_stratum
from tests.reporting.inputs import AUDIT

RATES = [
    *("accuracy", "sensitivity", "specificity", "precision", "npv", "balanced_accuracy", "ppv_realistic"),
    *("npv_realistic", "f1", "mcc", "lr_positive", "lr_negative"),
]
BESIDE = ["ece_by_chance", "shift_of_prevalence", "brier_unmoved", "ece_unmoved"]
RULES = ["balanced", "sensitivity", "specificity"]
DECISIONS = ["threshold", "log_odds", "tn", "fp", "fn", "tp", *RATES]
CALIBRATION = ["log_loss", "brier", "ece", "slope", "intercept"]


def dump(result: Any) -> Any:
    """The result as its file holds it."""
    return json.loads(json.dumps(result.model_dump(mode="json"), allow_nan=False))


def test_the_json_of_metrics_has_these_keys_in_this_order() -> None:
    plain = dump(make_run_metrics(strata=[make_stratum("< 1")]))
    assert list(plain) == [
        *("schema_version", "run", "operating_point", "realistic_prevalence", "strata_cuts"),
        *("validation", "test", "gap", "dependence"),
    ]
    assert list(plain["operating_point"]) == ["run", "rule", "points", "calibration", "band"]
    assert list(plain["operating_point"]["points"]) == RULES
    for part in (plain["validation"], plain["test"]):
        assert list(part) == [
            *("rule", "at_half", "points"),
            *("num_images", "num_groups", "prevalence", "loss", "auc", "pr_auc", "calibration"),
            *("sensitivity_by_aetiology", "strata"),
        ]
        assert list(part["auc"]) == ["value", "low", "high", "method", "n"]
        assert list(part["calibration"]) == [*CALIBRATION, *BESIDE]
        assert list(part["at_half"]) == DECISIONS
        assert {rule: list(each) for rule, each in part["points"].items()} == dict.fromkeys(RULES, DECISIONS)
        assert list(part["strata"][0]) == [
            *("by", "name", "low", "high", "num_images", "num_normal", "num_pneumonia", "tn", "fp", "fn", "tp"),
            *("sensitivity", "specificity", "auc"),
        ]
    gap = plain["gap"]
    assert list(gap) == ["rule", "at_half", "points", "auc", "pr_auc", "calibration"]
    assert list(gap["auc"]) == ["value", "low", "high", "method"]
    assert list(gap["calibration"]) == CALIBRATION
    assert list(gap["at_half"]) == RATES
    assert {rule: list(each) for rule, each in gap["points"].items()} == dict.fromkeys(RULES, RATES)


def test_the_json_of_the_metadata_baseline_has_these_keys_in_this_order() -> None:
    plain = dump(make_metadata_metrics())
    assert list(plain) == ["feature", "direction", "auc", "pr_auc", "at_rule", "strata", "difference", "shortcuts"]
    assert list(plain["at_rule"]) == DECISIONS
    assert list(plain["difference"]) == [
        *("auc", "pr_auc", "accuracy", "balanced_accuracy", "sensitivity", "specificity")
    ]


@pytest.mark.parametrize(
    "result",
    [make_run_metrics(strata=[make_stratum("< 1", auc=NONE)]), make_metadata_metrics(), AuditSummary(**AUDIT)],
    ids=["metrics", "metadata_metrics", "audit"],
)
def test_what_is_written_is_read_back(result: Metrics | MetadataMetrics | AuditSummary) -> None:
    assert type(result).model_validate(dump(result)) == result


def test_the_names_of_counts_in_version_3_are_read() -> None:
    result = make_stratum("< 1")
    plain = dump(result)
    plain |= {"num_healthy": plain.pop("num_normal"), "num_diseased": plain.pop("num_pneumonia")}
    assert Stratum.model_validate(plain) == result


def test_the_audit_keeps_its_keys() -> None:
    plain = dump(AuditSummary(**AUDIT))
    assert plain == AUDIT
    assert list(plain) == [
        "counts",
        "groups",
        "unknown_patients",
        "duplicates",
        "modes",
        "shift",
        "quarantine",
        "published",
    ]
    assert list(plain["counts"][0]) == ["subset", "class", "aetiology", "images", "groups", "share"]


def test_a_value_that_could_not_be_computed_is_not_a_number() -> None:
    assert interval(0.1, 0.2, 0.3).finite_value == 0.2
    with pytest.raises(ValueError, match="received a metric without a value; expected one"):
        _ = NONE.finite_value
    with pytest.raises(ValueError, match="finite number"):
        Interval(value=float("nan"), low=None, high=None)
