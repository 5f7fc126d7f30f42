"""Build a network, show how its training went, and score the images that choices are made on."""

from chest_xray.core.types import Array, DataFrame, Figure, Model
from chest_xray.models.inference import score_images
from chest_xray.models.network import Network, build_network, join_networks
from chest_xray.pipelines.modeling.training import Run


def build_model(prepared_images: Array, model: Network, run: Run) -> Model:
    """Build the untrained network for images of the prepared size.

    Args:
        prepared_images: uint8 of shape (images, height, width); only its shape is read.
        model: Shape of the network.
        run: Its seed gives the first weights.

    Returns:
        A Keras model; see `chest_xray.models.network.build_network`.
    """
    import keras

    keras.utils.set_random_seed(run.seed)
    height, width = prepared_images.shape[1:]
    return build_network((height, width), model)


def ask_twice(trained_model: Model, run: Run) -> Model:
    """Let the network answer for a picture and its mirror image, if the run says so.

    Of use after training on mirrored copies alone.

    Args:
        trained_model: From `train_model`; not changed.
        run: Its `mirror`.

    Returns:
        The network, or one around it whose logit is the mean of the two; see `chest_xray.models.network.join_networks`.
    """
    return join_networks([trained_model], mirror=True) if run.mirror else trained_model


def draw_learning_curves(history: DataFrame, image_split: DataFrame, run: Run, data_source: str) -> Figure:
    """Show loss and accuracy of train and validation by epoch, and the epoch that was kept.

    Args:
        history: One row an epoch, from `train_model`.
        image_split: One row an image; its subsets are counted.
        run: Its title stands above the plots.
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
    head_figure(figure, f"Training {run.title}")
    return figure


def predict_shifted_validation(model: Model, shifted_images: Array, shifted_validation: DataFrame) -> DataFrame:
    """Score the validation images as they were taken again; see `chest_xray.models.inference.score_images`."""
    return score_images(model, shifted_images, shifted_validation, "shifted_validation")
