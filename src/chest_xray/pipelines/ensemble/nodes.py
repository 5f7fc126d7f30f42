"""All nodes of ensemble: join networks that differ in their seed alone."""

from chest_xray.core.types import DataFrame, Model
from chest_xray.metrics.results import Metrics
from chest_xray.models.network import join_networks


def join_models(*models: Model) -> Model:
    """Return one model with the sigmoid of the mean logit of several networks."""
    return join_networks(models)


def average_histories(*histories: DataFrame) -> DataFrame:
    """Return the mean of several histories of `train_model`, over the epochs that all of them have.

    `seconds` and `steps` are sums, and the last epoch is the one in `kept`.
    """
    import pandas as pd

    epochs = min(map(len, histories))
    stacked = pd.concat([history.head(epochs) for history in histories]).groupby("epoch", as_index=False)
    averaged = stacked.mean(numeric_only=True)
    averaged[["steps", "seconds"]] = stacked[["steps", "seconds"]].sum()[["steps", "seconds"]]
    return averaged.assign(kept=averaged["epoch"] == epochs)


def tabulate_members(**metrics: Metrics) -> DataFrame:
    """Return one row per member of test metrics, then `mean` and `deviation` (standard, n - 1), from `compute_metrics`.

    Accuracy, sensitivity and specificity are at the chosen threshold.
    """
    import pandas as pd

    rows = {}
    for name, member in metrics.items():
        point = member.test.at_chosen
        rows[name] = {
            "accuracy": point.accuracy.value,
            "sensitivity": point.sensitivity.value,
            "specificity": point.specificity.value,
            "auc": member.test.auc.value,
            "ece": member.test.calibration.ece.value,
            "validation_accuracy": member.validation.at_chosen.accuracy.value,
        }
    table = pd.DataFrame.from_dict(rows, orient="index")
    table.loc["mean"], table.loc["deviation"] = table.mean(), table.std()
    return table.rename_axis("member").reset_index()
