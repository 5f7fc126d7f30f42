"""All nodes of robustness: explanations, occlusion and corrupted test images.

A network that still ranks children correctly without seeing the lungs uses something else: the frame of the image, the
arms, letters in a corner, or the crop. `prepared_images` is uint8 of shape (images, height, width), one for each row of
`image_split`.
"""

from functools import partial
from typing import Annotated, Any

from pydantic import Field

from chest_xray.core.libraries import np, pd
from chest_xray.core.types import Array, DataFrame, Figure, Model, Options
from chest_xray.images.corruptions import CoveredImages, Occlusion, Robustness, central_region, list_corrupted
from chest_xray.images.preprocessing import Preparation
from chest_xray.metrics.operating_point import OperatingPoint
from chest_xray.metrics.subgroups import measure_conditions
from chest_xray.metrics.summary import Evaluation
from chest_xray.models.gradcam import MapComparison, MapSanity, compare_maps, grad_cam
from chest_xray.models.inference import score_images
from chest_xray.reporting import image_figures as figures
from chest_xray.reporting.conclusions import find_robustness_conclusions
from chest_xray.reporting.i18n import Language, render
from chest_xray.reporting.style import draw_in_languages


class Gallery(Options):
    """Number of images shown of each group."""

    max_false_negatives: Annotated[int, Field(ge=1, le=500)]
    num_false_positives: Annotated[int, Field(ge=1, le=500)]
    num_typical: Annotated[int, Field(ge=1, le=500)]


def select_cases(
    test_predictions: DataFrame, image_split: DataFrame, operating_point: OperatingPoint, gallery: Gallery
) -> DataFrame:
    """Select the test images whose Grad-CAM maps are shown.

    Args:
        test_predictions: One row per test image, from `predict_test`, in the order of `image_split`.
        image_split: One row a prepared image.
        operating_point: Its threshold decides.
        gallery: The largest number of images of each kind.

    Returns:
        One row per image, grouped by `decision` ("false_negative", "false_positive", "true_positive", "true_negative"):
        false negatives from the lowest score, false positives from the highest, and the correct decisions nearest to
        their median logit. Also `run` (its title), `of` (the number of such decisions), `path`, `aetiology`,
        `probability` and `threshold`, both calibrated, `width` and `height` (pixels), and `row` of the prepared images.
    """
    point = operating_point.chosen
    is_positive = test_predictions["log_odds"] >= point.log_odds
    table = test_predictions.assign(
        row=np.flatnonzero(image_split["subset"] == "test"),
        run=operating_point.run,
        threshold=point.threshold,
        decision=np.where(
            test_predictions["label"] == 1,
            np.where(is_positive, "true_positive", "false_negative"),
            np.where(is_positive, "false_positive", "true_negative"),
        ),
    )
    chosen = [_choose(table[table["decision"] == decision], decision, gallery) for decision in figures.GROUPS]
    columns = ["run", "decision", "of", "path", "aetiology", "probability", "threshold", "width", "height", "row"]
    return pd.concat(chosen, ignore_index=True)[columns]


def _choose(group: DataFrame, decision: str, gallery: Gallery) -> DataFrame:
    group = group.assign(of=len(group))
    if decision == "false_negative":
        return group.sort_values("logit").head(gallery.max_false_negatives)
    if decision == "false_positive":
        return group.sort_values("logit", ascending=False).head(gallery.num_false_positives)
    distance = (group["logit"] - group["logit"].median()).abs()
    return group.loc[distance.sort_values(kind="stable").index].head(gallery.num_typical)


def draw_gallery(
    model: Model, prepared_images: Array, gallery_cases: DataFrame, preparation: Preparation
) -> dict[str, Any]:
    """Draw each case plain and below its Grad-CAM map.

    Returns:
        `cases`, the table without the paths of files, whose names stay; and `plain_{row}` and `overlay_{row}` of each
        of its rows, from 0: pictures as from `chest_xray.reporting.image_figures.draw_pair`.
    """
    pixels = prepared_images[gallery_cases["row"].to_numpy(int)]
    maps = grad_cam(model, pixels.astype(np.float32)[..., None] / 255)
    names = gallery_cases["path"].str.rsplit("/", n=1).str[-1].str.rsplit(".", n=1).str[0]
    drawn: dict[str, Any] = {"cases": gallery_cases.drop(columns=["path", "row"]).assign(name=names)}
    for row, (case, evidence) in enumerate(zip(gallery_cases.to_dict("records"), maps, strict=True)):
        drawn[f"plain_{row}"], drawn[f"overlay_{row}"] = figures.draw_pair(case, evidence, preparation)
    return drawn


def check_maps(model: Model, prepared_images: Array, image_split: DataFrame, sanity: MapSanity) -> MapComparison:
    """Compare the Grad-CAM maps of a sample of test images with those of shuffled weights; see `compare_maps`."""
    rng = np.random.default_rng(sanity.seed)
    test = rng.permutation(np.flatnonzero(image_split["subset"] == "test"))[: sanity.num_images]
    images = prepared_images[np.sort(test)].astype(np.float32)[..., None] / 255
    return compare_maps(model, images, grad_cam, sanity)


def predict_occluded(
    model: Model, prepared_images: Array, image_split: DataFrame, occlusion: Occlusion
) -> tuple[DataFrame, Array]:
    """Score the test images with their centre covered, and with all but their centre covered.

    Returns:
        The tables of `score_images` with a column `shown` ("border", "centre"), concatenated; and the first test image
        with pneumonia whole, its border and its centre, uint8 of shape (3, height, width).
    """
    inside = central_region(prepared_images.shape[1:], occlusion)
    views: dict[str, Any] = {
        "border": CoveredImages(prepared_images, inside),
        "centre": CoveredImages(prepared_images, ~inside),
    }
    scored = [score_images(model, view, image_split, "test").assign(shown=name) for name, view in views.items()]
    first = np.flatnonzero((image_split["subset"] == "test") & (image_split["label"] == 1))[:1]
    examples = np.concatenate([images[first] for images in (prepared_images, *views.values())])
    return pd.concat(scored, ignore_index=True), examples


def measure_occlusion(
    test_predictions: DataFrame,
    occluded_predictions: DataFrame,
    operating_point: OperatingPoint,
    evaluation: Evaluation,
) -> DataFrame:
    """Return one row per view: `run`, `shown` ("whole", "border", "centre"), and the metrics of `measure_conditions`.

    The threshold was chosen on whole images, so AUC is the better measure of what a covered one contains; 0.5 is
    chance.
    """
    views = {"whole": test_predictions, **dict(iter(occluded_predictions.groupby("shown", sort=False)))}
    table = measure_conditions(views, operating_point, evaluation)
    return table.assign(run=operating_point.run, shown=list(views))[["run", "shown", *table.columns]]


def predict_corrupted_test(
    model: Model, corrupted_test_images: Array, image_split: DataFrame, robustness: Robustness
) -> DataFrame:
    """Score the corrupted test images; see `score_images`."""
    table = list_corrupted(image_split, "test", robustness)
    return score_images(model, corrupted_test_images, table, "corrupted_test")


def measure_robustness(
    corrupted_test_predictions: DataFrame, operating_point: OperatingPoint, evaluation: Evaluation
) -> DataFrame:
    """Measure each condition at the chosen threshold, and over all thresholds.

    Returns:
        One row per kind and strength, "none" first: `run` (its title), `kind`, `strength`, and the columns of
        `measure_conditions`.
    """
    conditions = dict(iter(corrupted_test_predictions.groupby(["kind", "strength"], sort=False)))
    table = measure_conditions(conditions, operating_point, evaluation)
    kinds, strengths = zip(*conditions, strict=True)
    columns = ["run", "kind", "strength", *table.columns]
    return table.assign(run=operating_point.run, kind=kinds, strength=strengths)[columns]


def draw_checks(
    occluded_examples: Array, occlusion_table: DataFrame, robustness_table: DataFrame, data_source: str
) -> dict[str, dict[str, Figure]]:
    """Draw the results on occluded and on corrupted test images, by name and language."""
    draw = {
        "occlusion_figure": partial(figures.draw_occlusion, occluded_examples, occlusion_table),
        "robustness_figure": partial(figures.draw_robustness, robustness_table),
    }
    return {name: draw_in_languages(each, data_source) for name, each in draw.items()}


def write_robustness_conclusions(
    map_sanity: MapComparison,
    occlusion_table: DataFrame,
    robustness_table: DataFrame,
    data_source: str,
    language: Language,
) -> str:
    """Write the conclusions of the robustness checks in Markdown."""
    about = {"data_source": data_source, "run": occlusion_table["run"].iloc[0]}
    conclusions = find_robustness_conclusions(map_sanity, occlusion_table, robustness_table)
    return render("robustness_title", conclusions, about, language.root)
