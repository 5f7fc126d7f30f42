"""Arms of augmentation, each trained from several seeds: what each run decides, put together, and what may be said."""

from typing import Any

from chest_xray.core.options import InputError
from chest_xray.core.types import DataFrame
from chest_xray.pipelines.study import conclusions
from chest_xray.reporting.i18n import Language, render


def decide_images(test_predictions: DataFrame, operating_point: dict[str, Any], history: DataFrame) -> DataFrame:
    """Say what one run decides of each test image.

    Args:
        test_predictions: One row an image, from `predict_test`.
        operating_point: Its threshold decides.
        history: One row an epoch.

    Returns:
        `path`, `group`, `label`, `probability`, `decision` (True: PNEUMONIA), and `steps`, how many the optimiser took.
    """
    said = test_predictions[["path", "group", "label", "probability"]]
    return said.assign(decision=said["probability"] >= operating_point["threshold"], steps=int(history["steps"].max()))


def join_runs(**decisions: DataFrame) -> DataFrame:
    """Put what all runs decide below each other.

    Args:
        **decisions: From `decide_images`; the name of each is `{arm}_{seed}`.

    Returns:
        The same columns after `arm` and `seed`.

    Raises:
        InputError: Fewer than two seeds, or runs that were tested on different images.
    """
    import pandas as pd

    num_seeds = len({name.rpartition("_")[2] for name in decisions})
    if num_seeds < 2:
        raise InputError(f"received {num_seeds} seed an arm; expected at least two, to tell their spread. Add one.")
    paths = {name: table["path"].tolist() for name, table in decisions.items()}
    first = next(iter(paths))
    if different := [name for name in paths if paths[name] != paths[first]]:
        raise InputError(
            f"{', '.join(different)} and {first} were tested on different images; expected the same in the same order. "
            "Run `kedro run --pipelines=study` again, so that all stand on the data as it is now."
        )
    tables = []
    for name, table in decisions.items():
        arm, _, seed = name.rpartition("_")
        tables.append(pd.concat({(arm, int(seed)): table}, names=["arm", "seed"]).reset_index(["arm", "seed"]))
    return pd.concat(tables, ignore_index=True)


def write_study(study: dict[str, Any], data_source: str, language: Language) -> str:
    """Write what is shown of each arm, and which uncertainty that covers.

    Args:
        study: From `compare_arms`.
        data_source: Stands on the page.
        language: Of the page.

    Returns:
        Markdown.
    """
    sections = {
        "answer": list(conclusions.answer(study)),
        "in_numbers": list(conclusions.in_numbers(study)),
        "study_method": list(conclusions.how_compared(study)),
    }
    return render("study_title", sections, {"data_source": data_source}, language.root)
