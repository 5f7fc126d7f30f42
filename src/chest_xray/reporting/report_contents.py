"""What each part of the page shows, by the names in the catalog: a new figure or table is one entry here and its words.

Their words are in `chest_xray.reporting.i18n`: `sections`, `figures`, `tables`, and `columns` and `cells` for contents.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from pydantic import BaseModel

from chest_xray.core.options import Options
from chest_xray.core.types import DataFrame, Series
from chest_xray.images.corruptions import ValidationCorruptions
from chest_xray.images.index import Audit
from chest_xray.images.preprocessing import Preparation
from chest_xray.images.splitting import HoldOut
from chest_xray.metrics.operating_point import OperatingPointRule
from chest_xray.models.network import Network
from chest_xray.models.training import Run, Training

SHOWN = ["metric", "point", "threshold"]
# What the rules and the model card read, beside what is shown.
READ_OF_A_RUN = ("metrics", "metadata_metrics", "history", "operating_point", "map_sanity", "decisions")
KEPT_OF_A_RUN = ("conclusions", "robustness_conclusions", "threshold_explorer")  # complete in themselves
# Folders of figures, and the figures in them; all other figures are datasets of their own.
FOLDERS_OF_A_RUN = {
    "figures": {"precision_recall", "reliability", "thresholds", "scores"},
    "robustness_figures": {"robustness_figure", "occlusion_figure"},
    "gallery_figures": {"false_negatives", "false_positives", "typical_decisions"},
}
FOLDERS = {
    "augmentation_figures": {"transforms", "transform_ranges"},
    "data_figures": {"header_figure", "metadata_baseline_figure"},
}


def as_it_is(table: DataFrame) -> DataFrame:
    """Leave a table as the catalog has it."""
    return table


def list_figures(metrics_table: DataFrame) -> DataFrame:
    """Return one row a figure over all test images.

    Args:
        metrics_table: From `chest_xray.reporting.tables.lay_out_metrics`.

    Returns:
        `metric`, `point`, `threshold`, `test` and `gap` (dicts of `value`, `low`, `high`), `metadata_baseline`,
        `validation`, and where it is needed `note`.
    """
    table = _of_test(metrics_table)
    table = table[table["stratum"] == "all"].fillna({"note": ""})
    gap = _join(table, {"value": "gap", "low": "gap_low", "high": "gap_high"})
    shown = table.assign(gap=gap)[[*SHOWN, "test", "validation", "gap", "metadata_baseline", "note"]]
    return shown if shown["note"].any() else shown.drop(columns="note")


def list_strata(metrics_table: DataFrame) -> DataFrame:
    """Return one row a figure of each stratum of test: `by`, `range`, `metric`, `test`, and `metadata_baseline`."""
    table = _of_test(metrics_table)
    table = table[table["stratum"] != "all"]
    parts = table["stratum"].str.partition(" ")
    return table.assign(by=parts[0], range=parts[2])[["by", "range", "metric", "test", "metadata_baseline"]]


def _of_test(metrics_table: DataFrame) -> DataFrame:
    table = metrics_table[metrics_table["subset"] == "test"]
    figures = _join(table, {name: name for name in ("value", "low", "high", "n")})
    return table.assign(test=figures, point=table["point"].fillna(""))


def list_conditions(corruption_metrics: dict[str, Any]) -> DataFrame:
    """Return one row a condition of corrupted validation."""
    import pandas as pd

    return pd.DataFrame(corruption_metrics["conditions"])


def list_metadata_baselines(metadata_baseline: dict[str, Any]) -> DataFrame:
    """Return one row a feature of the file's header: the rule, and its scores on test."""
    import pandas as pd

    rows = [
        {"feature": feature, "direction": rule["direction"], "threshold": rule["threshold"], "unit": rule["unit"]}
        | {name: rule["test"][name] for name in ("accuracy", "sensitivity", "specificity", "auc")}
        for feature, rule in metadata_baseline.items()
    ]
    return pd.DataFrame(rows)


def join_intervals(table: DataFrame) -> DataFrame:
    """Join each value and its interval into one column.

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
    """Join columns into one, a dict a row."""
    import pandas as pd

    rows = table[list(columns.values())].set_axis(list(columns), axis=1).to_dict("records")
    return pd.Series(rows, index=table.index, dtype=object)


class Report(Options):
    """What the page and the model card say of the data, beside its source."""

    synthetic: bool
    data_licence: str


class Picture(NamedTuple):
    """A figure of the catalog, and whether a reader has to unfold it."""

    name: str
    folded: bool = False


class Grid(NamedTuple):
    """A table of the catalog, how it is laid out, whether a reader has to unfold it, and its key in the words."""

    name: str
    lay_out: Callable[[Any], DataFrame] = as_it_is
    folded: bool = False
    key: str = ""  # the name, if nothing else is given


Shown = Picture | Grid
# Of each run, below its own heading; below a heading that rules know stands first what they found.
OF_A_RUN: dict[str, tuple[Shown, ...]] = {
    "figures": (Grid("metrics_table", list_figures, folded=True), Picture("confusion_matrices")),
    "ranking": (Picture("roc_curve"), Picture("precision_recall")),
    "probabilities": (Picture("reliability"),),
    "decisions": (Picture("thresholds"), Picture("scores")),
    "training": (Picture("learning_curves"), Grid("cross_check", folded=True)),
    "subgroups": (Grid("metrics_table", list_strata, key="strata"),),
    "robustness": (
        *(Picture("robustness_figure"), Grid("robustness_table", join_intervals, folded=True)),
        Grid("corruption_metrics", list_conditions, folded=True),
    ),
    "occlusion": (Picture("occlusion_figure"), Grid("occlusion_table", join_intervals)),
    "maps": (Picture("false_negatives"), Picture("false_positives"), Picture("typical_decisions")),
}
COMPARISON: tuple[Shown, ...] = (
    *(Picture("comparison_figure"), Grid("comparison_table")),
    *(Picture("augmented_examples"), Picture("transforms"), Picture("transform_ranges", folded=True)),
)
DATA: tuple[Shown, ...] = (
    Grid("class_counts"),
    Picture("example_radiographs"),
    Picture("header_figure"),
    Grid("metadata_baseline", list_metadata_baselines),
    Picture("metadata_baseline_figure"),
    Grid("header_table", folded=True),
    Grid("quarantine", folded=True),
)
PARAMETERS: dict[str, type[Options]] = {
    **{
        "report": Report,
        "preparation": Preparation,
        "hold_out": HoldOut,
        "validation_corruptions": ValidationCorruptions,
        "audit": Audit,
    },
    **{"model": Network, "training": Training, "operating_point": OperatingPointRule, "augmented": Run},
}


def read_options(evidence: Mapping[str, Any]) -> dict[str, Any]:
    """Return the evidence with its parameters as options.

    Kedro makes options of parameters only where a pipeline that runs now has a node that asks for them.
    """
    options = {f"params_{name}": kind for name, kind in PARAMETERS.items()} | {"params_run": Run}
    return {name: options[name].model_validate(each) if name in options else each for name, each in evidence.items()}


def name_limits(report: Report) -> str:
    """Name the words that say what the figures are not good for."""
    return "limits_of_phantoms" if report.synthetic else "known_limits"


def list_run_datasets(*, is_trained: bool = True) -> list[str]:
    """Name every dataset of a run that belongs to its evidence.

    Args:
        is_trained: Whether the run is one training, which has learning curves.
    """
    shown = (each.name for part in OF_A_RUN.values() for each in part)
    names = [*READ_OF_A_RUN, *_stored(shown, FOLDERS_OF_A_RUN), *KEPT_OF_A_RUN]
    return [name for name in dict.fromkeys(names) if is_trained or name != "learning_curves"]


def list_data_datasets() -> list[str]:
    """Name every dataset of the data set that the report reads."""
    return list(dict.fromkeys(["audit", "own_split", *_stored((each.name for each in DATA), FOLDERS)]))


def list_comparison_datasets() -> list[str]:
    """Name every dataset of the comparison that the report reads, and its page."""
    shown = _stored((each.name for each in COMPARISON), FOLDERS)
    return list(dict.fromkeys(["comparison", *shown, "comparison_conclusions"]))


def _stored(names: Iterable[str], folders: Mapping[str, set[str]]) -> Iterator[str]:
    """Name the dataset that holds each figure or table."""
    for name in names:
        yield next((folder for folder, held in folders.items() if name in held), name)


def gather(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures of folders under their own names, and options as plain values.

    Args:
        found: Tables, figures (PNG, or Plotly), folders of figures, options and plain values by name.
    """
    gathered: dict[str, Any] = {}
    for name, each in found.items():
        if name in FOLDERS or name in FOLDERS_OF_A_RUN:
            gathered |= each
        elif name == "threshold_explorer":
            gathered[name] = json.loads(each.to_json())
        else:
            gathered[name] = each.model_dump(mode="json") if isinstance(each, BaseModel) else each
    return gathered
