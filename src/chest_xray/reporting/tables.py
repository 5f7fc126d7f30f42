"""The metrics laid out for reading: one row a figure, the metadata baseline and validation beside it."""

from collections.abc import Iterator
from typing import Any

from chest_xray.core.types import DataFrame
from chest_xray.metrics.summary import POINTS
from chest_xray.reporting.i18n import read_words

COLUMNS = ["metric", "point", "threshold", "subset", "stratum", "n", "value", "low", "high"]
BESIDE = ["metadata_baseline", "validation", "gap", "gap_low", "gap_high", "note"]
Row = dict[str, Any]


def lay_out_metrics(metrics: dict[str, Any], metadata_metrics: dict[str, Any]) -> DataFrame:
    """Tabulate the metrics of one run.

    Args:
        metrics: From `compute_metrics`.
        metadata_metrics: From `measure_metadata_baseline`.

    Returns:
        One row a figure: `metric`; `point` (at_half, at_chosen, at_other) and `threshold` of decisions; `subset`;
        `stratum` ("all", or such as "aspect ≥ 1.50"); `n` (images that it is a share or figure of); `value`, `low`,
        `high` (95% interval). On test besides: `metadata_baseline`, the value of the baseline; `validation`;
        `gap` (test minus validation) with `gap_low` and `gap_high`. `note` says why a value is missing. Rounded to four
        places.
    """
    import pandas as pd

    reasons = read_words("en")["missing"]
    rows = [{**row, "subset": subset} for subset in ("validation", "test") for row in _rows(metrics[subset])]
    validation = {_place(row): row["value"] for row in rows if row["subset"] == "validation"}
    header = {_place(row): row["value"] for row in _header_rows(metadata_metrics)}
    for row in rows:
        row["note"] = _note(row, reasons)
        if row["subset"] == "test":
            gap = _gap(metrics["gap"], row)
            row |= {"metadata_baseline": header.get(_place(row)), "validation": validation.get(_place(row))}
            row |= {"gap": gap.get("value"), "gap_low": gap.get("low"), "gap_high": gap.get("high")}
    table = pd.DataFrame(rows, columns=COLUMNS + BESIDE)
    numbers = ["threshold", "value", "low", "high", *BESIDE[:-1]]
    names = {name: f"calibration_{name}" for name in ("slope", "intercept")}
    return table.assign(metric=table["metric"].replace(names), **table[numbers].astype(float).round(4))


def _note(row: Row, reasons: dict[str, str]) -> str:
    """Why a value, or an end of its interval, is missing."""
    if row["value"] is None:
        return reasons[row["metric"]]
    return reasons["interval"] if None in (row.get("low", 0), row.get("high", 0)) else ""


def _place(row: Row) -> tuple[Any, ...]:
    return row["metric"], row.get("point"), row["stratum"]


def _rows(part: dict[str, Any]) -> Iterator[Row]:
    whole = {"stratum": "all", "n": part["num_images"]}
    for name in ("prevalence", "loss"):
        yield {**whole, "metric": name, "value": part[name]}
    for name in ("auc", "pr_auc"):
        yield {**whole, "metric": name, **part[name]}
    for name, figure in part["calibration"].items():
        yield {**whole, "metric": name, **(figure if isinstance(figure, dict) else {"value": figure})}
    for at in POINTS:
        yield from _of_decisions(part[at], at)
    yield from _of_strata(part["strata"], part["at_chosen"]["threshold"])


def _of_decisions(point: dict[str, Any], at: str) -> Iterator[Row]:
    for name, figure in point.items():
        if isinstance(figure, dict):
            yield {"metric": name, "point": at, "threshold": point["threshold"], "stratum": "all", **figure}


def _of_strata(strata: list[dict[str, Any]], threshold: float) -> Iterator[Row]:
    decided = {"point": "at_chosen", "threshold": threshold}
    for each in strata:
        for name in ("sensitivity", "specificity", "auc"):
            if not (each["by"] == "aetiology" and name == "specificity"):
                at = {} if name == "auc" else decided
                yield {"metric": name, **at, "stratum": f"{each['by']} {each['name']}", **each[name]}


def _header_rows(metadata_metrics: dict[str, Any]) -> Iterator[Row]:
    """The figures of the metadata baseline, which has one threshold alone and so stands beside every point."""
    for name in ("auc", "pr_auc"):
        yield {"metric": name, "stratum": "all", **metadata_metrics[name]}
    for at in POINTS:
        yield from _of_decisions(metadata_metrics["at_rule"], at)
    yield from _of_strata(metadata_metrics["strata"], metadata_metrics["at_rule"]["threshold"])


def _gap(gap: dict[str, Any], row: Row) -> Row:
    """The gap of a figure over all images; strata are too small to have one of their own."""
    if row["stratum"] != "all":
        return {}
    name, at = row["metric"], row.get("point")
    found: Row = gap.get(at, {}).get(name) if at else gap.get(name) or gap["calibration"].get(name)
    return found or {}


def tabulate_arms(study: dict[str, Any]) -> DataFrame:
    """Tabulate the study, one row an arm and metric.

    Args:
        study: From `compare_arms`.

    Returns:
        `arm`, `metric`, `n` (images), `mean` and `deviation` over seeds; against none, and empty for it: `difference`,
        `low`, `high`, `smallest` (over patients), `difference_deviation` (over seeds), `low_both`, `high_both`,
        `smallest_both` (over patients and seeds).
    """
    import pandas as pd

    counted = {"sensitivity": study["num_diseased"], "specificity": study["num_healthy"]}
    rows = []
    for arm, metrics in study["arms"].items():
        for name, each in metrics.items():
            row = {"arm": arm, "metric": name, "n": counted.get(name, study["num_images"])}
            rows.append(row | {key: each[key] for key in ("mean", "deviation")})
            if change := study["differences"].get(arm, {}).get(name):
                rows[-1] |= {"difference": change["value"], "difference_deviation": change["deviation"]}
                rows[-1] |= {key: change[key] for key in ("low", "high", "smallest")}
                rows[-1] |= {f"{key}_both": value for key, value in change["both"].items()}
    columns = [
        "difference",
        "low",
        "high",
        "smallest",
        "difference_deviation",
        "low_both",
        "high_both",
        "smallest_both",
    ]
    return pd.DataFrame(rows, columns=["arm", "metric", "n", "mean", "deviation", *columns]).round(4)


def tabulate_runs(study: dict[str, Any]) -> DataFrame:
    """Tabulate the single runs, one row an arm, seed and metric.

    Args:
        study: From `compare_arms`.

    Returns:
        `arm`, `seed`, `metric`, `value`; against none of the same seed, and empty for it: `difference`, and in the rows
        of accuracy, which McNemar's test is about, `corrected`, `regressed` and `p`.
    """
    import pandas as pd

    rows = []
    for arm, metrics in study["arms"].items():
        for name, each in metrics.items():
            for place, seed in enumerate(study["seeds"]):
                rows.append({"arm": arm, "seed": seed, "metric": name, "value": round(each["by_seed"][place], 4)})
                if arm in study["differences"]:
                    difference = study["differences"][arm][name]["by_seed"][place]
                    rows[-1] |= {"difference": round(difference, 4)}
                    rows[-1] |= study["mcnemar"][arm][place] if name == "accuracy" else {}
    table = pd.DataFrame(rows, columns=["arm", "seed", "metric", "value", "difference", "corrected", "regressed", "p"])
    return table.astype({"corrected": "Int64", "regressed": "Int64"})
