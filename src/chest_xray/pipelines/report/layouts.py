"""How what the catalog holds becomes a table that people read."""

from typing import Any

from chest_xray.core.types import DataFrame, Series

SHOWN = ["metric", "point", "threshold"]


def as_it_is(table: DataFrame) -> DataFrame:
    """Leave a table as the catalog has it."""
    return table


def list_figures(metrics_table: DataFrame) -> DataFrame:
    """Give one row a figure over all test images.

    Args:
        metrics_table: From `chest_xray.reporting.tables.lay_out_metrics`.

    Returns:
        `metric`, `point`, `threshold`, `test` and `gap` (dicts of `value`, `low`, `high`), `header_rule`, `validation`,
        and where it is needed `note`.
    """
    table = _of_test(metrics_table)
    table = table[table["stratum"] == "all"].fillna({"note": ""})
    gap = _join(table, {"value": "gap", "low": "gap_low", "high": "gap_high"})
    shown = table.assign(gap=gap)[[*SHOWN, "test", "validation", "gap", "header_rule", "note"]]
    return shown if shown["note"].any() else shown.drop(columns="note")


def list_strata(metrics_table: DataFrame) -> DataFrame:
    """Give one row a figure of each stratum of test: `by`, `range`, `metric`, `test`, and `header_rule`."""
    table = _of_test(metrics_table)
    table = table[table["stratum"] != "all"]
    parts = table["stratum"].str.partition(" ")
    return table.assign(by=parts[0], range=parts[2])[["by", "range", "metric", "test", "header_rule"]]


def _of_test(metrics_table: DataFrame) -> DataFrame:
    table = metrics_table[metrics_table["subset"] == "test"]
    figures = _join(table, {name: name for name in ("value", "low", "high", "n")})
    return table.assign(test=figures, point=table["point"].fillna(""))


def list_conditions(shift_metrics: dict[str, Any]) -> DataFrame:
    """Give one row a condition of validation under shift."""
    import pandas as pd

    return pd.DataFrame(shift_metrics["conditions"])


def list_header_rules(header_rule: dict[str, Any]) -> DataFrame:
    """Give one row a feature of the file's header: the rule, and its scores on test."""
    import pandas as pd

    rows = [
        {"feature": feature, "direction": rule["direction"], "threshold": rule["threshold"], "unit": rule["unit"]}
        | {name: rule["test"][name] for name in ("accuracy", "sensitivity", "specificity", "auc")}
        for feature, rule in header_rule.items()
    ]
    return pd.DataFrame(rows)


def join_intervals(table: DataFrame) -> DataFrame:
    """Put each figure and its interval into one column.

    Args:
        table: Beside a column `x` those of its interval, `x_low` and `x_high`. A column `run` names the same run
            throughout and is left out.
    """
    joined = table.drop(columns=["run"], errors="ignore")
    for name in [each for each in table.columns if f"{each}_low" in table.columns]:
        bounds = {"value": name, "low": f"{name}_low", "high": f"{name}_high"}
        joined = joined.assign(**{name: _join(table, bounds)}).drop(columns=[bounds["low"], bounds["high"]])
    return joined


def _join(table: DataFrame, columns: dict[str, str]) -> Series:
    """Put columns into one, a dict a row."""
    import pandas as pd

    rows = table[list(columns.values())].set_axis(list(columns), axis=1).to_dict("records")
    return pd.Series(rows, index=table.index, dtype=object)
