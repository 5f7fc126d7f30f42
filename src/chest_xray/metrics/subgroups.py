"""Metrics of strata: by aetiology, by aspect and size of the image, and by series and file number.

Also of the same images under several conditions, such as corruptions, each compared with the first, image by image.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

from chest_xray.core.libraries import np, pd
from chest_xray.core.types import Array, DataFrame, InputError
from chest_xray.metrics.binary import count_cells, divide_or_nan, proportion
from chest_xray.metrics.bootstrap import MIN_BLOCKS, Draws, correct_by_holm, draw_resamples, sort_by_file_number
from chest_xray.metrics.comparison import METRICS, MetricName, estimate_difference, resample_metrics, subtract
from chest_xray.metrics.operating_point import OperatingPoint, add_calibrated
from chest_xray.metrics.results import UNKNOWN, Estimate, Stratum
from chest_xray.metrics.summary import Evaluation, bootstrap_auc, count_decisions, estimate, widen

MIN_CLASS_IMAGES = 10  # resampling fewer makes intervals that are too narrow, down to a point
COMPARED: tuple[MetricName, ...] = ("accuracy", "auc")  # of which the differences are tested


def measure_shape(images: DataFrame, by: str) -> Array:
    """Return the "aspect" (width / height) or "size" (pixels: the side of a square of the same area) of each image.

    `images` has `width` and `height` of the original in pixels. float64 of shape (images,).
    """
    width, height = (images[name].to_numpy(float) for name in ("width", "height"))
    return width / height if by == "aspect" else (width * height) ** 0.5


def choose_cuts(
    validation_predictions: DataFrame, aspect_cuts: tuple[float, ...], size_quantiles: tuple[float, ...]
) -> dict[str, list[float]]:
    """Choose the limits of strata by `aspect` and `size` (see `measure_shape`), ascending, from validation alone.

    `size_quantiles` are shares in (0, 1) of the validation images, whose sizes become the cuts.
    """
    sizes = np.quantile(measure_shape(validation_predictions, "size"), size_quantiles)
    return {"aspect": sorted(set(aspect_cuts)), "size": sorted(set(sizes.tolist()))}


def stratify(
    predictions: DataFrame,
    decision: Array,
    cuts: dict[str, list[float]],
    num_series_blocks: int,
    draws: Draws,
) -> list[Stratum]:
    """Compute the metrics of each stratum.

    Args:
        predictions: `path`, `label`, `log_odds`, `group`, `aetiology`, `width` and `height` of each image.
        decision: True where an image is classified as PNEUMONIA, shape (images,).
        cuts: From `choose_cuts`.
        num_series_blocks: Strata of consecutive file numbers in each series of a class.
        draws: From `chest_xray.metrics.bootstrap.draw_resamples`.

    Returns:
        Each from `low` and below `high` (None: no bound). Metrics are None where the stratum lacks a class, and the
        bounds of the AUC also where it has fewer than `MIN_CLASS_IMAGES` images of one. The images of an aetiology are
        ranked against all NORMAL images, and their specificity is None, as it is not a property of the aetiology. A
        stratum of a series is of one class.
    """
    strata = [*_list_image_strata(predictions, cuts), *_list_series_strata(predictions, num_series_blocks)]
    return [
        _measure(
            predictions[member], decision[member], range_, {name: weights[:, member] for name, weights in draws.items()}
        )
        for range_, member in strata
    ]


class _Range(NamedTuple):
    by: Literal["aetiology", "aspect", "size", "series"]
    name: str
    low: float | None = None
    high: float | None = None


def _list_image_strata(predictions: DataFrame, cuts: dict[str, list[float]]) -> Iterator[tuple[_Range, Array]]:
    is_normal = (predictions["label"] == 0).to_numpy()
    for name in sorted(predictions.loc[~is_normal, "aetiology"].unique()):
        member = is_normal | (predictions["aetiology"] == name).to_numpy()
        yield _Range("aetiology", str(name)), member
    for by, inner in cuts.items():
        values = measure_shape(predictions, by)
        for low, high in zip([None, *inner], [*inner, None], strict=True):
            member = (values >= (low or 0)) & (values < (high or float("inf")))
            yield _Range("aspect" if by == "aspect" else "size", format_range(low, high, by), low, high), member


def _list_series_strata(predictions: DataFrame, num_series_blocks: int) -> Iterator[tuple[_Range, Array]]:
    """Cut each series of a class with enough patients into blocks of equally many consecutive patients."""
    for (_, series), images in sort_by_file_number(predictions).groupby(["label", "series"]):
        patients = images["group"].unique()
        if len(patients) < 2 * MIN_BLOCKS:
            continue
        for block in np.array_split(patients, num_series_blocks):
            rows = images[images["group"].isin(block)]
            name = f"{series} {rows['number'].min()}-{rows['number'].max()}".strip()
            yield _Range("series", name), np.isin(np.arange(len(predictions)), rows["row"])


def format_range(low: float | None, high: float | None, by: str) -> str:
    """Format a stratum in signs that need no translation, such as "1.20-1.50" or "≥ 1.50"."""
    decimals = 2 if by == "aspect" else 0
    if high is None:
        return f"≥ {low:.{decimals}f}" if low is not None else "≥ 0"
    return f"< {high:.{decimals}f}" if low is None else f"{low:.{decimals}f}-{high:.{decimals}f}"


def estimate_share(is_counted: Array, member: Array, draws: Draws) -> Estimate:
    """Return the share of `is_counted`, such as correct decisions, among the images that are `member`.

    Both are bool of shape (images,), and `draws` are from `draw_resamples` for these images. With the widest 95%
    interval, that of Wilson for fewer than `MIN_CLASS_IMAGES`; None if there is no such image.
    """
    num = int(member.sum())
    wilson = proportion(int(is_counted[member].sum()), num)
    if num < MIN_CLASS_IMAGES:
        return wilson
    shares = {
        method: divide_or_nan(weights @ (is_counted & member), weights @ member) for method, weights in draws.items()
    }
    return widen(estimate(shares, num), wilson)


def estimate_auc(images: DataFrame, draws: Draws) -> Estimate:
    """Return the AUC, None if a class is missing, and without bounds if it has fewer than `MIN_CLASS_IMAGES` images."""
    least = min(int((images["label"] == label).sum()) for label in (0, 1))
    area = bootstrap_auc(images, draws) if least else UNKNOWN.with_n(len(images))
    return area if least >= MIN_CLASS_IMAGES else area.model_copy(update={"low": None, "high": None, "method": None})


def _measure(images: DataFrame, decision: Array, range_: _Range, draws: Draws) -> Stratum:
    label = images["label"].to_numpy()
    is_correct = decision == (label == 1)
    counts = count_cells(label, decision)
    return Stratum(
        **range_._asdict(),
        **counts,
        num_images=len(images),
        num_normal=counts["tn"] + counts["fp"],
        num_pneumonia=counts["fn"] + counts["tp"],
        sensitivity=estimate_share(is_correct, label == 1, draws),
        specificity=estimate_share(is_correct, (label == 0) & (range_.by != "aetiology"), draws),
        auc=estimate_auc(images, draws),
    )


def measure_conditions(
    conditions: Mapping[Any, DataFrame], operating_point: OperatingPoint, evaluation: Evaluation
) -> DataFrame:
    """Measure each condition, and its paired difference from the first, with the same draws for all.

    Args:
        conditions: Of each `path`, `label`, `group` and `logit`, one row an image, in the same order.
        operating_point: Its calibration, and the point that decides.
        evaluation: Seed and block length of the bootstrap.

    Returns:
        One row a condition: `n` (images), `threshold`; `accuracy`, `sensitivity`, `specificity` and `auc`, with the
        suffixes `_low` and `_high` for the widest 95% interval; and of `COMPARED` (missing in the first row)
        `_change`, the condition minus the first, `_change_low`, `_change_high`, and `_p`, corrected for the number of
        conditions by Holm's method.

    Raises:
        InputError: The conditions are not of the same images.
    """
    first = next(iter(conditions.values()))
    paths = first["path"].tolist()
    if different := [name for name, table in conditions.items() if table["path"].tolist() != paths]:
        raise InputError(
            f"the conditions {different} are not of the same test images in the same order as the first condition; "
            "expected the same images. Run the evaluation again, so that all are of the current data."
        )
    draws = draw_resamples(first, evaluation.block_length, evaluation.seed)
    point = operating_point.chosen
    calibrated = [add_calibrated(table, operating_point) for table in conditions.values()]
    decided = [table.assign(decision=table["log_odds"] >= point.log_odds) for table in calibrated]
    resampled = [resample_metrics(table, draws) for table in decided]
    rows: list[dict[str, Any]] = []
    for table, metrics in zip(decided, resampled, strict=True):
        row: dict[str, Any] = {"n": len(table), "threshold": point.threshold}
        counted = dict(count_decisions(table, point))
        for name in METRICS:
            result = estimate(metrics[name], len(table))
            result = result if name == "auc" else widen(result, counted[name])
            row |= {name: result.value, f"{name}_low": result.low, f"{name}_high": result.high}
        rows.append(row)
    for name in COMPARED:
        changes = [estimate_difference(subtract(metrics[name], resampled[0][name])) for metrics in resampled[1:]]
        corrected = correct_by_holm([change.p for change in changes])
        for row, change, p in zip(rows[1:], changes, corrected, strict=True):
            row |= {f"{name}_change": change.value, f"{name}_p": p}
            row |= {f"{name}_change_low": change.low, f"{name}_change_high": change.high}
    columns = [f"{name}_{suffix}" for name in COMPARED for suffix in ("change", "change_low", "change_high", "p")]
    return pd.DataFrame(rows, columns=[*rows[0], *columns])
