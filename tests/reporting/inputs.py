"""Inputs of the page, in memory: small tables, small images, and the parameters of `conf/base`."""

import io
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
from kedro.config import OmegaConfigLoader
from PIL import Image

from chest_xray.core.types import DataFrame
from chest_xray.images.kermany import FEATURES
from chest_xray.reporting import report_contents as contents
from chest_xray.reporting.i18n import languages
from chest_xray.reporting.image_figures import GROUPS
from chest_xray.settings import CONFIG_LOADER_ARGS
from tests.builders import (
    TITLE,
    interval,
    make_abstention,
    make_comparison,
    make_history,
    make_metadata_baseline,
    make_metadata_metrics,
    make_point,
    make_run_metrics,
)

ROOT = Path(__file__).parents[2]
HOSTILE = '<script>alert("x")</script>&<img src=//example.org/a.png>.jpeg'
RECORD: dict[str, Any] = {
    **{"command": "kedro run --env=test", "session": "2026-11-24T10.00.00.000Z", "environment": "test"},
    **{"pipelines": ["__default__"], "parameters": {"language": "en"}, "started": "2026-11-24T10:00:00+00:00"},
    **{"seconds": 81.5, "python": "3.11.7", "git": {"commit": "0" * 40, "dirty": True}},
    "machine": {"platform": "Linux", "processor": "Some CPU", "cores": 2},
    "packages": {"chest-xray": "0.1.0", "keras": "3.15.1"},
}


def read_parameters() -> dict[str, Any]:
    """The parameters of the base environment, by name, as Kedro would resolve them."""
    return deepcopy(_resolve_parameters())


@cache
def _resolve_parameters() -> dict[str, Any]:
    arguments: dict[str, Any] = {**CONFIG_LOADER_ARGS, "default_run_env": "base"}
    plain: Any = OmegaConfigLoader(str(ROOT / "conf"), **arguments)["parameters"]
    return dict(plain)


def make_png(width: int = 320, height: int = 200) -> bytes:
    """A picture of one grey."""
    file = io.BytesIO()
    Image.new("RGB", (width, height), "grey").save(file, "PNG")
    return file.getvalue()


def make_figures(width: int = 902, height: int = 480) -> dict[str, bytes]:
    """A picture of one grey in every language."""
    return dict.fromkeys(languages(), make_png(width, height))


def make_gallery(num: int = 3) -> dict[str, Any]:
    """Pictures of as many images of each kind of decision, each of another grey."""
    rows = [
        {"run": TITLE, "decision": decision, "of": 7, "name": f"{HOSTILE}{rank}", "aetiology": "none"}
        | {"probability": 0.25, "threshold": 0.5, "width": 200, "height": 150}
        for decision in GROUPS
        for rank in range(num)
    ]
    pictures: dict[str, bytes] = {}
    for row in range(len(rows)):
        for shift, kind in enumerate(("plain", "overlay")):
            file = io.BytesIO()
            Image.new("L", (200, 150), 2 * row + shift).save(file, "WEBP", lossless=True)
            pictures[f"{kind}_{row}"] = file.getvalue()
    return {"cases": pd.DataFrame(rows), **pictures}


def make_metrics_table() -> DataFrame:
    """A figure without an interval, one with, one that does not exist, and one of a stratum."""
    whole = {"point": "balanced", "decides": True, "threshold": 0.4, "stratum": "all", "n": 100, "note": ""}
    figure = {"value": 0.9, "low": 0.85, "high": 0.95}
    beside = {"metadata_baseline": 0.8, "validation": 0.97, "gap": -0.07, "gap_low": -0.1, "gap_high": -0.04}
    rows = [
        {**whole, "metric": "loss", "point": None, "decides": None, "threshold": None, "value": 0.3, "note": None},
        {**whole, "metric": "accuracy", **figure, **beside},
        {**whole, "metric": "precision", "n": 0, "note": "no image is classified as PNEUMONIA"},
        {**whole, "metric": "sensitivity", "stratum": "aspect < 1.20", **figure, "metadata_baseline": 0.7},
    ]
    columns = [
        "metric",
        "point",
        "decides",
        "threshold",
        "subset",
        "stratum",
        "n",
        "value",
        "low",
        "high",
        *beside,
        "note",
    ]
    both = [{**row, "subset": subset} for subset in ("validation", "test") for row in rows]
    return pd.DataFrame(both, columns=columns)


def make_measured(value: float, whole: float) -> dict[str, float]:
    """Accuracy and AUC with their intervals, and their differences from those of the first condition."""
    figures = {name: {name: value, f"{name}_low": value - 0.02, f"{name}_high": value + 0.02} for name in SCRUTINISED}
    changes = {name: make_change(name, value - whole) for name in SCRUTINISED}
    return {key: number for each in (*figures.values(), *changes.values()) for key, number in each.items()}


def make_change(name: str, value: float) -> dict[str, float]:
    """The paired difference from the first condition, shown if it is more than a hundredth."""
    bounds = {f"{name}_change_low": value - 0.01, f"{name}_change_high": value + 0.01}
    return {f"{name}_change": value, **bounds, f"{name}_p": 0.001 if abs(value) > 0.01 else 1.0}


SCRUTINISED = ("accuracy", "auc")
TABLES: dict[str, Any] = {
    "robustness_table": pd.DataFrame(
        [
            {"run": TITLE, "kind": kind, "strength": strength, "n": 100, **make_measured(value, 0.9)}
            for kind, strength, value in (("none", 0.0, 0.9), ("blur", 1.5, 0.7), ("noise", 0.06, 0.9))
        ]
    ),
    "occlusion_table": pd.DataFrame(
        [
            {"run": TITLE, "shown": shown, "n": 100, **make_measured(value, 0.95)}
            for shown, value in (("whole", 0.95), ("border", 0.8), ("centre", 0.9))
        ]
    ),
    "map_sanity": {
        **{"num_images": 64, "most_alike": 0.5, "verdict": "depends"},
        "steps": [{"shuffled": ["dense"], "num_maps": 60, "correlation": interval(0.05, 0.1, 0.15).model_dump()}],
    },
    "metrics_table": make_metrics_table(),
    "abstention": make_abstention().model_dump(),
    "corruption_metrics": {
        **{"num_images": 100, "auc": 0.9, "worst_auc": 0.8, "specificity": 0.8},
        "conditions": [{"kind": "blur", "strength": 1.5, "auc": 0.9, "sensitivity": 0.9, "specificity": 0.8}],
    },
    "cross_check": pd.DataFrame(
        {
            **{"metric": ["accuracy"] * 2, "at": ["at_half", "at_chosen"], "keras": [0.9, 0.8]},
            **{"scikit_learn": [0.9, 0.8], "difference": [0.0, 0.0]},
        }
    ),
    "comparison_table": pd.DataFrame(
        {
            **{"metric": ["accuracy"], "n": [100], "baseline": [0.8], "augmented": [0.9]},
            **{"difference": [0.1], "low": [0.05], "high": [0.15]},
        }
    ),
    "class_counts": pd.DataFrame(
        {
            **{"subset": ["train", "test"], "class": ["NORMAL", "PNEUMONIA"], "aetiology": ["none", "viral"]},
            **{"images": [40, 60], "groups": [30, 50], "share": [0.4, 0.6]},
        }
    ),
    "header_table": pd.DataFrame(
        {
            **{"feature": ["width"], "split": ["train"], "class": ["NORMAL"], "images": [40], "minimum": [96.0]},
            **{"p5": [100.0], "median": [410.5], "p95": [550.0], "maximum": [729.0]},
        }
    ),
    "quarantine": pd.DataFrame({"path": [HOSTILE], "reason": ["not an image"], "detail": ["<b>bold</b>"]}),
}
COUNTED = {"subset": "test", "aetiology": "none", "groups": 40, "share": 0.5}
AUDIT: dict[str, Any] = {
    "counts": [{**COUNTED, "class": "NORMAL", "images": 40}, {**COUNTED, "class": "PNEUMONIA", "images": 60}],
    "groups": {"test": {"groups": 80, "largest": 1, "groups_of_several": 0, "images_in_groups_of_several": 0}},
    "unknown_patients": {"images": 0, "share": 0.0},
    "modes": {"test/NORMAL": {"L": 40}},
    "duplicates": {
        kind: {"pairs": 2, "pictures": 2, "across_splits": 1, "across_classes": 0, "across_groups": 0}
        for kind in ("exact", "near")
    },
    "shift": {
        name: {**{f"{feature}_distance": 0.1 for feature in FEATURES}, "wide_train": 0.02, "wide_test": 0.27}
        for name in ("NORMAL", "PNEUMONIA")
    },
    "quarantine": {"files": 1, "reasons": {"not an image": 1}},
    "published": {"as_published": False, "scale": None},
}


def make_evidence(**changes: Any) -> dict[str, Any]:
    """What belongs to no single run; parameters as plain values, as Kedro gives them where no node asks for options."""
    parameters = read_parameters()
    shown = {
        shown.name: make_figures() if isinstance(shown, contents.FigureEntry) else TABLES.get(shown.name)
        for shown in (*contents.COMPARISON, *contents.DATA)
    }
    return {
        **shown,
        **{f"params_{name}": parameters[name] for name in contents.PARAMETERS},
        **{
            "params_data_source": parameters["data_source"],
            "run_record": RECORD,
            "metadata_baseline": make_metadata_baseline().model_dump(),
        },
        **{"audit": AUDIT, "own_split": pd.DataFrame()},
        "comparison": make_comparison(auc=interval(0.01, 0.05, 0.1)).model_dump(mode="json"),
        **changes,
    }


def make_run_evidence(run: str = "augmented", **changes: Any) -> dict[str, Any]:
    """What the page shows of one run."""
    shown = {
        shown.name: make_figures() if isinstance(shown, contents.FigureEntry) else TABLES.get(shown.name)
        for part in contents.RUN_PARTS.values()
        for shown in part
    }
    shown["roc_curve"] = make_figures(484, 550)
    shown["map_sanity"], shown[contents.GALLERY] = TABLES["map_sanity"], make_gallery()
    return {
        **shown,
        "metadata_metrics": make_metadata_metrics(),
        **{
            "metrics": make_run_metrics(run=read_parameters()[run]["title"]),
            "history": make_history([0.6, 0.5], kept=2),
            "operating_point": make_point(0.4).model_dump(),
        },
        "params_run": read_parameters()[run],
        **changes,
    }
