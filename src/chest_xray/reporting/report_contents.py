"""What each part of the report page shows, by the names in the catalog.

A new figure or table is one entry here, and its texts in `chest_xray.reporting.i18n`: below `figures` or `tables`, and
for the contents of tables below `columns` and `cells`.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, Field

from chest_xray.core.libraries import pd
from chest_xray.core.types import DataFrame, InputError, Options, Result, Series
from chest_xray.images.audit import Audit, AuditSummary
from chest_xray.images.corruptions import ValidationCorruptions
from chest_xray.images.preprocessing import Preparation
from chest_xray.images.splitting import HoldOut
from chest_xray.metrics.abstention import Abstention
from chest_xray.metrics.comparison import METRICS, Comparison
from chest_xray.metrics.operating_point import OperatingPoint, OperatingPointRule
from chest_xray.metrics.results import CorruptionMetrics, MetadataBaseline, MetadataMetrics, Metrics
from chest_xray.models.gradcam import MapComparison
from chest_xray.models.network import Network
from chest_xray.models.training import Run, Training
from chest_xray.reporting.tables import tabulate_abstention

# What the rules and the model card read in addition to what is shown.
RUN_INPUTS = ("metrics", "metadata_metrics", "history", "operating_point", "map_sanity", "decisions", "settings")
RUN_PAGES = ("conclusions", "robustness_conclusions", "threshold_explorer")  # each a page of its own
GALLERY = "gallery"  # the dataset of all pictures of cases
# Datasets that hold several figures; every other figure is a dataset of its own.
RUN_FOLDERS = {
    "figures": {"precision_recall", "reliability", "thresholds", "scores"},
    "robustness_figures": {"robustness_figure", "occlusion_figure"},
    "abstention_figures": {"risk_coverage", "net_benefit"},
}
FOLDERS = {
    "augmentation_figures": {"transforms", "transform_ranges"},
    "data_figures": {"header_figure", "metadata_baseline_figure"},
}


def select_overall_metrics(metrics_table: DataFrame) -> DataFrame:
    """Select the metrics over all test images from the table of `chest_xray.reporting.tables.build_metrics_table`.

    `note` is dropped if it is empty throughout.
    """
    table = _select_test(metrics_table)
    table = table[table["stratum"] == "all"]
    gap = _join_columns(table, {"value": "gap", "low": "gap_low", "high": "gap_high"})
    note = table["note"].astype("str").fillna("")  # A column of a CSV file that is empty throughout is read as numbers.
    columns = ["metric", "point", "decides", "threshold", "test", "validation", "gap", "metadata_baseline", "note"]
    selected = table.assign(gap=gap, note=note)[columns]
    return selected if selected["note"].any() else selected.drop(columns="note")


def list_strata(metrics_table: DataFrame) -> DataFrame:
    """Tabulate the metrics of each stratum of test: `by`, `range`, `metric`, `test`, and `metadata_baseline`."""
    table = _select_test(metrics_table)
    table = table[table["stratum"] != "all"]
    names = table["stratum"].str.partition(" ")
    return table.assign(by=names[0], range=names[2])[["by", "range", "metric", "test", "metadata_baseline"]]


def _select_test(metrics_table: DataFrame) -> DataFrame:
    table = metrics_table[metrics_table["subset"] == "test"]
    estimates = _join_columns(table, {name: name for name in ("value", "low", "high", "n")})
    decides = table["decides"].map({True: "yes"}).fillna("")
    return table.assign(test=estimates, point=table["point"].fillna(""), decides=decides)


def list_conditions(corruption_metrics: CorruptionMetrics) -> DataFrame:
    """Tabulate the metrics of corrupted validation, one row per condition."""
    return pd.DataFrame(condition.model_dump() for condition in corruption_metrics.conditions)


def list_metadata_baselines(metadata_baseline: MetadataBaseline) -> DataFrame:
    """Tabulate the metadata baseline, one row per feature: its rule, and its metrics on test."""
    rows = [
        {"feature": feature, "direction": rule.direction, "threshold": rule.threshold, "unit": rule.unit}
        | rule.test.model_dump(exclude={"num"})
        for feature, rule in metadata_baseline.features.items()
    ]
    return pd.DataFrame(rows)


def list_cells(comparison: Comparison) -> DataFrame:
    """Tabulate the metrics of both runs, one row without and one row with flip test-time augmentation for each run."""
    excluded: dict[str, set[str]] = {name: {"method", "n"} for name in METRICS}
    return pd.DataFrame(cell.model_dump(exclude=excluded) for cell in comparison.cells)


def join_intervals(table: DataFrame) -> DataFrame:
    """Join each column `x` with `x_low` and `x_high`; drop p-values and the constant `run`, to fit the page."""
    joined = table.drop(columns=[name for name in table if name == "run" or str(name).endswith("_p")])
    for name in table.columns:
        low, high = f"{name}_low", f"{name}_high"
        if low in table.columns:
            interval = _join_columns(table, {"value": name, "low": low, "high": high})
            joined = joined.assign(**{name: interval}).drop(columns=[low, high])
    return joined


def _join_columns(table: DataFrame, columns: dict[str, str]) -> Series:
    """Join columns into one column of dicts; `columns` maps each key of the dicts to the name of a column."""
    rows = table[list(columns.values())].set_axis(list(columns), axis=1).to_dict("records")
    return pd.Series(rows, index=table.index, dtype=object)


class Report(Options):
    """Facts on the data for the page and the model card; `num_test_looks` is None if unknown."""

    synthetic: bool
    data_licence: str
    num_test_looks: Annotated[int, Field(ge=1)] | None


class FigureEntry(NamedTuple):
    """A figure of the catalog; `folded` collapses it at first."""

    name: str
    folded: bool = False


class TableEntry(NamedTuple):
    """A dataset of the catalog, the function that makes a table of it, and the key of the caption (default: `name`)."""

    name: str
    tabulate: Callable[[Any], DataFrame] = lambda table: table
    folded: bool = False
    key: str = ""


class GalleryEntry(NamedTuple):
    """The pictures in `gallery` of some decisions; all but the first `num_open` are folded."""

    name: str
    decisions: tuple[str, ...]
    num_open: int


Entry = FigureEntry | TableEntry | GalleryEntry
# Of each run, by heading; sentences for the heading come before these.
RUN_PARTS: dict[str, tuple[Entry, ...]] = {
    "how_well": (
        FigureEntry("roc_curve"),
        TableEntry("metrics_table", select_overall_metrics, folded=True),
        FigureEntry("confusion_matrices", folded=True),
        FigureEntry("precision_recall", folded=True),
    ),
    "where_it_fails": (TableEntry("metrics_table", list_strata, key="strata", folded=True),),
    "maps": (
        GalleryEntry("false_negatives", ("false_negative",), 2),
        GalleryEntry("false_positives", ("false_positive",), 2),
        GalleryEntry("typical_decisions", ("true_positive", "true_negative"), 0),
    ),
    "lungs_or_shape": (),
    "occlusion": (FigureEntry("occlusion_figure"), TableEntry("occlusion_table", join_intervals, folded=True)),
    "robustness": (
        FigureEntry("robustness_figure"),
        TableEntry("robustness_table", join_intervals, folded=True),
        TableEntry("corruption_metrics", list_conditions, folded=True),
    ),
    "what_an_answer_is_worth": (),
    "what_a_probability_is_worth": (FigureEntry("reliability", folded=True),),
    "validation_and_test": (FigureEntry("thresholds", folded=True), FigureEntry("scores", folded=True)),
    "abstention": (
        FigureEntry("risk_coverage"),
        FigureEntry("net_benefit"),
        TableEntry("abstention", tabulate_abstention, folded=True),
    ),
    "what_to_try": (),
    "training": (FigureEntry("learning_curves"), TableEntry("cross_check")),
}
SUMMARY_FIGURE = "roc_curve"  # of the last run: in the summary instead of its part
FOLDED = {"abstention", "training", "environment", "glossary"}  # headings that are folded; earlier runs are, too
COMPARISON: tuple[Entry, ...] = (
    FigureEntry("comparison_figure"),
    TableEntry("comparison_table", folded=True),
    TableEntry("comparison", list_cells, key="comparison_cells", folded=True),
    FigureEntry("augmented_examples", folded=True),
    FigureEntry("transforms", folded=True),
    FigureEntry("transform_ranges", folded=True),
)
DATA: tuple[Entry, ...] = (
    TableEntry("class_counts", folded=True),
    FigureEntry("example_radiographs", folded=True),
    FigureEntry("header_figure", folded=True),
    TableEntry("metadata_baseline", list_metadata_baselines),
    FigureEntry("metadata_baseline_figure", folded=True),
    TableEntry("header_table", folded=True),
    TableEntry("quarantine", folded=True),
)
PARAMETERS: dict[str, type[Options]] = {
    "report": Report,
    "preparation": Preparation,
    "hold_out": HoldOut,
    "audit": Audit,
    "model": Network,
    "validation_corruptions": ValidationCorruptions,
    "operating_point": OperatingPointRule,
    "training": Training,
    "augmented": Run,
}
MODELS: dict[str, type[Options | Result]] = {
    **{f"params_{name}": kind for name, kind in PARAMETERS.items()},
    "params_run": Run,
    "metrics": Metrics,
    "metadata_baseline": MetadataBaseline,
    "metadata_metrics": MetadataMetrics,
    "abstention": Abstention,
    "corruption_metrics": CorruptionMetrics,
    "comparison": Comparison,
    "operating_point": OperatingPoint,
    "audit": AuditSummary,
    "map_sanity": MapComparison,
}


def read_options(evidence: Mapping[str, Any]) -> dict[str, Any]:
    """Return the evidence with its parameters validated as options, and its results as their types.

    Kedro validates only parameters of nodes in the pipelines that run.
    """
    return {name: MODELS[name].model_validate(value) if name in MODELS else value for name, value in evidence.items()}


def check_evidence(name: str, run: Mapping[str, Any]) -> None:
    """Check that the evidence of a run has everything that the report shows.

    Raises:
        InputError: Something is missing, because an earlier version wrote the evidence.
    """
    if missing := [
        dataset
        for dataset in dict.fromkeys(_list_datasets(chain.from_iterable(RUN_PARTS.values()), {}))
        if dataset not in run
    ]:
        raise InputError(
            f"the evidence of the run {name} lacks {', '.join(missing)}; expected all that this version of the report "
            "shows. Gather it again: `kedro run --pipelines=evaluation,augmentation`."
        )


def name_limits(report: Report) -> str:
    """Return the key of the texts that state the limits of the results."""
    return "limits_of_phantoms" if report.synthetic else "known_limits"


def list_run_datasets(*, is_trained: bool = True) -> list[str]:
    """Return the datasets of a run that belong to its evidence.

    With `is_trained`, the run is a single training, which has learning curves and settings.
    """
    names = [*RUN_INPUTS, *_list_datasets(chain.from_iterable(RUN_PARTS.values()), RUN_FOLDERS), *RUN_PAGES]
    return [name for name in dict.fromkeys(names) if is_trained or name not in ("learning_curves", "settings")]


def list_data_datasets() -> list[str]:
    """Return the datasets on the data that the report reads."""
    return list(dict.fromkeys(["audit", "own_tables", *_list_datasets(DATA, FOLDERS)]))


def list_comparison_datasets() -> list[str]:
    """Return the datasets of the comparison that the report reads, and its conclusions."""
    return list(dict.fromkeys(["comparison", *_list_datasets(COMPARISON, FOLDERS), "comparison_conclusions"]))


def _list_datasets(entries: Iterable[Entry], folders: Mapping[str, set[str]]) -> Iterator[str]:
    folder_of = {figure: folder for folder, figures in folders.items() for figure in figures}
    for entry in entries:
        yield GALLERY if isinstance(entry, GalleryEntry) else folder_of.get(entry.name, entry.name)


def make_storable(outputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return datasets and parameters by name, as `EvidenceDataset` stores them.

    Options, results and figures of Plotly become plain values; each figure of a folder in `FOLDERS` and `RUN_FOLDERS`
    gets its own name; and `own_split`, the user's split table, replaces `own_tables`.
    """
    evidence: dict[str, Any] = {}
    for name, value in outputs.items():
        if name in FOLDERS or name in RUN_FOLDERS:
            evidence |= value
        elif name == "own_tables":
            evidence["own_split"] = value["split"]
        elif name == "threshold_explorer":
            evidence[name] = json.loads(value.to_json())
        else:
            evidence[name] = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
    return evidence
