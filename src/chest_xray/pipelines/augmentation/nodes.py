"""All nodes of augmentation: compare two runs that differ in it alone, image by image on the same test split."""

from collections.abc import Callable
from functools import partial
from typing import Any

from chest_xray.core.libraries import pd
from chest_xray.core.types import Array, DataFrame, Figure, InputError
from chest_xray.images.preprocessing import Preparation
from chest_xray.metrics.binary import count_cells, proportions
from chest_xray.metrics.bootstrap import draw_resamples
from chest_xray.metrics.comparison import (
    METRICS,
    PASSES,
    RUNS,
    Cell,
    ComparedMetric,
    Comparison,
    MetricName,
    OptimizerSteps,
    PairedDifference,
    Passes,
    Resampled,
    RunName,
    Study,
    compare_decisions,
    count_images,
    estimate_difference,
    list_differing_settings,
    resample_metrics,
    select_same_comparison,
    subtract,
)
from chest_xray.metrics.summary import Evaluation, estimate, widen
from chest_xray.models.training import Run
from chest_xray.reporting import image_figures as figures
from chest_xray.reporting.comparison import draw_paired_differences, find_comparison
from chest_xray.reporting.i18n import Language, render
from chest_xray.reporting.report_contents import make_storable
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
) -> Comparison:
    """Estimate by how much augmentation in training changed each metric on test, and by how much flips did.

    `run_record` has the `study` of several seeds, or None: the hook `RecordRun` adds it to the record, since the study
    is made on request and this node must run without it.
    """
    draws = draw_resamples(paired_predictions, evaluation.block_length, evaluation.seed)
    cells = {(run, passes): _select_cell(paired_predictions, run, passes) for run in RUNS for passes in PASSES}
    values = {key: resample_metrics(cell, draws) for key, cell in cells.items()}
    names = ("label", *(f"decision_single_{run}" for run in RUNS))
    settings = [evidence["settings"] for evidence in (baseline_evidence, augmented_evidence)]
    epochs = [len(evidence["history"]) for evidence in (baseline_evidence, augmented_evidence)]
    study = run_record["study"]
    return Comparison(
        **count_images(paired_predictions),
        metrics=_compare_metrics(*(values[run, "single"] for run in RUNS)),
        mcnemar=compare_decisions(*(paired_predictions[name].to_numpy() for name in names)),
        cells=[_measure_cell(*key, cell, values[key]) for key, cell in cells.items()],
        flips={run: _subtract_metrics(values[run, "flips"], values[run, "single"]) for run in RUNS},
        settings=list_differing_settings(*settings),
        steps=_read_steps(paired_predictions),
        stopped_early=[
            run
            for run, num_epochs, planned in zip(RUNS, epochs, settings, strict=True)
            if num_epochs < planned["training"]["epochs"]
        ],
        study=select_same_comparison(None if study is None else Study.model_validate(study)),
    )


def _select_cell(pairs: DataFrame, run: RunName, passes: Passes) -> DataFrame:
    return pairs.rename(columns={f"logit_{passes}_{run}": "log_odds", f"decision_{passes}_{run}": "decision"})


def _compare_metrics(baseline: Resampled, augmented: Resampled) -> dict[MetricName, ComparedMetric]:
    return {
        name: ComparedMetric(
            baseline=float(baseline[name]["patients"][0]),
            augmented=float(augmented[name]["patients"][0]),
            difference=difference,
        )
        for name, difference in _subtract_metrics(augmented, baseline).items()
    }


def _subtract_metrics(first: Resampled, second: Resampled) -> dict[MetricName, PairedDifference]:
    return {name: estimate_difference(subtract(first[name], second[name])) for name in METRICS}


def _measure_cell(run: RunName, passes: Passes, cell: DataFrame, measured: Resampled) -> Cell:
    label, decision = cell["label"].to_numpy(), cell["decision"].to_numpy()
    wilson = dict(proportions(count_cells(label, decision)))
    intervals = {name: estimate(resampled, len(cell)) for name, resampled in measured.items()}
    return Cell(
        run=run,
        passes=passes,
        **{name: widen(own, wilson[name]) if name in wilson else own for name, own in intervals.items()},
    )


def _read_steps(pairs: DataFrame) -> OptimizerSteps:
    first = pairs.iloc[0]
    return OptimizerSteps(
        **{f"{run}_steps": int(first[f"steps_{run}"]) for run in RUNS},
        **{f"{run}_kept": int(first[f"kept_steps_{run}"]) for run in RUNS},
    )


def tabulate_comparison(comparison: Comparison) -> DataFrame:
    """Return one row a metric: `n`, `baseline`, `augmented`, `difference`, `low`, `high`, `detectable`."""
    rows = [
        {
            "metric": name,
            "n": comparison.count(name),
            "baseline": metric.baseline,
            "augmented": metric.augmented,
            "difference": metric.difference.value,
            "low": metric.difference.low,
            "high": metric.difference.high,
            "detectable": metric.difference.detectable or None,  # none where no resample differs
        }
        for name, metric in comparison.metrics.items()
    ]
    return pd.DataFrame(rows)


def write_comparison(comparison: Comparison, data_source: str, language: Language) -> str:
    """Write the conclusions of the comparison in Markdown."""
    return render("comparison_title", find_comparison(comparison), {"data_source": data_source}, language.root)


def draw_comparison(comparison: Comparison, data_source: str) -> dict[str, Figure]:
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


def gather_evidence(**outputs: Any) -> dict[str, Any]:
    """Gather the tables, figures (PNG), pages and values that the report shows of the comparison, by name."""
    return make_storable(outputs)
