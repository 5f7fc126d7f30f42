"""How what the catalog holds becomes a table that people read."""

from typing import Any

from chest_xray.types import DataFrame

FIGURES = ("value", "low", "high")


def as_it_is(table: DataFrame) -> DataFrame:
    """Leave a table as the catalog has it."""
    return table


def pair_subsets(metrics_table: DataFrame) -> DataFrame:
    """Put validation and test of the same metric side by side.

    Args:
        metrics_table: One row a metric and subset: `subset`, `n`, `value`, `low`, `high`, and what tells metrics apart.

    Returns:
        One row a metric, in the order of the table; in the column of each subset a dict of `value`, `low`, `high`, `n`.
    """
    import pandas as pd

    keys = [name for name in metrics_table.columns if name not in ("subset", "n", *FIGURES)]
    rows: dict[tuple[str, ...], dict[str, Any]] = {}
    for record in metrics_table.to_dict("records"):
        row = rows.setdefault(tuple(str(record[key]) for key in keys), {key: record[key] for key in keys})
        row[record["subset"]] = {name: record[name] for name in ("n", *FIGURES)}
    return pd.DataFrame(list(rows.values()))


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
        joined[name] = [{bound: row[column] for bound, column in bounds.items()} for row in table.to_dict("records")]
        joined = joined.drop(columns=[bounds["low"], bounds["high"]])
    return joined
