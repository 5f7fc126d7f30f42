"""Tables of the metrics of a run, of abstention, and of the arms of the study."""

from collections.abc import Iterator
from typing import Any

from chest_xray.core.libraries import pd
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


def build_metrics_table(metrics: Metrics, metadata_metrics: MetadataMetrics) -> DataFrame:
    """Tabulate the results of `compute_metrics` and `measure_metadata_baseline`.

    Returns:
        One row per metric, subset and stratum: `metric`; `point` (at_half, balanced, sensitivity, specificity),
        `decides` and `threshold` of decisions; `subset`; `stratum` ("all", or such as "aspect ≥ 1.50"); `n` (images);
        `value`, `low`, `high` (95% interval). Only on test:
        `metadata_baseline`; `validation`; `gap` (test minus validation), `gap_low`, `gap_high`. `note`: why a value is
        missing.
    """
    reasons = read_messages("en")["missing"]
    rows = [{**row, "subset": name} for name, subset in metrics.subsets.items() for row in _list_rows(subset)]
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
    return table.assign(metric=table["metric"].replace(names), **table[numbers].astype(float))


def _identify(row: Row) -> tuple[Any, ...]:
    return row["metric"], row.get("point"), row["stratum"]


def _list_rows(subset: SubsetMetrics) -> Iterator[Row]:
    ranking = {"prevalence": subset.prevalence, "loss": subset.loss, "auc": subset.auc, "pr_auc": subset.pr_auc}
    for name, metric in {**ranking, **dict(subset.calibration)}.items():
        values = dict(metric) if isinstance(metric, Interval) else {"value": metric}
        yield {"stratum": "all", "n": subset.num_images, "metric": name, **values}
    yield from _list_decisions(subset.by_name, subset)
    yield from _list_strata(subset.strata, subset)


def _list_baseline_rows(metadata_metrics: MetadataMetrics, test: SubsetMetrics) -> Iterator[Row]:
    """List the metadata baseline, whose single threshold is repeated for every operating point."""
    for name, estimate in (("auc", metadata_metrics.auc), ("pr_auc", metadata_metrics.pr_auc)):
        yield {"metric": name, "stratum": "all", **dict(estimate)}
    yield from _list_decisions(dict.fromkeys(test.by_name, metadata_metrics.at_rule), test)
    yield from _list_strata(metadata_metrics.strata, test)


def _list_decisions(points: dict[str, Decisions], subset: SubsetMetrics) -> Iterator[Row]:
    for point, decisions in points.items():
        columns = {"point": point, "decides": point == subset.rule, "threshold": decisions.threshold, "stratum": "all"}
        for name, metric in decisions:
            if isinstance(metric, Interval):
                yield {"metric": name, **columns, **dict(metric)}


def _list_strata(strata: list[Stratum], subset: SubsetMetrics) -> Iterator[Row]:
    chosen = {"point": subset.rule, "decides": True, "threshold": subset.at_chosen.threshold}
    for stratum in strata:
        row = {"stratum": f"{stratum.by} {stratum.name}"}
        yield {**row, **chosen, "metric": "sensitivity", **dict(stratum.sensitivity)}
        if stratum.by != "aetiology":
            yield {**row, **chosen, "metric": "specificity", **dict(stratum.specificity)}
        yield {**row, "metric": "auc", **dict(stratum.auc)}


def _find_gap(gap: Gap, row: Row) -> Interval:
    """Return the gap of a metric over all images; strata are too small to have one."""
    if row["stratum"] != "all":
        return UNKNOWN
    gaps: Any = gap.by_name[row["point"]] if "point" in row else gap.calibration
    interval: Interval = getattr(gap if row["metric"] in ("auc", "pr_auc") else gaps, row["metric"], UNKNOWN)
    return interval


def tabulate_abstention(abstention: Abstention) -> DataFrame:
    """Tabulate what abstention gains on test, and the coverage of conformal sets: `metric`, `test`, `expected`.

    `expected` is what was promised, or the result if images were left out at random; None if there is no such value.
    """
    order, referral, conformal = abstention.risk_coverage, abstention.referral, abstention.conformal
    rows: list[tuple[str, Estimate, float | None]] = [("risk_coverage_area", order.area, order.by_chance)]
    if referral:
        rows.append(("referred", referral.referred, None))
        rows.append(("errors_referred", referral.errors_referred, referral.referred.value))
    if referral and referral.answered:
        by_chance = {"accuracy": 1 - order.by_chance}
        for name in ("accuracy", "sensitivity", "specificity"):
            rows.append((f"{name}_answered", getattr(referral.answered, name), by_chance.get(name)))
    rows += [(f"reached_{label}", share, conformal.promised) for label, share in conformal.reached.items()]
    rows += [(f"sets_{size}", share, None) for size, share in conformal.sizes.items()]
    cells = [(name, estimate.model_dump(exclude={"method"}), expected) for name, estimate, expected in rows]
    return pd.DataFrame(cells, columns=["metric", "test", "expected"], dtype=object)


def tabulate_arms(study: Study) -> DataFrame:
    """Tabulate the result of `compare_arms`, one row per arm and metric.

    Returns:
        `arm`, `metric`, `n` (images), `mean` and `deviation` over seeds; and of the difference from the arm `none`:
        `difference`, `low`, `high`, `detectable` (over patients), `difference_deviation` (over seeds), `low_both`,
        `high_both`, `detectable_both` (over patients and seeds). `detectable` is the minimum detectable difference.
    """
    bounds = ["low", "high", "detectable"]
    rows = []
    for arm, metrics in study.arms.items():
        for name, metric in metrics.items():
            row: Row = {"arm": arm, "metric": name, "n": study.count(name)}
            row |= {"mean": metric.mean, "deviation": metric.deviation}
            if difference := study.differences.get(arm, {}).get(name):
                row |= {"difference": difference.value, "difference_deviation": difference.deviation}
                row |= difference.model_dump(include=set(bounds))
                row |= {f"{key}_both": value for key, value in difference.both}
            rows.append(row)
    both = [f"{key}_both" for key in bounds]
    columns = ["arm", "metric", "n", "mean", "deviation", "difference", *bounds, "difference_deviation", *both]
    return pd.DataFrame(rows, columns=columns)


def tabulate_runs(study: Study) -> DataFrame:
    """Tabulate the runs in the result of `compare_arms`, one row per arm, seed and metric.

    Returns:
        `arm`, `seed`, `metric`, `value`; `difference` from the arm `none` of the same seed; and with accuracy
        `corrected`, `regressed` and `p` of McNemar's test.
    """
    rows = []
    for arm, metrics in study.arms.items():
        for name, metric in metrics.items():
            for i, seed in enumerate(study.seeds):
                row: Row = {"arm": arm, "seed": seed, "metric": name, "value": round(metric.by_seed[i], 4)}
                if arm in study.differences:
                    row["difference"] = round(study.differences[arm][name].by_seed[i], 4)
                    row |= dict(study.mcnemar[arm][i]) if name == "accuracy" else {}
                rows.append(row)
    table = pd.DataFrame(rows, columns=["arm", "seed", "metric", "value", "difference", "corrected", "regressed", "p"])
    return table.astype({"corrected": "Int64", "regressed": "Int64"})
