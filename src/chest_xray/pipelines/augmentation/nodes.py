"""Did augmentation help? Two runs that differ in it alone, compared image by image on the same test split."""

from collections.abc import Callable
from typing import Any

from chest_xray.augment import augment
from chest_xray.batches import scale
from chest_xray.options import InputError
from chest_xray.pipelines.augmentation import conclusions
from chest_xray.pipelines.evaluation.nodes import Evaluation
from chest_xray.pipelines.modeling.training import Run
from chest_xray.radiographs import CLASSES
from chest_xray.resampling import bootstrap_difference, resample_weights, weighted_auc
from chest_xray.types import Array, DataFrame, Figure
from chest_xray.wording import Finding, Language, render

RUNS = ("baseline", "augmented")
NUM_COPIES = 5  # shown beside each original


def draw_augmented_examples(prepared_images: Array, image_split: DataFrame, run: Run, data_source: str) -> Figure:
    """Show a healthy and a diseased training image, each beside copies as training sees them.

    Args:
        prepared_images: uint8 of shape (images, height, width), one for each row of `image_split`.
        image_split: One row an image.
        run: Its augmentation is shown.
        data_source: Printed below the pictures.
    """
    import numpy as np

    from chest_xray.figures import PAGE_WIDTH, new_figure, show_image

    figure, axes = new_figure(data_source, columns=1 + NUM_COPIES, rows=2, width=PAGE_WIDTH, height=3.5)
    for label, row_of_axes in enumerate(axes):
        row = np.flatnonzero((image_split["subset"] == "train") & (image_split["label"] == label))[0]
        image = scale(prepared_images[row])
        copies = augment(np.stack([image] * NUM_COPIES), run.augmentation, seed=(label, 0))
        show_image(row_of_axes[0], np.asarray(image)[..., 0], f"{CLASSES[label]}: original")
        for place, copy in zip(row_of_axes[1:], np.asarray(copies)[..., 0], strict=True):
            show_image(place, copy, "altered copy")
    return figure


def pair_predictions(
    baseline_predictions: DataFrame,
    augmented_predictions: DataFrame,
    baseline_point: dict[str, Any],
    augmented_point: dict[str, Any],
) -> DataFrame:
    """Put what the two runs say of each test image into one row.

    Args:
        baseline_predictions: Test predictions of the run without augmentation.
        augmented_predictions: The same of the run with it.
        baseline_point: Operating point of the first run.
        augmented_point: Of the second run.

    Returns:
        `path`, `group`, `aetiology`, `label`; of each run `probability_{run}` and `decision_{run}` (True: PNEUMONIA).

    Raises:
        InputError: The two runs were tested on different images.
    """
    if baseline_predictions["path"].tolist() != augmented_predictions["path"].tolist():
        raise InputError(
            f"the runs were tested on different images ({len(baseline_predictions)} and {len(augmented_predictions)}); "
            "expected the same in the same order. Run `kedro run` again, so that both stand on the data as it is now."
        )
    pairs = baseline_predictions[["path", "group", "aetiology", "label"]].copy()
    for run, table, point in zip(
        RUNS, (baseline_predictions, augmented_predictions), (baseline_point, augmented_point), strict=True
    ):
        pairs[f"probability_{run}"] = table["probability"].to_numpy()
        pairs[f"decision_{run}"] = (table["probability"] >= point["threshold"]).to_numpy()
    return pairs


def compare_runs(paired_predictions: DataFrame, evaluation: Evaluation) -> dict[str, Any]:
    """Estimate by how much augmentation changed each metric on test.

    Args:
        paired_predictions: From `pair_predictions`.
        evaluation: Seed of the bootstrap.

    Returns:
        `num_images`, `num_healthy`, `num_diseased`, `num_groups`; `metrics`: for accuracy, sensitivity, specificity and
        auc the value of each run, and `difference` (augmented minus baseline) with the 95% interval of a bootstrap
        over patients, paired: both
        runs are judged on the same resamples; `mcnemar`: how many wrong decisions augmentation `mended`, how many it
        `broke`, and `p`, two-sided and exact (McNemar 1947), that such a split is chance.
    """
    import numpy as np

    weights = resample_weights(paired_predictions["group"].to_numpy(), evaluation.seed)
    whole = np.ones((1, len(paired_predictions)))
    measured: dict[str, Any] = {}
    for name in ("accuracy", "sensitivity", "specificity", "auc"):
        first, second = (_metric(name, paired_predictions, run) for run in RUNS)
        values = {run: float(metric(whole)[0]) for run, metric in zip(RUNS, (first, second), strict=True)}
        measured[name] = {**values, "difference": bootstrap_difference(first, second, weights)}
    return {
        "num_images": len(paired_predictions),
        "num_healthy": int((paired_predictions["label"] == 0).sum()),
        "num_diseased": int((paired_predictions["label"] == 1).sum()),
        "num_groups": int(paired_predictions["group"].nunique()),
        "metrics": measured,
        "mcnemar": _mcnemar(paired_predictions),
    }


def _metric(name: str, pairs: DataFrame, run: str) -> Callable[[Array], Array]:
    """A metric of one run as a function of weights (resamples, images)."""
    label = pairs["label"].to_numpy()
    if name == "auc":
        return lambda weights: weighted_auc(label, pairs[f"probability_{run}"].to_numpy(), weights)
    right = (pairs[f"decision_{run}"].to_numpy() == label).astype(float)
    counted = {"accuracy": label >= 0, "sensitivity": label == 1, "specificity": label == 0}[name].astype(float)
    return lambda weights: _share(weights @ (right * counted), weights @ counted)


def _share(part: Array, whole: Array) -> Array:
    """Part / whole, NaN where a resample has nothing to count."""
    import numpy as np

    return np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)


def _mcnemar(pairs: DataFrame) -> dict[str, Any]:
    from scipy.stats import binomtest

    right = {run: pairs[f"decision_{run}"] == (pairs["label"] == 1) for run in RUNS}
    mended = int((right["augmented"] & ~right["baseline"]).sum())
    broken = int((right["baseline"] & ~right["augmented"]).sum())
    p = binomtest(mended, mended + broken).pvalue if mended + broken else 1.0
    return {"mended": mended, "broken": broken, "p": float(p)}


def tabulate_comparison(comparison: dict[str, Any]) -> DataFrame:
    """Lay the comparison out: one row a metric, with `baseline`, `augmented`, `difference`, `low`, `high`."""
    import pandas as pd

    counted = {"sensitivity": comparison["num_diseased"], "specificity": comparison["num_healthy"]}
    rows = [
        {"metric": name, "n": counted.get(name, comparison["num_images"])}
        | {run: each[run] for run in RUNS}
        | {"difference": each["difference"]["value"]}
        | {bound: each["difference"][bound] for bound in ("low", "high")}
        for name, each in comparison["metrics"].items()
    ]
    return pd.DataFrame(rows).round(4)


def draw_comparison(comparison: dict[str, Any], data_source: str) -> Figure:
    """Draw what augmentation changed in each metric, with its interval, beside a line at no change.

    Args:
        comparison: From `compare_runs`.
        data_source: Printed below the plot.
    """
    from chest_xray.figures import BLUE, GREY, PAGE_WIDTH, label_axes, new_figure

    figure, axes = new_figure(data_source, width=PAGE_WIDTH, height=3.6)
    beside = {"transform": axes.get_yaxis_transform(), "va": "center", "fontsize": 9}
    axes.text(1.02, len(comparison["metrics"]) - 0.5, " → ".join(RUNS), **beside)
    for height, each in enumerate(reversed(comparison["metrics"].values())):
        change = {key: 100 * value for key, value in each["difference"].items()}
        axes.plot([change["low"], change["high"]], [height, height], color=BLUE, linewidth=2)
        axes.plot(change["value"], height, "D", color=BLUE)
        values = f"{each['baseline']:.3f} → {each['augmented']:.3f}"
        axes.text(1.02, height, values, **beside)
    axes.axvline(0, color=GREY, linestyle=":")
    num = {"sensitivity": comparison["num_diseased"], "specificity": comparison["num_healthy"]}
    names = [f"{name}: n = {num.get(name, comparison['num_images'])}" for name in reversed(comparison["metrics"])]
    axes.set_yticks(range(len(names)), [name.replace("auc", "AUC") for name in names])
    axes.margins(x=0.1, y=0.2)
    title = f"Augmented minus baseline on {comparison['num_images']} test images"
    label_axes(axes, title, ("points (hundredths), with 95% interval over patients", ""))
    return figure


def find_comparison(
    comparison: dict[str, Any], baseline_history: DataFrame, augmented_history: DataFrame
) -> dict[str, list[Finding]]:
    """Find whether augmentation helped, as far as the numbers tell.

    Args:
        comparison: From `compare_runs`.
        baseline_history: One row an epoch of the run without augmentation.
        augmented_history: The same of the run with it.

    Returns:
        From the key of a heading to what stands below it.
    """
    steps = {}
    for run, history in zip(RUNS, (baseline_history, augmented_history), strict=True):
        steps[f"{run}_steps"] = int(history["steps"].max())
        steps[f"{run}_kept"] = int(history.loc[history["kept"], "steps"].iloc[0])
    return {
        "answer": [conclusions.answer(comparison["metrics"])],
        "in_numbers": list(conclusions.in_numbers(comparison)),
        "how_compared": list(conclusions.how_compared(steps)),
    }


def write_comparison(found_comparison: dict[str, list[Finding]], data_source: str, language: Language) -> str:
    """Write what was found as a page.

    Args:
        found_comparison: From `find_comparison`.
        data_source: Stands on the page.
        language: Of the page.

    Returns:
        Markdown.
    """
    return render("comparison_title", found_comparison, {"data_source": data_source}, language.root)
