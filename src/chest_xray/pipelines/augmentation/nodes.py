"""All nodes of augmentation: compare two runs that differ in it alone, image by image on the same test split."""

from typing import Any

from chest_xray.core.options import InputError
from chest_xray.core.types import Array, DataFrame, Figure
from chest_xray.images.preprocessing import Preparation
from chest_xray.metrics.bootstrap import draw_resamples
from chest_xray.metrics.comparison import (
    METRICS,
    RUNS,
    compare_decisions,
    estimate_difference,
    resample_metrics,
    subtract,
)
from chest_xray.metrics.summary import Evaluation
from chest_xray.models.training import Run
from chest_xray.reporting import augmentation_figures as figures
from chest_xray.reporting.comparison_figures import draw_paired_differences
from chest_xray.reporting.comparison_findings import find_comparison
from chest_xray.reporting.i18n import Language, render
from chest_xray.reporting.report_contents import gather


def pair_decisions(baseline_evidence: dict[str, Any], augmented_evidence: dict[str, Any]) -> DataFrame:
    """Join the decisions of both runs (`decide_images`), one row a test image.

    Returns:
        `path`, `group`, `aetiology`, `label`; and of each run `probability_{run}`, `decision_{run}` (True: PNEUMONIA),
        `steps_{run}` and `kept_steps_{run}`.

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
    for run, table in zip(RUNS, (first, second), strict=True):
        for name in ("log_odds", "probability", "decision", "steps", "kept_steps"):
            pairs[f"{name}_{run}"] = table[name].to_numpy()
    return pairs


def compare_runs(paired_predictions: DataFrame, evaluation: Evaluation) -> dict[str, Any]:
    """Estimate by how much augmentation changed each metric on test.

    Returns:
        `num_images`, `num_healthy`, `num_diseased`, `num_groups`; `metrics`: of accuracy, sensitivity, specificity and
        auc the value of each run, `difference` (augmented minus baseline; standard error and 95% interval of a paired
        bootstrap over patients) and `smallest`, the minimum detectable difference (80% power); `mcnemar`, see
        `compare_decisions`; `steps` of the optimizer in each run. Intervals cover other patients, not other seeds.
    """
    draws = draw_resamples(paired_predictions, evaluation.block_length, evaluation.seed)
    names = {run: {f"{kind}_{run}": kind for kind in ("log_odds", "decision")} for run in RUNS}
    values = {run: resample_metrics(paired_predictions.rename(columns=names[run]), draws) for run in RUNS}
    measured: dict[str, Any] = {}
    for name in METRICS:
        first, second = (values[run][name] for run in RUNS)
        difference = estimate_difference(subtract(second, first))
        smallest = difference.pop("smallest")
        found = {run: float(values[run][name]["patients"][0]) for run in RUNS}
        measured[name] = {**found, "difference": difference, "smallest": smallest}
    label, *decisions = (paired_predictions[name].to_numpy() for name in ("label", *map("decision_{}".format, RUNS)))
    return {
        "num_images": len(paired_predictions),
        "num_healthy": int((paired_predictions["label"] == 0).sum()),
        "num_diseased": int((paired_predictions["label"] == 1).sum()),
        "num_groups": int(paired_predictions["group"].nunique()),
        "metrics": measured,
        "mcnemar": compare_decisions(label, *decisions),
        "steps": {
            f"{run}_{short}": int(paired_predictions[f"{name}_{run}"].iloc[0])
            for run in RUNS
            for short, name in (("steps", "steps"), ("kept", "kept_steps"))
        },
    }


def tabulate_comparison(comparison: dict[str, Any]) -> DataFrame:
    """Return one row a metric: `n`, `baseline`, `augmented`, `difference`, `low`, `high`, `smallest`."""
    import pandas as pd

    counted = {"sensitivity": comparison["num_diseased"], "specificity": comparison["num_healthy"]}
    rows = [
        {"metric": name, "n": counted.get(name, comparison["num_images"])}
        | {run: each[run] for run in RUNS}
        | {"difference": each["difference"]["value"]}
        | {bound: each["difference"][bound] for bound in ("low", "high")}
        | {"smallest": each["smallest"]}
        for name, each in comparison["metrics"].items()
    ]
    return pd.DataFrame(rows).round(4)


def write_comparison(comparison: dict[str, Any], data_source: str, language: Language) -> str:
    """Write the conclusions of the comparison in Markdown."""
    return render("comparison_title", find_comparison(comparison), {"data_source": data_source}, language.root)


def draw_comparison(comparison: dict[str, Any], data_source: str) -> Figure:
    """Draw the paired differences."""
    return draw_paired_differences(comparison, data_source)


def draw_augmentation(
    prepared_images: Array, image_split: DataFrame, preparation: Preparation, augmented: Run, data_source: str
) -> tuple[Figure, dict[str, Figure]]:
    """Draw originals beside their copies; and by name each transform alone, and the ends of its range."""
    shown = (prepared_images, image_split, preparation, augmented, data_source)
    return figures.draw_augmented_examples(*shown), {
        "transforms": figures.draw_transforms(*shown),
        "transform_ranges": figures.draw_transform_ranges(*shown),
    }


def gather_evidence(**found: Any) -> dict[str, Any]:
    """Gather the tables, figures (PNG), pages and values that the report shows of the comparison, by name."""
    return gather(found)
