"""The same test images under several conditions, each compared with the first, image by image."""

from collections.abc import Mapping
from typing import Any

from chest_xray.core.options import InputError
from chest_xray.core.types import DataFrame
from chest_xray.metrics.bootstrap import correct_by_holm, draw_resamples
from chest_xray.metrics.comparison import METRICS, MetricName, estimate_difference, resample_metrics, subtract
from chest_xray.metrics.operating_point import OperatingPoint, add_calibrated
from chest_xray.metrics.results import Interval
from chest_xray.metrics.summary import Evaluation, count_decisions, estimate, widen

COMPARED: tuple[MetricName, ...] = ("accuracy", "auc")  # of which the differences are tested


def measure_conditions(
    conditions: Mapping[Any, DataFrame], operating_point: OperatingPoint, evaluation: Evaluation
) -> DataFrame:
    """Measure each condition, and its paired difference from the first.

    Args:
        conditions: Of each `path`, `label`, `group` and `logit`, one row an image, in the same order.
        operating_point: Its calibration, and the point that decides.
        evaluation: Seed and block length of the bootstrap, whose draws are the same for all conditions.

    Returns:
        One row a condition: `n` (images), `threshold`; `accuracy`, `sensitivity`, `specificity` and `auc`, with the
        suffixes `_low` and `_high` for the widest 95% interval; and of `COMPARED` (missing in the first row)
        `_change`, the condition minus the first, `_change_low`, `_change_high`, and `_p`, corrected for the number of
        conditions by Holm's method.

    Raises:
        InputError: The conditions are not of the same images.
    """
    import pandas as pd

    first = next(iter(conditions.values()))
    paths = first["path"].tolist()
    if different := [name for name, table in conditions.items() if table["path"].tolist() != paths]:
        raise InputError(
            f"the conditions {different} are not of the same test images in the same order as the first; expected so. "
            "Run the evaluation again, so that all are of the present data."
        )
    draws = draw_resamples(first, evaluation.block_length, evaluation.seed)
    point = operating_point.chosen
    calibrated = [add_calibrated(table, operating_point) for table in conditions.values()]
    decided = [table.assign(decision=table["log_odds"] >= point.log_odds) for table in calibrated]
    values = [resample_metrics(table, draws) for table in decided]
    rows: list[dict[str, Any]] = []
    for table, each in zip(decided, values, strict=True):
        row: dict[str, Any] = {"n": len(table), "threshold": point.threshold}
        counted = dict(count_decisions(table, point))
        for name in METRICS:
            found = estimate(each[name], len(table))
            row |= _columns(name, found if name == "auc" else widen(found, counted[name]))
        rows.append(row)
    for name in COMPARED:
        changes = [estimate_difference(subtract(each[name], values[0][name])) for each in values[1:]]
        corrected = correct_by_holm([each.p for each in changes])
        for row, change, p in zip(rows[1:], changes, corrected, strict=True):
            row |= {f"{name}_change": change.value, f"{name}_p": p}
            row |= {f"{name}_change_low": change.low, f"{name}_change_high": change.high}
    columns = [f"{name}_{part}" for name in COMPARED for part in ("change", "change_low", "change_high", "p")]
    table = pd.DataFrame(rows, columns=[*rows[0], *columns])
    table = table.round({str(name): 4 for name in table if not str(name).endswith("_p")})  # a rounded p would be 0
    return table.assign(threshold=point.threshold)


def _columns(name: str, found: Interval) -> dict[str, float | None]:
    return {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
