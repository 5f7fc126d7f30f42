"""The bootstrap: intervals that allow for dependence between images of one patient, and between neighbouring patients.

Images of one patient are alike; resampling them one by one would make intervals too narrow (Field and Welsh 2007).
Patients of neighbouring file numbers may share a day, a room or a setting: blocks of them are resampled too, and
`find_runs` tests whether errors depend on each other along the numbers.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from chest_xray.core.libraries import np, pd
from chest_xray.core.types import Array, DataFrame
from chest_xray.images.kermany import parse_series
from chest_xray.metrics.results import UNKNOWN, Interval, Method, RunsTest

NUM_RESAMPLES = 2000
MIN_BLOCKS = 5  # of a series; a resample of fewer blocks would hardly differ from the series itself
Draws = Mapping[Method, Array]  # for each method of resampling, the whole sample first and then every resample
Metric = TypeVar("Metric", bound=str)


def resample_weights(groups: Array, seed: int) -> Array:
    """Draw patients with replacement; `groups` is the patient of each image, shape (images,).

    Returns:
        How often each image counts in each resample, float64 of shape (NUM_RESAMPLES, images).
    """
    names, patient = np.unique(groups, return_inverse=True)
    times = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), size=NUM_RESAMPLES)
    return times[:, patient].astype(float)


def resample_blocks(predictions: DataFrame, length: int, seed: int) -> Array:
    """Draw circular blocks of consecutive patients within each class and series (Politis and Romano 1992).

    As many patients are drawn from a series as it has. Its patients are in the order of their file numbers, and the
    first follows the last. Patients of series of fewer than `2 * MIN_BLOCKS` are drawn one by one.

    Args:
        predictions: `path`, `label` and `group` (the patient) of each image.
        length: Consecutive patients in a block; less where a series would have fewer than `MIN_BLOCKS` blocks.
        seed: Same seed, same draws.

    Returns:
        As `resample_weights`.
    """
    rng = np.random.default_rng(seed)
    weights = np.empty((NUM_RESAMPLES, len(predictions)))
    for series, patients in _list_series(predictions):
        num = len(patients)
        size = min(length, num // MIN_BLOCKS) if series else 1
        starts = rng.integers(num, size=(NUM_RESAMPLES, -(-num // size), 1))
        drawn = ((starts + np.arange(size)) % num).reshape(NUM_RESAMPLES, -1)[:, :num]
        cells = drawn + num * np.arange(NUM_RESAMPLES)[:, None]
        times = np.bincount(cells.ravel(), minlength=num * NUM_RESAMPLES).reshape(NUM_RESAMPLES, num)
        weights[:, np.concatenate(patients)] = times[:, np.repeat(np.arange(num), [len(rows) for rows in patients])]
    return weights


def _list_series(predictions: DataFrame) -> Iterator[tuple[str, list[Array]]]:
    """Yield each series, "" for all short ones of a class, with the rows of each of its patients in order."""
    for label, table in sort_by_file_number(predictions).groupby("label"):
        short = []
        for series, images in table.groupby("series"):
            patients = [rows.to_numpy() for _, rows in images.groupby("group", sort=False)["row"]]
            if len(patients) < 2 * MIN_BLOCKS:
                short += patients
            else:
                yield f"{label} {series}", patients
        if short:
            yield "", short


def sort_by_file_number(predictions: DataFrame) -> DataFrame:
    """Return the images in the order of their file numbers, class by class and series by series.

    With `label`, `group`, `row` (in `predictions`), and `series` and `number` from the file name; see `parse_series`.
    """
    parsed = pd.DataFrame(map(parse_series, predictions["path"]), columns=["series", "number"])
    table = predictions[["path", "label", "group"]].reset_index(drop=True).join(parsed)
    return table.assign(row=np.arange(len(table))).sort_values(["label", "series", "number", "path"])


def interval(estimate: float, resampled: Array) -> Interval:
    """Join an estimate with the percentile 95% interval of its values in each resample, shape (resamples,).

    NaN is ignored. None stands for an infinite bound, and for all three values if the estimate is not finite or each
    resample NaN.
    """
    defined = resampled[~np.isnan(resampled)]
    if not np.isfinite(estimate) or not len(defined):
        return UNKNOWN
    with np.errstate(invalid="ignore"):  # between a number and infinity
        low, high = np.quantile(defined, [0.025, 0.975]).tolist()
    low, high = (bound if math.isfinite(bound) else None for bound in (low, high))
    return Interval(value=float(estimate), low=low, high=high)


def find_widest(estimate: float, resampled: Draws) -> Interval:
    """Return the widest `interval` of an estimate over the methods of resampling; an unbounded one is the widest."""
    result = widest(*(interval(estimate, values).with_method(method) for method, values in resampled.items()))
    return UNKNOWN if result.value is None else result


def widest(*intervals: Interval) -> Interval:
    """Return the widest of several intervals of one value, the first of equals."""

    def width(candidate: Interval) -> float:
        return math.inf if candidate.low is None or candidate.high is None else candidate.high - candidate.low

    return max(intervals, key=width)


def draw_patient_resamples(groups: Array, seed: int) -> Array:
    """Return the weights of the sample itself, all 1, and below them those of `resample_weights`, as one array."""
    return np.vstack([np.ones(len(groups)), resample_weights(groups, seed)])


def draw_resamples(predictions: DataFrame, block_length: int, seed: int) -> dict[Method, Array]:
    """Return for `resample_weights` and `resample_blocks` the weights of the sample itself, all 1, above the others."""
    blocks = np.vstack([np.ones(len(predictions)), resample_blocks(predictions, block_length, seed)])
    return {"patients": draw_patient_resamples(predictions["group"].to_numpy(), seed), "blocks": blocks}


def compute_in_resamples(
    compute: Callable[[Array], Mapping[Metric, Array]], draws: Draws
) -> dict[Metric, dict[Method, Array]]:
    """Compute metrics for each method of resampling; `compute` returns them by name from the weights of the images."""
    by_method = {method: compute(weights) for method, weights in draws.items()}
    names = next(iter(by_method.values()))
    return {name: {method: metrics[name] for method, metrics in by_method.items()} for name in names}


def find_runs(predictions: DataFrame, decision: Array) -> list[RunsTest]:
    """Test whether errors come in runs along the file numbers of each series (Wald and Wolfowitz 1940).

    Only the first image of each patient counts, as further ones would make runs of their own. There is one test for
    each class and series of at least `2 * MIN_BLOCKS` patients, with p-values corrected by `correct_by_holm`.

    Args:
        predictions: `path`, `label` and `group` of each image.
        decision: True where an image is classified as PNEUMONIA, shape (images,).
    """
    table = sort_by_file_number(predictions).drop_duplicates(["label", "series", "group"])
    table = table.assign(is_error=(decision != predictions["label"].to_numpy())[table["row"]])
    tests = [
        (str(series), count_runs(errors.to_numpy()))
        for (_, series), errors in table.groupby(["label", "series"])["is_error"]
        if len(errors) >= 2 * MIN_BLOCKS
    ]
    corrected = correct_by_holm([runs["p"] for _, runs in tests])
    return [RunsTest(series=name, **runs, p_holm=p) for (name, runs), p in zip(tests, corrected, strict=True)]


def count_runs(errors: Array) -> dict[str, float]:
    """Count the runs of equal values in a sequence, bool of shape (images,); with the fields of `RunsTest`.

    The exact `p` is two-sided: twice the smaller tail over all orders of these values, at most 1.
    """
    num, num_errors = len(errors), int(errors.sum())
    num_runs = 1 + int((errors[1:] != errors[:-1]).sum())
    orders = [_count_orders(count, num_errors, num - num_errors) for count in range(num + 1)]
    total = math.comb(num, num_errors)
    tail = min(sum(orders[: num_runs + 1]), sum(orders[num_runs:])) / total
    expected = 1 + 2 * num_errors * (num - num_errors) / num
    return {"num": num, "num_errors": num_errors, "num_runs": num_runs, "expected": expected, "p": min(2 * tail, 1.0)}


def _count_orders(runs: int, first: int, second: int) -> int:
    """Count the orders of `first` values of one kind and `second` of another that have `runs` runs (Mood 1940)."""
    if min(first, second) == 0:
        return int(runs == 1)

    def split(num: int, parts: int) -> int:  # ways to cut `num` values into non-empty parts
        return math.comb(num - 1, parts - 1) if parts else 0

    fewer, more = runs // 2, runs - runs // 2
    return split(first, more) * split(second, fewer) + split(first, fewer) * split(second, more)


def correct_by_holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number (Holm 1979), which limits the chance of one or more false findings."""
    ascending, order = np.sort(p_values), np.argsort(p_values)
    stepped = np.minimum(1.0, np.arange(len(p_values), 0, -1) * ascending)
    corrected: list[float] = np.maximum.accumulate(stepped)[np.argsort(order)].tolist()
    return corrected
