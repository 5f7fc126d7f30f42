"""Several networks that differ in their seed alone, joined to one."""

from chest_xray.core.types import DataFrame, Model
from chest_xray.metrics.results import Metrics
from chest_xray.models.network import join_networks


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
    """Return one history for several trainings: the mean of each epoch, over the epochs that all of them have.

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


def tabulate_members(**metrics: Metrics) -> DataFrame:
    """Tabulate the members: how much the seed alone moves each metric.

    Args:
        **metrics: By the name of a member, from `compute_metrics`.

    Returns:
        One row a member, then `mean` and `deviation` (standard deviation, n - 1): `member`, `accuracy`, `sensitivity`
        and `specificity` of test at the chosen threshold, `auc` and `ece` of test, `validation_accuracy`.
    """
    import pandas as pd

    rows = {}
    for name, each in metrics.items():
        point = each.test.at_chosen
        rows[name] = {
            "accuracy": point.accuracy.value,
            "sensitivity": point.sensitivity.value,
            "specificity": point.specificity.value,
            "auc": each.test.auc.value,
            "ece": each.test.ece,
            "validation_accuracy": each.validation.at_chosen.accuracy.value,
        }
    table = pd.DataFrame.from_dict(rows, orient="index")
    table.loc["mean"], table.loc["deviation"] = table.mean(), table.std()
    return table.rename_axis("member").reset_index().round(4)
