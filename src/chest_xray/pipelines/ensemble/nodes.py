"""Several networks that differ in their seed alone, joined to one."""

from chest_xray.network import without_sigmoid
from chest_xray.types import DataFrame, Model


def join_models(*models: Model) -> Model:
    """Average the logits of several networks.

    Args:
        *models: Networks of the same input; not changed.

    Returns:
        One Keras model from the same images, float32 in [0, 1] of shape (batch, height, width, 1), to the sigmoid of
        the mean logit, float32 of shape (batch, 1).
    """
    import keras

    image = keras.Input(models[0].input_shape[1:])
    members = [without_sigmoid(model) for model in models]
    for number, member in enumerate(members, start=1):
        member.name = f"member_{number}"  # Keras wants them apart.
    logits = [member(image) for member in members]
    return keras.Model(image, keras.layers.Activation("sigmoid")(keras.layers.Average()(logits)))


def average_histories(*histories: DataFrame) -> DataFrame:
    """Give one history for several trainings: the mean of each epoch, over the epochs that all of them have.

    Args:
        *histories: One row an epoch each, from `train_model`.

    Returns:
        The same columns; `seconds` and `steps` are sums, and the last epoch counts as the one that is kept.
    """
    import pandas as pd

    epochs = min(map(len, histories))
    stacked = pd.concat([history.head(epochs) for history in histories]).groupby("epoch", as_index=False)
    averaged = stacked.mean(numeric_only=True)
    averaged[["steps", "seconds"]] = stacked[["steps", "seconds"]].sum()[["steps", "seconds"]]
    return averaged.assign(kept=averaged["epoch"] == epochs)
