"""The verdict: what an interval must exceed, on both sides of each limit."""

import numpy as np
import pytest
from scipy.stats import fisher_exact

from chest_xray.metrics.results import Interval, MetadataMetrics, Metrics
from chest_xray.reporting.i18n import Finding
from chest_xray.reporting.report_contents import Report, read_options
from chest_xray.reporting.report_findings import assess_augmentation, assess_run, describe_data, describe_test_looks
from tests.builders import changed, interval, make_metadata_baseline, make_metadata_metrics, make_run_metrics
from tests.reporting.inputs import AUDIT, make_evidence

BEATEN = make_metadata_metrics(interval(0.01, 0.05, 0.1))


def verdicts(metrics: Metrics, metadata_metrics: MetadataMetrics = BEATEN) -> dict[str, tuple[str, str]]:
    """Tone and key by topic."""
    return {each.topic: (each.tone, each.finding.key) for each in assess_run(metrics, metadata_metrics)}


@pytest.mark.parametrize(
    ("accuracy", "tone"),
    [
        (interval(0.801, 0.85, 0.9), "good"),
        (interval(0.80, 0.85, 0.9), "unsure"),
        (interval(0.75, 0.801, 0.9), "unsure"),
        (interval(0.75, 0.80, 0.9), "bad"),
    ],
)
def test_the_required_accuracy_is_reached_by_the_whole_interval_by_the_value_or_not(
    accuracy: Interval, tone: str
) -> None:
    found = verdicts(make_run_metrics(accuracy=accuracy))
    assert found["asked"] == (tone, f"asked_{tone}")
    assert found["baseline"] == ("good", "baseline_good")
    assert found["whole"] == (tone, f"verdict_{tone}")


@pytest.mark.parametrize(
    ("difference", "tone"),
    [
        (interval(0.001, 0.05, 0.1), "good"),
        (interval(0.0, 0.05, 0.1), "unsure"),
        (interval(-0.05, 0.0, 0.05), "unsure"),
        (interval(-0.1, -0.05, 0.0), "unsure"),
        (interval(-0.1, -0.05, -0.01), "bad"),
    ],
)
def test_the_rule_on_the_file_is_beaten_by_the_whole_interval_of_the_difference_by_its_value_or_not(
    difference: Interval, tone: str
) -> None:
    found = verdicts(make_run_metrics(), make_metadata_metrics(difference))
    assert found["baseline"] == (tone, f"baseline_{tone}")
    assert found["asked"] == ("good", "asked_good")
    assert found["whole"] == (tone, f"verdict_{tone}")


def test_the_difference_is_reported_in_points_beside_the_values_of_both() -> None:
    (found,) = [each.finding for each in assess_run(make_run_metrics(), BEATEN) if each.topic == "baseline"]
    assert found.values["difference"].model_dump() == {
        **{"value": 5.0, "low": 1.0, "high": 10.0},
        **{"method": None, "n": 100},
    }
    assert (found.values["feature"], found.values["baseline"].value) == ("width", 0.8)


def test_one_missed_mark_makes_the_summary_bad() -> None:
    unsure = make_run_metrics(accuracy=interval(0.75, 0.85, 0.9))
    found = verdicts(unsure, make_metadata_metrics(interval(-0.1, -0.05, -0.01)))
    assert (found["asked"][0], found["baseline"][0], found["whole"][0]) == ("unsure", "bad", "bad")


@pytest.mark.parametrize(
    ("sensitivity", "specificity", "expected"),
    [
        (interval(0.9, 0.95, 0.97), interval(0.8, 0.85, 0.899), ("bad", "weak_on_normal")),
        (interval(0.9, 0.95, 0.97), interval(0.8, 0.85, 0.9), ("unsure", "weak_on_neither")),
        (interval(0.8, 0.85, 0.899), interval(0.9, 0.95, 0.97), ("bad", "weak_on_pneumonia")),
        (interval(0.8, 0.85, 0.9), interval(0.9, 0.95, 0.97), ("unsure", "weak_on_neither")),
    ],
)
def test_a_kind_of_error_is_named_as_a_weakness_where_the_intervals_do_not_meet(
    sensitivity: Interval, specificity: Interval, expected: tuple[str, str]
) -> None:
    metrics = make_run_metrics(sensitivity=sensitivity, specificity=specificity)
    assert verdicts(metrics)["errors"] == expected


def test_a_network_without_an_error_has_no_weakness() -> None:
    metrics = changed(make_run_metrics(), "test.points.balanced", fn=0, fp=0)
    assert verdicts(metrics)["errors"] == ("good", "no_errors")


def test_the_flow_of_images_is_counted_from_file_to_subset() -> None:
    counts = [
        {"subset": subset, "class": name, "aetiology": aetiology, "images": images, "groups": 1, "share": 0.1}
        for subset, name, aetiology, images in (
            *(("train", "NORMAL", "none", 7), ("train", "PNEUMONIA", "viral", 9), ("validation", "NORMAL", "none", 3)),
            *(("test", "NORMAL", "none", 4), ("test", "PNEUMONIA", "viral", 5), ("test", "PNEUMONIA", "bacterial", 6)),
        )
    ]
    evidence = make_evidence(audit={**AUDIT, "counts": counts, "quarantine": {"files": 2, "reasons": {}}})
    (found,) = [each for each in describe_data(read_options(evidence)) if each.key == "audit_flow"]
    assert found.values == {
        **{"found": 36, "excluded": 2, "train": 16, "validation": 3, "test": 15},
        **{"test_normal": 4, "test_pneumonia": 11},
    }


def describe_header(sensitivity: float, specificity: float) -> Finding:
    """What is said of a rule on 60 PNEUMONIA and 40 NORMAL test images."""
    evidence = make_evidence(metadata_baseline=make_metadata_baseline(specificity, sensitivity).model_dump())
    (found,) = [each for each in describe_data(read_options(evidence)) if "baseline" in each.key]
    return found


@pytest.mark.parametrize(
    ("sensitivity", "specificity", "key"),
    [
        (0.7, 0.5, "audit_baseline_nothing"),  # accuracy 0.62, and above the larger class: p = 0.06
        (0.7, 0.525, "audit_baseline"),  # p = 0.03
        (0.3, 0.475, "audit_baseline_nothing"),  # as far from chance, the wrong way round
        (1.0, 0.0, "audit_baseline_nothing"),  # every image is positive
    ],
)
def test_the_file_separates_the_classes_where_fishers_test_shows_it(
    sensitivity: float, specificity: float, key: str
) -> None:
    found = describe_header(sensitivity, specificity)
    assert found.key == key
    counts = [
        [round(40 * specificity), round(40 * (1 - specificity))],
        [round(60 * (1 - sensitivity)), round(60 * sensitivity)],
    ]
    assert found.values["p"] == pytest.approx(fisher_exact(np.array(counts)).pvalue)


def test_validation_is_reported_where_the_gap_is_shown() -> None:
    assert "validation" not in verdicts(make_run_metrics(gap={"balanced_accuracy": interval(-0.1, -0.05, 0.0)}))
    found = verdicts(make_run_metrics(gap={"balanced_accuracy": interval(-0.1, -0.05, -0.001)}))
    assert found["validation"] == ("bad", "verdict_flatters")


@pytest.mark.parametrize(
    ("key", "tone"),
    [
        *(("augmentation_helps", "good"), ("augmentation_hurts", "bad")),
        *(("augmentation_mixed", "unsure"), ("no_difference_shown", "unsure")),
    ],
)
def test_the_augmentation_row_has_the_tone_of_its_answer(key: str, tone: str) -> None:
    verdict = assess_augmentation(Finding(key, {}))
    assert (verdict.topic, verdict.tone, verdict.finding.key) == ("augmentation", tone, key)


def test_looks_at_test_are_counted_and_widen_the_interval_of_accuracy() -> None:
    metrics = make_run_metrics()  # 90 of 100 images
    report = Report(synthetic=False, data_licence="", num_test_looks=5)
    (found,) = describe_test_looks(metrics, report)
    assert found.key == "test_looks"
    assert (found.values["looks"], found.values["confidence"]) == (5, pytest.approx(0.99))
    given, widened = metrics.test.at_chosen.accuracy, found.values["accuracy"]
    # Normal quantiles of 0.995 and 0.975: 2.5758 / 1.9600 = 1.3142.
    assert given.low is not None
    assert given.high is not None
    assert widened.finite_value - widened.low == pytest.approx(1.3142 * (given.finite_value - given.low), rel=1e-3)
    assert widened.high == pytest.approx(
        min(1, given.finite_value + 1.3142 * (given.high - given.finite_value)), rel=1e-3
    )
    (once,) = describe_test_looks(metrics, report.model_copy(update={"num_test_looks": 1}))
    assert (once.values["accuracy"].low, once.values["accuracy"].high) == pytest.approx((given.low, given.high))


@pytest.mark.parametrize(("synthetic", "looks"), [(True, 5), (False, None)])
def test_phantoms_and_installed_packages_have_no_looks_to_count(synthetic: bool, looks: int | None) -> None:
    report = Report(synthetic=synthetic, data_licence="", num_test_looks=looks)
    found = describe_test_looks(make_run_metrics(), report)
    assert [each.key for each in found] == ["protocol_test"]
