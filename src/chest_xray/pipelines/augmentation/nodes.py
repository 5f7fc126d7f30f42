"""All nodes of augmentation: compare two runs that differ in it alone, image by image on the same test split."""

from collections.abc import Callable
from functools import partial
from typing import Any

from chest_xray.core.options import InputError
from chest_xray.core.types import Array, DataFrame, Figure
from chest_xray.images.preprocessing import Preparation
from chest_xray.metrics.binary import count_outcomes, proportions
from chest_xray.metrics.bootstrap import draw_resamples
from chest_xray.metrics.comparison import (
    METRICS,
    PASSES,
    RUNS,
    compare_decisions,
    estimate_difference,
    list_differing_settings,
    resample_metrics,
    select_same_comparison,
    subtract,
)
from chest_xray.metrics.results import Method
from chest_xray.metrics.summary import Evaluation, estimate, widen
from chest_xray.models.training import Run
from chest_xray.reporting import augmentation_figures as figures
from chest_xray.reporting.comparison_figures import draw_paired_differences
from chest_xray.reporting.comparison_findings import find_comparison
from chest_xray.reporting.i18n import Language, render
from chest_xray.reporting.report_contents import gather
from chest_xray.reporting.style import draw_in_languages


def pair_decisions(baseline_evidence: dict[str, Any], augmented_evidence: dict[str, Any]) -> DataFrame:
    """Join the decisions of both runs (`decide_images`), one row a test image.

    Returns:
        `path`, `group`, `aetiology`, `label`; and for each run `steps_{run}` and `kept_steps_{run}`, and for each of
        `PASSES` `logit_{passes}_{run}` and `decision_{passes}_{run}` (True: PNEUMONIA).

    Raises:
        InputError: The two runs were tested on different images.
    """
    first, second = baseline_evidence["decisions"], augmented_evidence["decisions"]
    if first["path"].tolist() != second["path"].tolist():
        raise InputError(
            f"the runs were tested on different images ({len(first)} and {len(second)}); "
            "expected the same in the same order. Run `kedro run` again, so that both use the present data."
        )
    pairs = first[["path", "group", "aetiology", "label"]].copy()
    names = [f"{kind}_{passes}" for passes in PASSES for kind in ("logit", "decision")]
    for run, table in zip(RUNS, (first, second), strict=True):
        for name in (*names, "steps", "kept_steps"):
            pairs[f"{name}_{run}"] = table[name].to_numpy()
    return pairs


def compare_runs(
    paired_predictions: DataFrame,
    baseline_evidence: dict[str, Any],
    augmented_evidence: dict[str, Any],
    evaluation: Evaluation,
    run_record: dict[str, Any],
) -> dict[str, Any]:
    """Estimate by how much augmentation in training changed each metric on test, and by how much flips did.

    `run_record` holds the `study` of several seeds, or None; see `chest_xray.hooks.RecordRun`.

    Returns:
        `num_images`, `num_normal`, `num_pneumonia`, `num_groups`; `metrics`: of accuracy, sensitivity, specificity and
        auc the value of each run without flip test-time augmentation, `difference` (augmented minus baseline, from
        `estimate_difference`) and `smallest`, the minimum detectable difference (80% power); `mcnemar` of the same
        decisions, see `compare_decisions`; `cells`: for each run and each of `PASSES` the metrics with intervals;
        `flips`: for each run by how much flips change each metric; `settings`, see `list_differing_settings`;
        `steps` of the optimizer in each run, and `stopped_early`, the runs that took fewer epochs than were set;
        `study`, see `select_same_comparison`.
    """
    draws = draw_resamples(paired_predictions, evaluation.block_length, evaluation.seed)
    values = {
        (run, passes): resample_metrics(_select_cell(paired_predictions, run, passes), draws)
        for run in RUNS
        for passes in PASSES
    }
    without, given = (values[run, "single"] for run in RUNS)
    differences = {name: estimate_difference(subtract(given[name], without[name])) for name in METRICS}
    evidence = dict(zip(RUNS, (baseline_evidence, augmented_evidence), strict=True))
    settings = {run: each["settings"] for run, each in evidence.items()}
    names = ("label", *(f"decision_single_{run}" for run in RUNS))
    label, *decisions = (paired_predictions[name].to_numpy() for name in names)
    return {
        "num_images": len(paired_predictions),
        "num_normal": int((paired_predictions["label"] == 0).sum()),
        "num_pneumonia": int((paired_predictions["label"] == 1).sum()),
        "num_groups": int(paired_predictions["group"].nunique()),
        "metrics": {
            name: {run: float(values[run, "single"][name]["patients"][0]) for run in RUNS}
            | {"difference": difference, "smallest": difference.pop("smallest")}
            for name, difference in differences.items()
        },
        "mcnemar": compare_decisions(label, *decisions),
        "cells": [
            {"run": run, "passes": passes, **_describe_cell(_select_cell(paired_predictions, run, passes), measured)}
            for (run, passes), measured in values.items()
        ],
        "flips": {
            run: {
                name: estimate_difference(subtract(values[run, "flips"][name], values[run, "single"][name]))
                for name in METRICS
            }
            for run in RUNS
        },
        "settings": list_differing_settings(*settings.values()),
        "steps": {
            f"{run}_{short}": int(paired_predictions[f"{name}_{run}"].iloc[0])
            for run in RUNS
            for short, name in (("steps", "steps"), ("kept", "kept_steps"))
        },
        "stopped_early": [run for run in RUNS if len(evidence[run]["history"]) < settings[run]["training"]["epochs"]],
        "study": select_same_comparison(run_record["study"]),
    }


def _select_cell(pairs: DataFrame, run: str, passes: str) -> DataFrame:
    return pairs.rename(columns={f"logit_{passes}_{run}": "log_odds", f"decision_{passes}_{run}": "decision"})


def _describe_cell(cell: DataFrame, measured: dict[str, dict[Method, Array]]) -> dict[str, Any]:
    import numpy as np

    label, decision = cell["label"].to_numpy(), cell["decision"].to_numpy()
    counts = count_outcomes(label, decision, np.ones((1, len(cell))))
    wilson = dict(proportions({name: int(each[0]) for name, each in counts.items()}))
    found = {name: estimate(each, len(cell)) for name, each in measured.items()}
    return {name: (widen(each, wilson[name]) if name in wilson else each).model_dump() for name, each in found.items()}


def tabulate_comparison(comparison: dict[str, Any]) -> DataFrame:
    """Return one row a metric: `n`, `baseline`, `augmented`, `difference`, `low`, `high`, `smallest`."""
    import pandas as pd

    counted = {"sensitivity": comparison["num_pneumonia"], "specificity": comparison["num_normal"]}
    rows = [
        {"metric": name, "n": counted.get(name, comparison["num_images"])}
        | {run: each[run] for run in RUNS}
        | {"difference": each["difference"]["value"]}
        | {bound: each["difference"][bound] for bound in ("low", "high")}
        | {"smallest": each["smallest"] or None}  # none where no resample differs
        for name, each in comparison["metrics"].items()
    ]
    return pd.DataFrame(rows).round(4)


def write_comparison(comparison: dict[str, Any], data_source: str, language: Language) -> str:
    """Write the conclusions of the comparison in Markdown."""
    return render("comparison_title", find_comparison(comparison), {"data_source": data_source}, language.root)


def draw_comparison(comparison: dict[str, Any], data_source: str) -> dict[str, Figure]:
    """Draw the paired differences, in each language."""
    return draw_in_languages(partial(draw_paired_differences, comparison), data_source)


def draw_augmentation(
    prepared_images: Array, image_split: DataFrame, preparation: Preparation, augmented: Run, data_source: str
) -> tuple[dict[str, Figure], dict[str, dict[str, Figure]]]:
    """Draw originals beside their copies; and by name each transform alone, and its range; each in each language."""

    def draw(function: Callable[..., Figure]) -> dict[str, Figure]:
        return draw_in_languages(partial(function, prepared_images, image_split, preparation, augmented), data_source)

    return draw(figures.draw_augmented_examples), {
        "transforms": draw(figures.draw_transforms),
        "transform_ranges": draw(figures.draw_transform_ranges),
    }


def gather_evidence(**found: Any) -> dict[str, Any]:
    """Gather the tables, figures (PNG), pages and values that the report shows of the comparison, by name."""
    return gather(found)
