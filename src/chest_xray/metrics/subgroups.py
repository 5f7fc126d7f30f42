"""Metrics by kind of image: by aetiology, by shape and size of the picture, and by series and file number."""

from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

from chest_xray.core.types import Array, DataFrame
from chest_xray.metrics.binary import count_outcomes, divide_or_nan, proportion
from chest_xray.metrics.bootstrap import MIN_BLOCKS, bootstrap_auc, sort_by_file_number
from chest_xray.metrics.results import UNKNOWN, Estimate, Interval, Method, Stratum
from chest_xray.metrics.summary import estimate, widen

MIN_CLASS_IMAGES = 10  # resampling fewer makes intervals that are too narrow, down to a point


def measure_shape(images: DataFrame, by: str) -> Array:
    """Return the property of the original image that strata are cut by.

    Args:
        images: `width` and `height` in pixels.
        by: "aspect" (width / height) or "size" (pixels: the side of a square of the same area).

    Returns:
        float64 of shape (images,).
    """
    width, height = (images[name].to_numpy(float) for name in ("width", "height"))
    return width / height if by == "aspect" else (width * height) ** 0.5


def choose_cuts(
    validation_predictions: DataFrame, aspect_cuts: tuple[float, ...], size_quantiles: tuple[float, ...]
) -> dict[str, list[float]]:
    """Fix where strata begin and end, from validation alone.

    Args:
        validation_predictions: `width` and `height` of the validation images, whose patients are drawn from train.
        aspect_cuts: Width / height.
        size_quantiles: Shares in (0, 1) of the validation images, whose sizes become the cuts.

    Returns:
        `aspect` and `size`: ascending, each once.
    """
    import numpy as np

    sizes = np.quantile(measure_shape(validation_predictions, "size"), size_quantiles)
    return {"aspect": sorted(set(aspect_cuts)), "size": sorted(set(sizes.tolist()))}


def stratify(
    predictions: DataFrame,
    decision: Array,
    cuts: dict[str, list[float]],
    num_series_blocks: int,
    draws: Mapping[Method, Array],
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
        ranked against all NORMAL images, whose specificity is not that of an aetiology: it stays None. A stratum of a
        series is of one class.
    """
    strata = [*_strata(predictions, cuts), *_number_strata(predictions, num_series_blocks)]
    return [
        _measure(predictions[member], decision[member], range_, {name: each[:, member] for name, each in draws.items()})
        for range_, member in strata
    ]


class _Range(NamedTuple):
    by: Literal["aetiology", "aspect", "size", "series"]
    name: str
    low: float | None = None
    high: float | None = None


def _strata(predictions: DataFrame, cuts: dict[str, list[float]]) -> Iterator[tuple[_Range, Array]]:
    is_normal = (predictions["label"] == 0).to_numpy()
    for name in sorted(predictions.loc[~is_normal, "aetiology"].unique()):
        member = is_normal | (predictions["aetiology"] == name).to_numpy()
        yield _Range("aetiology", str(name)), member
    for by, inner in cuts.items():
        values = measure_shape(predictions, by)
        for low, high in zip([None, *inner], [*inner, None], strict=True):
            member = (values >= (low or 0)) & (values < (high or float("inf")))
            yield _Range("aspect" if by == "aspect" else "size", name_range(low, high, by), low, high), member


def _number_strata(predictions: DataFrame, num_series_blocks: int) -> Iterator[tuple[_Range, Array]]:
    """Cut each series of a class with enough patients into blocks of as many consecutive patients."""
    import numpy as np

    for (_, series), images in sort_by_file_number(predictions).groupby(["label", "series"]):
        patients = images["group"].unique()
        if len(patients) < 2 * MIN_BLOCKS:
            continue
        for block in np.array_split(patients, num_series_blocks):
            chosen = images[images["group"].isin(block)]
            member = np.zeros(len(predictions), bool)
            member[chosen["row"]] = True
            name = f"{series} {chosen['number'].min()}-{chosen['number'].max()}".strip()
            yield _Range("series", name), member


def name_range(low: float | None, high: float | None, by: str) -> str:
    """Write a stratum in signs that need no translation, such as "1.20-1.50" or "≥ 1.50"."""
    ends = [None if end is None else f"{end:.2f}" if by == "aspect" else f"{end:.0f}" for end in (low, high)]
    if ends[1] is None:
        return f"≥ {ends[0] or 0}"
    return f"< {ends[1]}" if ends[0] is None else f"{ends[0]}-{ends[1]}"


def estimate_share(is_counted: Array, member: Array, draws: Mapping[Method, Array]) -> Estimate:
    """Return the share of some images that are counted, such as correct decisions, with the widest 95% interval.

    Args:
        is_counted: bool, shape (images,).
        member: Among which images, bool, shape (images,).
        draws: From `chest_xray.metrics.bootstrap.draw_resamples`, for these images.

    Returns:
        In [0, 1], or None if there is no such image; of fewer than `MIN_CLASS_IMAGES`, with Wilson's interval.
    """
    num = int(member.sum())
    wilson = proportion(int(is_counted[member].sum()), num)
    if num < MIN_CLASS_IMAGES:
        return wilson
    shares = {name: divide_or_nan(each @ (is_counted & member), each @ member) for name, each in draws.items()}
    return widen(estimate(shares, num), wilson)


def _measure(images: DataFrame, decision: Array, range_: _Range, draws: Mapping[Method, Array]) -> Stratum:
    import numpy as np

    label = images["label"].to_numpy()
    is_right = decision == (label == 1)
    counts = {name: int(each[0]) for name, each in count_outcomes(label, decision, np.ones((1, len(label)))).items()}
    num_normal, num_pneumonia = counts["tn"] + counts["fp"], counts["fn"] + counts["tp"]
    area = bootstrap_auc(images, draws) if num_normal and num_pneumonia else UNKNOWN
    if min(num_normal, num_pneumonia) < MIN_CLASS_IMAGES:
        area = Interval(value=area.value, low=None, high=None)
    return Stratum(
        **range_._asdict(),
        **counts,
        num_images=len(images),
        num_normal=num_normal,
        num_pneumonia=num_pneumonia,
        sensitivity=estimate_share(is_right, label == 1, draws),
        specificity=estimate_share(is_right, (label == 0) & (range_.by != "aetiology"), draws),
        auc=area.with_n(len(images)),
    )
