"""The null baseline: how well the class is told from the header of a file, without a look at its pixels."""

from typing import Any

from chest_xray.core.types import Array, DataFrame, Figure

FEATURES = {"width": "pixels", "height": "pixels", "aspect": "width / height", "bytes": "bytes"}


def fit_header_rule(image_index: DataFrame) -> dict[str, Any]:
    """Fit the best threshold on width, height, aspect and file size on train alone, and score each on test.

    What a network scores below these figures proves little: the files give as much away before they are decoded.

    Args:
        image_index: One row an image; all of the official train split fits the rule, no image of test does.

    Returns:
        For each feature: `unit`, `threshold`, `direction` ("at most" or "at least": where the image is called
        pneumonia), and for `train` and `test` each `num`, `accuracy`, `sensitivity`, `specificity` (of the thresholded
        rule) and `auc` (of the feature itself, in the direction fitted), all but `num` in [0, 1].
    """
    rules = {}
    for feature, unit in FEATURES.items():
        values, labels = read_feature(image_index, feature), image_index["label"].to_numpy()
        train, test = ((image_index["split"] == split).to_numpy() for split in ("train", "test"))
        threshold, direction = _best_threshold(values[train], labels[train])
        rules[feature] = {
            "unit": unit,
            "threshold": threshold,
            "direction": direction,
            "train": _score(values[train], labels[train], threshold, direction),
            "test": _score(values[test], labels[test], threshold, direction),
        }
    return rules


def read_feature(images: DataFrame, feature: str) -> Array:
    """Give one feature of the header of each image.

    Args:
        images: One row an image.
        feature: "width", "height" (pixels), "aspect" (width / height) or "bytes".

    Returns:
        float64 of shape (images,).
    """
    if feature == "aspect":
        return (images["width"] / images["height"]).to_numpy(float)
    return images[feature].to_numpy(float)


def draw_header_rule(image_index: DataFrame, header_rule: dict[str, Any], data_source: str) -> Figure:
    """Show how each feature alone ranks the test images.

    Args:
        image_index: One row an image.
        header_rule: What `fit_header_rule` gives.
        data_source: Printed below.

    Returns:
        One ROC curve a feature, with the fitted threshold as a dot.
    """
    from chest_xray.reporting.style import GREY, add_legend, label_axes, new_figure

    figure, axes = new_figure(data_source, width=6.4, height=6.2)
    test = image_index[image_index["split"] == "test"]
    labels = test["label"].to_numpy()
    for feature, rule in header_rule.items():
        sensitivity, specificity, _ = _sweep(_signed(read_feature(test, feature), rule["direction"]), labels)
        scores = rule["test"]
        (line,) = axes.plot(1 - specificity, sensitivity, label=f"{feature}: AUC {scores['auc']:.3f}")
        look = {"color": line.get_color(), "markersize": 8, "markeredgecolor": "white", "zorder": 3}
        axes.plot(1 - scores["specificity"], scores["sensitivity"], "o", **look)
    axes.plot([0, 1], [0, 1], ":", color=GREY, label="chance")
    axes.plot([], [], "o", color=GREY, label="threshold fitted on train")
    axes.set_aspect("equal")
    add_legend(axes, loc="lower right")
    title = f"Pneumonia told from the header alone: n = {len(test)} test images"
    label_axes(axes, title, ["1 - specificity", "sensitivity"])
    return figure


def _best_threshold(values: Array, labels: Array) -> tuple[float, str]:
    """The value and direction of highest balanced accuracy (Youden 1950): accuracy would follow the class shares."""
    best = []
    for direction in ("at most", "at least"):
        sensitivity, specificity, cuts = _sweep(_signed(values, direction), labels)
        top = int((sensitivity + specificity).argmax())
        best.append((sensitivity[top] + specificity[top], abs(float(cuts[top])), direction))
    _, threshold, direction = max(best, key=lambda each: each[0])
    return threshold, direction


def _signed(values: Array, direction: str) -> Array:
    return values if direction == "at least" else -values


def _sweep(scores: Array, labels: Array) -> tuple[Array, Array, Array]:
    """Sensitivity and specificity when every image that scores at least a cut is called diseased, for each cut."""
    import numpy as np

    cuts = np.unique(scores)[::-1]
    diseased, healthy = (np.sort(scores[labels == label]) for label in (1, 0))
    sensitivity = 1 - np.searchsorted(diseased, cuts) / len(diseased)
    specificity = np.searchsorted(healthy, cuts) / len(healthy)
    return sensitivity, specificity, cuts


def _score(values: Array, labels: Array, threshold: float, direction: str) -> dict[str, Any]:
    import numpy as np

    scores = _signed(values, direction)
    called = scores >= _signed(np.array(threshold), direction)
    sensitivity, specificity, _ = _sweep(scores, labels)
    area = np.trapezoid(np.append(0, sensitivity), np.append(0, 1 - specificity))
    return {
        "num": len(labels),
        "accuracy": float((called == labels).mean()),
        "sensitivity": float(called[labels == 1].mean()),
        "specificity": float((~called[labels == 0]).mean()),
        "auc": float(area),
    }
