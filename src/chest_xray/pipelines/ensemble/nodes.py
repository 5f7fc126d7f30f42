"""Several networks that differ in their seed alone, joined to one."""

from chest_xray.network import join_networks
from chest_xray.types import DataFrame, Model


def join_models(*models: Model) -> Model:
    """Average the logits of several networks.

    Args:
        *models: Networks of the same input; not changed.

    Returns:
        One Keras model from the same images, float32 in [0, 1] of shape (batch, height, width, 1), to the sigmoid of
        the mean logit, float32 of shape (batch, 1).
    """
    return join_networks(models)


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
