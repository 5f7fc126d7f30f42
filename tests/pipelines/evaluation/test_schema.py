"""What is written is what docs/metrics.md describes, and nothing besides."""

import re
from typing import Any

from chest_xray.metrics.metadata_baseline import evaluate_metadata_baseline, score_metadata
from chest_xray.metrics.operating_point import Calibration, Point
from chest_xray.pipelines.evaluation.nodes import compute_metrics
from tests.builders import make_evaluation, make_metadata_baseline, make_point, make_predictions
from tests.conftest import ROOT

FIGURE = {"value", "low", "high", "method", "n"}


def described() -> dict[str, set[str]]:
    """The keys in the first column of each table, by the heading above it."""
    text = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
    parts = re.split(r"^#+ (.*)$", text, flags=re.MULTILINE)[1:]
    cells = {
        heading: [line.split("|")[1] for line in body.splitlines() if line.startswith("| `")]
        for heading, body in zip(parts[::2], parts[1::2], strict=True)
    }
    return {heading: set(re.findall(r"`(\w+)`", " ".join(column))) for heading, column in cells.items()}


def make_both() -> tuple[dict[str, Any], dict[str, Any]]:
    table = make_predictions([0, 1, 0, 1], [0.1, 0.4, 0.6, 0.9])
    metrics = compute_metrics(table, table, make_point(0.5), make_evaluation())
    header = evaluate_metadata_baseline(
        table, make_metadata_baseline(), score_metadata(table, table), metrics, make_evaluation()
    )
    return metrics.model_dump(mode="json"), header.model_dump(mode="json")


def test_every_key_is_described_and_every_description_has_its_key() -> None:
    metrics, _ = make_both()
    keys = described()
    assert set(metrics) == keys["`metrics.json`"]
    for subset in ("validation", "test"):
        part = metrics[subset]
        assert set(part) == keys["`validation` and `test`"]
        assert set(part["calibration"]) == keys["`calibration`"]
        assert all(set(each) == keys["`strata`"] for each in part["strata"])
        for each in (part["at_half"], *part["points"].values()):
            assert set(each) == keys["`at_half` and `points`"]
    assert set(metrics["operating_point"]) == keys["`operating_point`"]
    text = (ROOT / "docs/metrics.md").read_text(encoding="utf-8").split("## `operating_point`")[1]
    assert {*Point.model_fields, *Calibration.model_fields} <= set(re.findall(r"`(\w+)`", text))


def test_the_version_that_is_described_is_the_one_that_is_written() -> None:
    metrics, _ = make_both()
    text = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
    assert f"| `schema_version` | {metrics['schema_version']};" in text


def test_the_metadata_baseline_has_the_keys_that_are_named() -> None:
    _, header = make_both()
    text = (ROOT / "docs/metrics.md").read_text(encoding="utf-8").split("## `metadata_metrics.json`")[1]
    assert {*header, *header["difference"]} <= set(re.findall(r"`(\w+)`", text))


def test_every_metric_has_the_same_keys() -> None:
    places: list[Any] = list(make_both())
    num = 0
    while places:
        place = places.pop()
        inner = list(place.values()) if isinstance(place, dict) else place if isinstance(place, list) else []
        if isinstance(place, dict) and "value" in place:
            assert set(place) in (FIGURE, FIGURE - {"n"})
            num += 1
        places += inner
    assert num > 150
