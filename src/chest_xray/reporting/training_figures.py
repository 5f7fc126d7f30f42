"""Figures of a training."""

from chest_xray.core.types import DataFrame, Figure


def plot_learning_curves(history: DataFrame, image_split: DataFrame, title: str, data_source: str) -> Figure:
    """Draw loss and accuracy of train and validation by epoch, and the epoch that was kept.

    Args:
        history: One row an epoch, from `train_model`.
        image_split: One row an image; its subsets are counted.
        title: Of the run.
        data_source: Printed below the plots.
    """
    from chest_xray.reporting.style import BLUE, GREY, ORANGE, PAGE_WIDTH, head_figure, label_axes, new_figure

    figure, axes = new_figure(data_source, columns=2, width=PAGE_WIDTH, height=3.9)
    kept = int(history.loc[history["kept"], "epoch"].iloc[0])
    num = image_split["subset"].value_counts()
    for place, name in zip(axes, ("loss", "accuracy"), strict=True):
        place.axvline(kept, color=GREY, linestyle=":", label=f"kept: epoch {kept}")
        for key, subset, look in ((name, "train", "o-"), (f"val_{name}", "validation", "s-")):
            style = {"color": BLUE if subset == "train" else ORANGE, "markersize": 4}
            place.plot(history["epoch"], history[key], look, label=f"{subset}: n = {num[subset]:,}", **style)
        place.xaxis.get_major_locator().set_params(integer=True)
        label_axes(place, f"{name.capitalize()} by epoch", ("epoch", name))
    axes[0].set_ylabel("binary cross-entropy", fontsize=9.5)
    axes[0].set_ylim(0, 1.05 * history[["loss", "val_loss"]].max().max())
    axes[1].set_ylim(min(0.6, history[["accuracy", "val_accuracy"]].min().min() - 0.02), 1.005)
    head_figure(figure, f"Training {title}")
    return figure
