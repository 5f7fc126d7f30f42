"""Each sentence on maps, occlusion and robustness is written where the numbers support it, and nowhere else."""

from typing import Any

import pandas as pd
import pytest

from chest_xray.models.gradcam import MapComparison
from chest_xray.pipelines.robustness.nodes import write_robustness_conclusions
from chest_xray.reporting.conclusions import assess_maps, assess_occlusion, assess_robustness
from chest_xray.reporting.i18n import Language
from tests.builders import TITLE
from tests.reporting.inputs import make_change


def make_map_sanity(verdict: str = "depends", **last: Any) -> MapComparison:
    step = {"shuffled": ["dense"], "num_maps": 60, "correlation": {"value": 0.1, "low": 0.05, "high": 0.15}, **last}
    steps = [{**step, "num_maps": 1}, step]
    return MapComparison.model_validate({"num_images": 64, "most_alike": 0.5, "verdict": verdict, "steps": steps})


def figure(name: str, value: float) -> dict[str, float]:
    return {name: value, f"{name}_low": value - 0.02, f"{name}_high": value + 0.02}


def make_occlusion_table(border: float, centre: float) -> pd.DataFrame:
    views = {"whole": 0.95, "border": border, "centre": centre}
    return pd.DataFrame(
        [
            {"run": TITLE, "shown": name, "n": 100, **figure("auc", value), **make_change("auc", value - 0.95)}
            for name, value in views.items()
        ]
    )


def make_robustness_table(**accuracies: list[float]) -> pd.DataFrame:
    alike = {"run": TITLE, "n": 100}
    rows = [("none", 0.0, 0.9)]
    rows += [(kind, place + 1.0, value) for kind, values in accuracies.items() for place, value in enumerate(values)]
    return pd.DataFrame(
        [
            {**alike, "kind": kind, "strength": strength, **figure("accuracy", value), **figure("auc", 0.9)}
            | make_change("accuracy", value - 0.9)
            for kind, strength, value in rows
        ]
    )


@pytest.mark.parametrize("verdict", ["depends", "does_not_depend", "undecided"])
def test_the_verdict_on_the_maps_is_reported_with_the_last_step(verdict: str) -> None:
    found = list(assess_maps(make_map_sanity(verdict)))
    assert [each.key for each in found] == [f"maps_{verdict}", "maps_limits"]
    assert found[0].values["num_maps"] == 60


@pytest.mark.parametrize(
    ("border", "centre", "keys"),
    [
        (0.53, 0.9, ["border_informative", "centre_worse"]),
        (0.51, 0.945, ["border_uninformative", "centre_alike"]),
        (0.49, 0.945, ["border_uninformative", "centre_alike"]),
        (0.47, 0.99, ["border_reversed", "centre_alike"]),
    ],
)
def test_findings_on_occlusion_depend_on_intervals(border: float, centre: float, keys: list[str]) -> None:
    assert [each.key for each in assess_occlusion(make_occlusion_table(border, centre))] == keys


def test_centre_and_whole_are_not_compared_without_an_interval() -> None:
    table = make_occlusion_table(0.53, 0.95)
    table[["auc_change_low", "auc_change_high"]] = 0.0
    assert [each.key for each in assess_occlusion(table)] == ["border_informative", "centre_same"]


def test_the_first_strength_that_costs_accuracy_is_named_and_the_worst_of_all() -> None:
    table = make_robustness_table(blur=[0.895, 0.85, 0.87], noise=[0.9, 0.895], crop=[0.8, 0.5])
    found = list(assess_robustness(table))
    assert [each.key for each in found] == ["unaltered", "kind_loses", "kind_loses", "kinds_tolerated"]
    told = [{name: each.values[name] for name in ("kind", "strength", "accuracy", "worst")} for each in found[1:3]]
    assert told == [
        {"kind": "blur", "strength": 2.0, "accuracy": 0.85, "worst": 0.85},
        {"kind": "crop", "strength": 1.0, "accuracy": 0.8, "worst": 0.5},
    ]
    assert found[3].values == {"kinds": ("noise",)}


def test_no_corruption_is_called_tolerated_if_all_cost_accuracy() -> None:
    assert [each.key for each in assess_robustness(make_robustness_table(blur=[0.5]))] == [
        "unaltered",
        "kind_loses",
    ]


def test_the_page_names_run_and_source_and_fills_every_number() -> None:
    for sanity in (
        make_map_sanity(),
        make_map_sanity("does_not_depend"),
        make_map_sanity("undecided", correlation=None),
    ):
        for occlusion in (make_occlusion_table(0.8, 0.9), make_occlusion_table(0.5, 0.95)):
            table = make_robustness_table(blur=[0.5], noise=[0.9])
            page = write_robustness_conclusions(sanity, occlusion, table, "phantoms", Language(root="en"))
            assert page.startswith(f"# Robustness and explanation checks, {TITLE}\n\nData: phantoms.")
            assert (
                "Accuracy falls with blur from strength 1 on, where it is 50.0%, "
                "a difference of \N{MINUS SIGN}40.0 points" in page
            )
            assert "by Holm's method): noise." in page
            assert "{" not in page
