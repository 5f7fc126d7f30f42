"""What is stated of the intervals and of runs of errors follows from the numbers."""

import pytest

from chest_xray.reporting.conclusions import describe_intervals
from chest_xray.reporting.i18n import Name
from tests.builders import changed, make_dependence, make_run_metrics


def describe(*p_values: float, num_runs: int = 8) -> list[str]:
    dependence = make_dependence(*p_values)
    runs = [each.model_copy(update={"num_runs": num_runs}) for each in dependence.runs]
    plain = {**dependence.model_dump(), "runs": [each.model_dump() for each in runs]}
    return [each.key for each in describe_intervals(changed(make_run_metrics(), "dependence", **plain))]


@pytest.mark.parametrize(
    ("p_values", "keys"),
    [
        ((0.049, 0.9), ["errors_in_runs"]),
        ((0.049, 0.001), ["errors_in_runs", "errors_in_runs"]),
        ((0.05, 0.9), ["errors_in_no_runs"]),
        ((), []),
    ],
)
def test_runs_are_stated_where_the_corrected_test_shows_them(p_values: tuple[float, ...], keys: list[str]) -> None:
    assert describe(*p_values) == ["widest_interval", *keys]


def test_errors_that_alternate_are_not_described_as_runs() -> None:
    assert describe(0.001, num_runs=30) == ["widest_interval", "errors_in_no_runs"]


def test_the_widest_interval_is_named_and_all_are_listed() -> None:
    first = next(iter(describe_intervals(make_run_metrics())))
    assert first.values["method"] == Name("over_blocks")
    assert (first.values["block_length"], first.values["patients"].low, first.values["blocks"].low) == (20, 0.89, 0.88)
