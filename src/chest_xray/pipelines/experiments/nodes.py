"""All nodes of cross_validation, ensemble and study, which train many networks and compare or join them."""

from functools import partial

from chest_xray.core.libraries import pd
from chest_xray.core.types import DataFrame, Figure, InputError, Model
from chest_xray.images.splitting import Blocks, assign_blocks
from chest_xray.metrics.bootstrap import draw_resamples
from chest_xray.metrics.comparison import (
    METRICS,
    REFERENCE,
    StepRange,
    Study,
    count_disagreements,
    count_images,
    estimate_over_seeds,
    resample_arms,
    split_by_arm_and_seed,
    subtract,
    summarise_seeds,
)
from chest_xray.metrics.operating_point import RecipeScore, score_recipe
from chest_xray.metrics.results import Metrics
from chest_xray.metrics.summary import Evaluation
from chest_xray.models.network import join_networks
from chest_xray.reporting.comparison import describe_study, draw_arms, list_arm_differences, summarise_arms
from chest_xray.reporting.i18n import Language, render
from chest_xray.reporting.style import draw_in_languages
from chest_xray.reporting.tables import tabulate_arms, tabulate_runs


def split_folds(image_split: DataFrame, duplicates: DataFrame, cross_validation: Blocks) -> list[DataFrame]:
    """Return `image_split` once for each fold, in which one block of file numbers is the validation subset."""
    blocks = assign_blocks(image_split, duplicates, cross_validation)
    is_train = image_split["split"] == "train"
    folds = []
    for number in range(cross_validation.num_folds):
        subset = image_split["split"].mask(is_train, "train").mask(blocks == number, "validation")
        folds.append(image_split.assign(subset=subset))
    return folds


def measure_recipe(**corrupted_predictions: DataFrame) -> RecipeScore:
    """Score a recipe by its predictions of the corrupted validation images of every fold; see `score_recipe`."""
    tables = [table.assign(fold=name) for name, table in corrupted_predictions.items()]
    return score_recipe(pd.concat(tables, ignore_index=True))


def join_models(*models: Model) -> Model:
    """Return one model with the sigmoid of the mean logit of several networks."""
    return join_networks(models)


def average_histories(*histories: DataFrame) -> DataFrame:
    """Return the mean of several histories of `train_model`, over the epochs that all of them have.

    `seconds` and `steps` are sums, and the last epoch is the one in `kept`.
    """
    epochs = min(map(len, histories))
    stacked = pd.concat([history.head(epochs) for history in histories]).groupby("epoch", as_index=False)
    averaged = stacked.mean(numeric_only=True)
    averaged[["steps", "seconds"]] = stacked[["steps", "seconds"]].sum()[["steps", "seconds"]]
    return averaged.assign(kept=averaged["epoch"] == epochs)


def tabulate_members(**metrics: Metrics) -> DataFrame:
    """Return one row per member of test metrics, then `mean` and `deviation` (standard, n - 1), from `compute_metrics`.

    Accuracy, sensitivity and specificity are at the chosen threshold.
    """
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


def join_runs(**decisions: DataFrame) -> DataFrame:
    """Concatenate the decisions of all runs (`decide_images`), named `{arm}_{seed}`, with columns `arm` and `seed`.

    Raises:
        InputError: Fewer than two seeds, or runs that were tested on different images.
    """
    num_seeds = len({name.rpartition("_")[2] for name in decisions})
    if num_seeds < 2:
        raise InputError(
            f"received {num_seeds} seed an arm; expected at least two, to estimate their spread. Add one to "
            "study.seeds."
        )
    paths = {name: table["path"].tolist() for name, table in decisions.items()}
    first = next(iter(paths))
    if different := [name for name in paths if paths[name] != paths[first]]:
        raise InputError(
            f"{', '.join(different)} and {first} were tested on different images; expected the same in the same order. "
            "Run `kedro run --pipelines=study` again, so that all use the present data."
        )
    tables = []
    for name, table in decisions.items():
        arm, _, seed = name.rpartition("_")
        tables.append(pd.concat({(arm, int(seed)): table}, names=["arm", "seed"]).reset_index(["arm", "seed"]))
    return pd.concat(tables, ignore_index=True)


def write_study(study: Study, data_source: str, language: Language) -> str:
    """Write the conclusions of the study in Markdown."""
    sections = {
        "answer": list(summarise_arms(study)),
        "in_numbers": list(list_arm_differences(study)),
        "study_method": list(describe_study(study)),
    }
    return render("study_title", sections, {"data_source": data_source}, language.root)


def compare_arms(study_predictions: DataFrame, evaluation: Evaluation) -> Study:
    """Estimate by how much each arm differs from none, and by how much seeds differ."""
    runs = split_by_arm_and_seed(study_predictions)
    sample = next(iter(runs[REFERENCE].values()))
    label, images = sample["label"].to_numpy(), count_images(sample)
    values = resample_arms(runs, draw_resamples(sample, evaluation.block_length, evaluation.seed))
    others = [arm for arm in runs if arm != REFERENCE]
    return Study(
        **images,
        seeds=list(runs[REFERENCE]),
        steps=StepRange(fewest=int(study_predictions["steps"].min()), most=int(study_predictions["steps"].max())),
        arms={
            arm: {name: summarise_seeds(metric["patients"][:, 0]) for name, metric in values[arm].items()}
            for arm in runs
        },
        differences={
            arm: {
                name: estimate_over_seeds(subtract(values[arm][name], values[REFERENCE][name]), images["num_groups"])
                for name in METRICS
            }
            for arm in others
        },
        mcnemar={arm: count_disagreements(label, runs[REFERENCE], runs[arm]) for arm in others},
    )


def tabulate_study(study: Study) -> tuple[DataFrame, DataFrame]:
    """Return tables of the arms with their differences, and of every run."""
    return tabulate_arms(study), tabulate_runs(study)


def draw_study(study: Study, data_source: str) -> dict[str, Figure]:
    """Draw the difference of each arm, in each language."""
    return draw_in_languages(partial(draw_arms, study), data_source)
