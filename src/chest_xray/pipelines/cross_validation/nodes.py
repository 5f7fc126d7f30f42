"""All nodes of cross-validation: folds of contiguous file numbers, and one recipe scored on all of them."""

from chest_xray.core.types import DataFrame
from chest_xray.images.splitting import Blocks, assign_blocks
from chest_xray.metrics.operating_point import RecipeScore, score_recipe


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
    import pandas as pd

    tables = [table.assign(fold=name) for name, table in corrupted_predictions.items()]
    return score_recipe(pd.concat(tables, ignore_index=True))
