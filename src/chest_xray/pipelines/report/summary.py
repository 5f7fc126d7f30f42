"""The first table of the page: each run beside the rule that reads no pixel."""

from collections.abc import Mapping
from typing import Any

from chest_xray.core.types import DataFrame
from chest_xray.reporting.i18n import say_given

ON_TEST = ("accuracy", "sensitivity", "specificity")


def summarise_runs(runs: Mapping[str, Mapping[str, Any]], words: Mapping[str, Any]) -> DataFrame:
    """Put the main figures of every run beside those of the header rule.

    Args:
        runs: `metrics`, `header_metrics` and `shift_metrics` of each run; the rule is the same for all.
        words: Of the language; they name the rows' metrics.

    Returns:
        One row a metric: `metric`, one column a run, `header_rule`; figures as dicts of `value`, `low`, `high`.
    """
    import pandas as pd

    rule = list(runs.values())[-1]["header_metrics"]
    rows = words["summary_rows"]
    columns: dict[str, list[Any]] = {"metric": [rows[key] for key in (*ON_TEST, "auc", "validation", "worst")]}
    for run in runs.values():
        columns[say_given(run["metrics"]["run"], words)] = _figures(run["metrics"], run["shift_metrics"])
    columns["header_rule"] = [*(_bare(rule["at_rule"][name]) for name in ON_TEST), _bare(rule["auc"]), None, None]
    return pd.DataFrame(columns, dtype=object)


def _figures(metrics: dict[str, Any], shift_metrics: dict[str, Any]) -> list[Any]:
    point = metrics["test"]["at_chosen"]
    figures = [
        *(point[name] for name in ON_TEST),
        metrics["test"]["auc"],
        metrics["validation"]["at_chosen"]["accuracy"],
    ]
    return [*map(_bare, figures), shift_metrics["worst_auc"]]


def _bare(figure: dict[str, Any]) -> dict[str, Any]:
    """The figure without the number of images, which the caption tells."""
    return {bound: figure[bound] for bound in ("value", "low", "high")}
