"""Tables of the metrics of a run, of abstention, and of the arms of the study."""

from collections.abc import Iterator
from typing import Any

from chest_xray.core.types import DataFrame
from chest_xray.metrics.abstention import Abstention
from chest_xray.metrics.comparison import Study
from chest_xray.metrics.results import (
    UNKNOWN,
    Decisions,
    Estimate,
    Gap,
    Interval,
    MetadataMetrics,
    Metrics,
    Stratum,
    SubsetMetrics,
)
from chest_xray.reporting.i18n import read_messages

COLUMNS = ["metric", "point", "decides", "threshold", "subset", "stratum", "n", "value", "low", "high"]
COMPARISON_COLUMNS = ["metadata_baseline", "validation", "gap", "gap_low", "gap_high", "note"]
Row = dict[str, Any]


def lay_out_metrics(metrics: Metrics, metadata_metrics: MetadataMetrics) -> DataFrame:
    """Tabulate the results of `compute_metrics` and `measure_metadata_baseline`.

    Returns:
        One row per metric, subset and stratum, rounded to four decimals: `metric`; `point` (at_half, balanced,
        sensitivity, specificity), `decides` and `threshold` (not rounded) of decisions; `subset`; `stratum` ("all", or
        such as "aspect ≥ 1.50"); `n` (images); `value`, `low`, `high` (95% interval). Only on test:
        `metadata_baseline`; `validation`; `gap` (test minus validation), `gap_low`, `gap_high`. `note`: why a value is
        missing.
    """
    import pandas as pd

    reasons = read_messages("en")["missing"]
    rows = [{**row, "subset": subset} for subset, part in metrics.subsets.items() for row in _list_rows(part)]
    validation = {_identify(row): row["value"] for row in rows if row["subset"] == "validation"}
    baseline = {_identify(row): row["value"] for row in _list_baseline_rows(metadata_metrics, metrics.test)}
    for row in rows:
        missing_bound = None in (row.get("low", 0), row.get("high", 0))
        row["note"] = reasons[row["metric"]] if row["value"] is None else reasons["interval"] if missing_bound else ""
        if row["subset"] == "test":
            gap = _find_gap(metrics.gap, row)
            row |= {"metadata_baseline": baseline.get(_identify(row)), "validation": validation.get(_identify(row))}
            row |= {"gap": gap.value, "gap_low": gap.low, "gap_high": gap.high}
    table = pd.DataFrame(rows, columns=COLUMNS + COMPARISON_COLUMNS)
    numbers = ["value", "low", "high", *COMPARISON_COLUMNS[:-1]]
    names = {name: f"calibration_{name}" for name in ("slope", "intercept")}
    return table.assign(metric=table["metric"].replace(names), **table[numbers].astype(float).round(4))


def _identify(row: Row) -> tuple[Any, ...]:
    return row["metric"], row.get("point"), row["stratum"]


def _list_rows(part: SubsetMetrics) -> Iterator[Row]:
    whole = {"prevalence": part.prevalence, "loss": part.loss, "auc": part.auc, "pr_auc": part.pr_auc}
    for name, each in {**whole, **dict(part.calibration)}.items():
        values = dict(each) if isinstance(each, Interval) else {"value": each}
        yield {"stratum": "all", "n": part.num_images, "metric": name, **values}
    for at, point in part.by_name.items():
        yield from _list_decisions(point, at, part.rule)
    yield from _list_strata(part.strata, part)


def _list_baseline_rows(metadata_metrics: MetadataMetrics, test: SubsetMetrics) -> Iterator[Row]:
    """List the metadata baseline, whose single threshold is repeated for every operating point."""
    for name, each in (("auc", metadata_metrics.auc), ("pr_auc", metadata_metrics.pr_auc)):
        yield {"metric": name, "stratum": "all", **dict(each)}
    for at in test.by_name:
        yield from _list_decisions(metadata_metrics.at_rule, at, test.rule)
    yield from _list_strata(metadata_metrics.strata, test)


def _list_decisions(point: Decisions, at: str, rule: str) -> Iterator[Row]:
    of_point = {"point": at, "decides": at == rule, "threshold": point.threshold, "stratum": "all"}
    for name, each in point:
        if isinstance(each, Interval):
            yield {"metric": name, **of_point, **dict(each)}


def _list_strata(strata: list[Stratum], part: SubsetMetrics) -> Iterator[Row]:
    chosen = {"point": part.rule, "decides": True, "threshold": part.at_chosen.threshold}
    for each in strata:
        for name in ("sensitivity", "specificity", "auc"):
            if not (each.by == "aetiology" and name == "specificity"):
                at = {} if name == "auc" else chosen
                yield {"metric": name, **at, "stratum": f"{each.by} {each.name}", **dict(getattr(each, name))}


def _find_gap(gap: Gap, row: Row) -> Interval:
    """Return the gap of a metric over all images; strata are too small to have one."""
    if row["stratum"] != "all":
        return UNKNOWN
    name, at = row["metric"], row.get("point")
    place = gap.by_name[at] if at else gap if name in ("auc", "pr_auc") else gap.calibration
    found: Interval = getattr(place, name, UNKNOWN)
    return found


def tabulate_abstention(abstention: Abstention) -> DataFrame:
    """Tabulate what abstention gains on test, and what conformal sets reach.

    Returns:
        One row per metric: `metric`; `test`, a dict of `value`, `low`, `high` and `n`; and `expected`: what was
        promised, or what images left out at random would give; None if there is no such value.
    """
    import pandas as pd

    order, referral, conformal = abstention.risk_coverage, abstention.referral, abstention.conformal
    rows: list[tuple[str, Estimate, float | None]] = [("risk_coverage_area", order.area, order.by_chance)]
    if referral:
        rows += [
            ("referred", referral.referred, None),
            ("errors_referred", referral.errors_referred, referral.referred.value),
        ]
    if referral and referral.answered:
        by_chance = {"accuracy": 1 - order.by_chance}
        for name in ("accuracy", "sensitivity", "specificity"):
            rows.append((f"{name}_answered", getattr(referral.answered, name), by_chance.get(name)))
    rows += [(f"reached_{name}", each, conformal.promised) for name, each in conformal.reached.items()]
    rows += [(f"sets_{name}", each, None) for name, each in conformal.sizes.items()]
    cells = [(name, each.model_dump(exclude={"method"}), expected) for name, each, expected in rows]
    return pd.DataFrame(cells, columns=["metric", "test", "expected"], dtype=object)


def tabulate_arms(study: Study) -> DataFrame:
    """Tabulate the result of `compare_arms`, one row per arm and metric.

    Returns:
        `arm`, `metric`, `n` (images), `mean` and `deviation` over seeds; and of the difference from the arm `none`:
        `difference`, `low`, `high`, `detectable` (over patients), `difference_deviation` (over seeds), `low_both`,
        `high_both`, `detectable_both` (over patients and seeds). `detectable` is the minimum detectable difference.
    """
    import pandas as pd

    bounds = ["low", "high", "detectable"]
    rows = []
    for arm, metrics in study.arms.items():
        for name, each in metrics.items():
            row: Row = {"arm": arm, "metric": name, "n": study.count(name), "mean": each.mean}
            row["deviation"] = each.deviation
            if change := study.differences.get(arm, {}).get(name):
                row |= {"difference": change.value, "difference_deviation": change.deviation}
                row |= change.model_dump(include=set(bounds))
                row |= {f"{key}_both": value for key, value in change.both}
            rows.append(row)
    both = [f"{key}_both" for key in bounds]
    columns = ["arm", "metric", "n", "mean", "deviation", "difference", *bounds, "difference_deviation", *both]
    return pd.DataFrame(rows, columns=columns).round(4)


def tabulate_runs(study: Study) -> DataFrame:
    """Tabulate the runs in the result of `compare_arms`, one row per arm, seed and metric.

    Returns:
        `arm`, `seed`, `metric`, `value`; `difference` from the arm `none` of the same seed; and with accuracy
        `corrected`, `regressed` and `p` of McNemar's test.
    """
    import pandas as pd

    rows = []
    for arm, metrics in study.arms.items():
        for name, each in metrics.items():
            for place, seed in enumerate(study.seeds):
                row: Row = {"arm": arm, "seed": seed, "metric": name, "value": round(each.by_seed[place], 4)}
                if arm in study.differences:
                    row["difference"] = round(study.differences[arm][name].by_seed[place], 4)
                    row |= dict(study.mcnemar[arm][place]) if name == "accuracy" else {}
                rows.append(row)
    table = pd.DataFrame(rows, columns=["arm", "seed", "metric", "value", "difference", "corrected", "regressed", "p"])
    return table.astype({"corrected": "Int64", "regressed": "Int64"})
