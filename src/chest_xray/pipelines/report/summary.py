"""The first table of the page: each run beside the rule that reads no pixel."""

from collections.abc import Mapping
from typing import Any

from chest_xray.pipelines.evaluation.conclusions import best_on_train
from chest_xray.types import DataFrame
from chest_xray.wording import say_given

ON_TEST = ("accuracy", "sensitivity", "specificity")


def summarise_runs(
    runs: Mapping[str, Mapping[str, Any]], header_rule: dict[str, Any], words: Mapping[str, Any]
) -> DataFrame:
    """Put the main figures of every run beside those of the header rule.

    Args:
        runs: `metrics` and `shift_metrics` of each run.
        header_rule: Scores of the rules that read no pixel.
        words: Of the language; they name the rows' metrics.

    Returns:
        One row a metric: `metric`, one column a run, `header_rule`; figures as dicts of `value`, `low`, `high`.
    """
    import pandas as pd

    rule = header_rule[best_on_train(header_rule)]["test"]
    columns: dict[str, list[Any]] = {"metric": [_name(key, words) for key in (*ON_TEST, "auc", "validation", "worst")]}
    for run in runs.values():
        columns[say_given(run["metrics"]["run"], words)] = _figures(run["metrics"], run["shift_metrics"])
    columns["header_rule"] = [*(rule[name] for name in (*ON_TEST, "auc")), None, None]
    return pd.DataFrame(columns, dtype=object)


def _figures(metrics: dict[str, Any], shift_metrics: dict[str, Any]) -> list[Any]:
    point = metrics["test"]["at_chosen"]
    on_test = [point[name] for name in ON_TEST]
    return [
        *on_test,
        metrics["test"]["auc"],
        metrics["validation"]["at_chosen"]["accuracy"],
        shift_metrics["worst_auc"],
    ]


def _name(key: str, words: Mapping[str, Any]) -> str:
    return str(words["summary_rows"][key])
