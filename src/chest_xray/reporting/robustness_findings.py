"""Which sentences on maps, occlusion and corruptions the numbers support."""

from collections.abc import Iterator
from typing import Any

from chest_xray.core.types import DataFrame
from chest_xray.reporting.conclusions import above
from chest_xray.reporting.i18n import Finding, Name

UNALTERED = "none"  # the kind of the condition that changes nothing
CHANCE = 0.5  # AUC of a score that tells nothing


def find_about_maps(map_sanity: dict[str, Any]) -> Iterator[Finding]:
    """Find whether the Grad-CAM maps show the network, by the verdict of the randomisation test."""
    last = map_sanity["steps"][-1]
    yield Finding(f"maps_{map_sanity['verdict']}", {**map_sanity, **last})
    yield Finding("maps_limits", {})


def find_about_occlusion(occlusion_table: DataFrame) -> Iterator[Finding]:
    """Find whether the border alone tells the classes apart, and whether the centre alone does as well as the whole."""
    auc = {row["shown"]: figure(row, "auc") for row in occlusion_table.to_dict("records")}
    yield Finding("border_tells" if auc["border"]["low"] > CHANCE else "border_silent", auc)
    yield Finding("centre_worse" if above(auc["whole"], auc["centre"]) else "centre_alike", auc)


def find_about_robustness(robustness_table: DataFrame) -> Iterator[Finding]:
    """Find from which strength of each kind on accuracy is lost: the intervals of altered and unaltered do not meet."""
    is_unaltered = robustness_table["kind"] == UNALTERED
    unaltered = figure(robustness_table[is_unaltered].iloc[0], "accuracy")
    yield Finding("unaltered", {"accuracy": unaltered})
    borne = []
    for kind, rows in robustness_table[~is_unaltered].groupby("kind", sort=False):
        lost = next((row for _, row in rows.iterrows() if above(unaltered, figure(row, "accuracy"))), None)
        if lost is None:
            borne.append(Name(kind))
        else:
            worst = rows["accuracy"].min()
            yield Finding("kind_loses", {**lost, "kind": Name(kind), "worst": worst})
    if borne:
        yield Finding("kinds_borne", {"kinds": tuple(borne)})


def figure(row: Any, name: str) -> dict[str, float]:
    """Return a metric of a table's row as `value`, `low`, `high` and `n` (images)."""
    return {"value": row[name], "low": row[f"{name}_low"], "high": row[f"{name}_high"], "n": int(row["n"])}


def find_robustness_conclusions(
    map_sanity: dict[str, Any], occlusion_table: DataFrame, robustness_table: DataFrame
) -> dict[str, list[Finding]]:
    """Find what the numbers say of where the network looks, and of how much alteration it bears.

    Args:
        map_sanity: From `check_maps`.
        occlusion_table: One row a view, from `measure_occlusion`.
        robustness_table: One row a kind and strength, from `measure_robustness`.

    Returns:
        From the key of a heading to what stands below it.
    """
    return {
        "maps": list(find_about_maps(map_sanity)),
        "occlusion": list(find_about_occlusion(occlusion_table)),
        "robustness": list(find_about_robustness(robustness_table)),
    }
