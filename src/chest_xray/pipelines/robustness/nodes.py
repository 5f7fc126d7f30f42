"""What the network looks at, and how much alteration of an image it tolerates.

A network that still ranks children right when it sees no lung reads something else: the frame of the picture, the arms,
letters in a corner, how the picture was cut.
"""

from typing import Annotated, Any

from pydantic import Field

from chest_xray.core.options import Options
from chest_xray.core.types import Array, DataFrame, Figure, Model
from chest_xray.images.corruptions import CoveredImages, Occlusion, Robustness, central_region, list_corrupted_test
from chest_xray.metrics.bootstrap import resample_weights
from chest_xray.metrics.operating_point import OperatingPoint
from chest_xray.metrics.summary import Evaluation, measure_condition
from chest_xray.models.gradcam import MapSanity, compare_maps, grad_cam
from chest_xray.models.inference import score_images
from chest_xray.reporting.conclusions import find_robustness_conclusions
from chest_xray.reporting.i18n import Language, render
from chest_xray.reporting.robustness_figures import (
    GROUPS,
    LEGEND,
    describe_cases,
    draw_cases,
    draw_occlusion,
    draw_robustness,
)


class Gallery(Options):
    """How many images of each group are shown."""

    max_false_negatives: Annotated[int, Field(ge=1, le=500)]
    num_false_positives: Annotated[int, Field(ge=1, le=500)]
    num_typical: Annotated[int, Field(ge=1, le=500)]


def select_cases(
    test_predictions: DataFrame, image_split: DataFrame, operating_point: OperatingPoint, gallery: Gallery
) -> DataFrame:
    """Choose the test images to look at.

    Args:
        test_predictions: One row a test image, in the order of `image_split`.
        image_split: One row an image, in the order of the prepared images.
        operating_point: The run's title and `threshold`.
        gallery: How many of each group.

    Returns:
        One row an image: `run` (its title), `decision` ("false_negative", "false_positive", "true_positive",
        "true_negative"), `of` (how many there are of it), `path`, `aetiology`, `probability` (the score), `threshold`,
        and `row` of the prepared images. False negatives come with the lowest score first, false positives with the
        highest; of the right ones those nearest to their median.
    """
    import numpy as np
    import pandas as pd

    called = test_predictions["probability"] >= operating_point.threshold
    table = test_predictions.assign(
        row=np.flatnonzero(image_split["subset"] == "test"),
        run=operating_point.run,
        threshold=operating_point.threshold,
        decision=np.where(
            test_predictions["label"] == 1,
            np.where(called, "true_positive", "false_negative"),
            np.where(called, "false_positive", "true_negative"),
        ),
    )
    chosen = [_choose(table[table["decision"] == decision], decision, gallery) for decision in GROUPS]
    columns = ["run", "decision", "of", "path", "aetiology", "probability", "threshold", "row"]
    return pd.concat(chosen, ignore_index=True)[columns]


def _choose(group: DataFrame, decision: str, gallery: Gallery) -> DataFrame:
    group = group.assign(of=len(group))
    if decision == "false_negative":
        return group.sort_values("logit").head(gallery.max_false_negatives)
    if decision == "false_positive":
        return group.sort_values("logit", ascending=False).head(gallery.num_false_positives)
    distance = (group["logit"] - group["logit"].median()).abs()
    return group.loc[distance.sort_values(kind="stable").index].head(gallery.num_typical)


def draw_gallery(model: Model, prepared_images: Array, gallery_cases: DataFrame, data_source: str) -> dict[str, Figure]:
    """Draw Grad-CAM maps over the chosen images, as the network sees them.

    Args:
        model: The trained network.
        prepared_images: uint8 of shape (images, height, width).
        gallery_cases: From `select_cases`.
        data_source: Printed below the pictures.

    Returns:
        By name: false negatives, false positives, and typical decisions that are right.
    """
    import numpy as np

    pixels = prepared_images[gallery_cases["row"].to_numpy(int)]
    maps = grad_cam(model, pixels.astype(np.float32)[..., None] / 255)
    pages = {}
    for name, decisions in (
        ("false_negatives", ["false_negative"]),
        ("false_positives", ["false_positive"]),
        ("typical_decisions", ["true_positive", "true_negative"]),
    ):
        shown = gallery_cases["decision"].isin(decisions).to_numpy()
        title = "\n".join([describe_cases(gallery_cases, decisions), LEGEND])
        pages[name] = draw_cases(gallery_cases[shown], pixels[shown], maps[shown], title, data_source)
    return pages


def check_maps(model: Model, prepared_images: Array, image_split: DataFrame, sanity: MapSanity) -> dict[str, Any]:
    """Test the Grad-CAM maps of a sample of test images.

    Args:
        model: The trained network; not changed.
        prepared_images: uint8 of shape (images, height, width), one for each row of `image_split`.
        image_split: One row an image.
        sanity: Size of the sample, seed, and the rule of the verdict.

    Returns:
        See `chest_xray.models.gradcam.compare_maps`.
    """
    import numpy as np

    rng = np.random.default_rng(sanity.seed)
    test = rng.permutation(np.flatnonzero(image_split["subset"] == "test"))[: sanity.num_images]
    images = prepared_images[np.sort(test)].astype(np.float32)[..., None] / 255
    return compare_maps(model, images, grad_cam, sanity)


def predict_occluded(
    model: Model, prepared_images: Array, image_split: DataFrame, occlusion: Occlusion
) -> tuple[DataFrame, Array]:
    """Score the test images with their centre covered, and with all but their centre covered.

    Args:
        model: The trained network.
        prepared_images: uint8 of shape (images, height, width), one for each row of `image_split`.
        image_split: One row an image.
        occlusion: The central region.

    Returns:
        As `chest_xray.models.inference.score_images` gives it, twice, with the column `shown`: "border" or "centre".
        And the first diseased test image whole, its border and its centre, uint8 of shape (3, height, width).
    """
    import numpy as np
    import pandas as pd

    inside = central_region(prepared_images.shape[1:], occlusion)
    views: dict[str, Any] = {
        "border": CoveredImages(prepared_images, inside),
        "centre": CoveredImages(prepared_images, ~inside),
    }
    scored = [score_images(model, view, image_split, "test").assign(shown=name) for name, view in views.items()]
    is_example = (image_split["subset"] == "test") & (image_split["label"] == 1)
    example = np.flatnonzero(is_example)[:1]
    return pd.concat(scored, ignore_index=True), np.concatenate(
        [each[example] for each in (prepared_images, *views.values())]
    )


def measure_occlusion(
    test_predictions: DataFrame,
    occluded_predictions: DataFrame,
    operating_point: OperatingPoint,
    evaluation: Evaluation,
) -> DataFrame:
    """Measure what is left of accuracy and AUC.

    The threshold was chosen on whole pictures, so that AUC tells more of what a covered one still says: 0.5 is chance.

    Args:
        test_predictions: One row a test image, seen whole.
        occluded_predictions: From `predict_occluded`.
        operating_point: The run's title and `threshold`.
        evaluation: Seed of the bootstrap.

    Returns:
        One row a view: `run`, `shown` ("whole", "border", "centre"), and what `measure_robustness` gives of it.
    """
    import pandas as pd

    weights = resample_weights(test_predictions["group"].to_numpy(), evaluation.seed)
    views = {"whole": test_predictions, **dict(iter(occluded_predictions.groupby("shown", sort=False)))}
    rows = [
        {"run": operating_point.run, "shown": name, **measure_condition(table, operating_point, weights)}
        for name, table in views.items()
    ]
    return pd.DataFrame(rows).round(4)


def predict_corrupted_test(
    model: Model, corrupted_test_images: Array, image_split: DataFrame, robustness: Robustness
) -> DataFrame:
    """Score the corrupted test images; see `chest_xray.models.inference.score_images`."""
    table = list_corrupted_test(image_split, robustness)
    return score_images(model, corrupted_test_images, table, "corrupted_test")


def measure_robustness(
    corrupted_test_predictions: DataFrame, operating_point: OperatingPoint, evaluation: Evaluation
) -> DataFrame:
    """Measure each condition at the chosen threshold, and over all thresholds.

    Args:
        corrupted_test_predictions: `label`, `logit`, `probability`, `group`, `kind` and `strength`, a row an image and
            condition.
        operating_point: The run's title and `threshold`, chosen on corrupted validation.
        evaluation: Seed of the bootstrap, whose draws of patients are the same for all conditions.

    Returns:
        One row a kind and strength, in their order, kind "none" among them: `run` (its title), `kind`, `strength`, `n`
        (images), `threshold`, and of `accuracy`, `sensitivity`, `specificity` (Wilson) and `auc` (bootstrap over
        patients) the value, and with `_low` and `_high` the 95% interval, all in [0, 1].
    """
    import pandas as pd

    conditions = corrupted_test_predictions.groupby(["kind", "strength"], sort=False)
    weights = resample_weights(next(iter(conditions))[1]["group"].to_numpy(), evaluation.seed)
    rows = [
        {
            "run": operating_point.run,
            "kind": kind,
            "strength": strength,
            **measure_condition(part, operating_point, weights),
        }
        for (kind, strength), part in conditions
    ]
    return pd.DataFrame(rows).round(4)


def draw_checks(
    occluded_examples: Array, occlusion_table: DataFrame, robustness_table: DataFrame, data_source: str
) -> dict[str, Figure]:
    """Draw what the network makes of covered and of corrupted test images.

    Args:
        occluded_examples: uint8 of shape (3, height, width): whole, border, centre.
        occlusion_table: From `measure_occlusion`.
        robustness_table: From `measure_robustness`.
        data_source: Printed below each figure.

    Returns:
        The figures by name.
    """
    return {
        "occlusion_figure": draw_occlusion(occluded_examples, occlusion_table, data_source),
        "robustness_figure": draw_robustness(robustness_table, data_source),
    }


def write_robustness_conclusions(
    map_sanity: dict[str, Any],
    occlusion_table: DataFrame,
    robustness_table: DataFrame,
    data_source: str,
    language: Language,
) -> str:
    """Write where the network looks, and how much alteration it tolerates.

    Args:
        map_sanity: From `check_maps`.
        occlusion_table: One row a view, from `measure_occlusion`; the run's title stands on the page.
        robustness_table: One row a kind and strength, from `measure_robustness`.
        data_source: Stands on the page.
        language: Of the page.

    Returns:
        Markdown.
    """
    about = {"data_source": data_source, "run": occlusion_table["run"].iloc[0]}
    return render(
        "robustness_title",
        find_robustness_conclusions(map_sanity, occlusion_table, robustness_table),
        about,
        language.root,
    )
