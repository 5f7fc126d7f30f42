"""A run prints a line for each node that takes time, its results, and what is out of date after it."""

import itertools
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from kedro.io import DataCatalog
from kedro.pipeline import Node, Pipeline
from kedro_datasets.json import JSONDataset

from chest_xray import run_log
from chest_xray.core.provenance import Lineage
from chest_xray.run_log import NUM_NAMED, LogRun

pytestmark = pytest.mark.usefixtures("registered_pipelines")


def describe(source: Any) -> Any:
    return source


def run(folder: Path, pipeline: Pipeline, seconds: dict[str, float], monkeypatch: pytest.MonkeyPatch) -> None:
    """Call the hooks as Kedro does in a run whose nodes take these seconds."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr("chest_xray.run_log.monotonic", lambda: clock.now)
    stored = {name: JSONDataset(filepath=str(folder / "data" / f"{name}.json")) for name in ("first", "report")}
    catalog, log = DataCatalog(stored), LogRun()
    loader = {"globals": {"data_dir": "data"}}
    log.after_context_created(SimpleNamespace(project_path=folder, config_loader=loader, params={}))
    log.before_pipeline_run(pipeline, catalog)
    for node in pipeline.nodes:
        log.before_node_run(node)
        clock.now += seconds[node.name]
        for name in node.outputs:
            catalog.get(name, fallback_to_runtime_pattern=True)
            log.after_dataset_saved(name, node)
    log.after_pipeline_run(pipeline)


def test_only_nodes_that_take_time_and_store_something_have_a_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    names = ("source", "first", "in_memory", "report")
    pairs = itertools.pairwise(names)
    pipeline = Pipeline([Node(describe, before, after, name=f"make_{after}") for before, after in pairs])
    run(tmp_path, pipeline, {"make_first": 2.25, "make_in_memory": 60, "make_report": 0.1}, monkeypatch)
    assert caplog.messages == [
        "  1/3 make_first, 2.2 s",
        "3 nodes in 62 s.",
        "Report (in Russian: report.ru.html): data/report.json",
    ]


def test_a_run_in_a_folder_below_the_project_logs_as_one_in_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured: list[Any] = []
    monkeypatch.setattr(run_log, "LOGGING", SimpleNamespace(configure=configured.append))
    monkeypatch.delenv("KEDRO_LOGGING_CONFIG", raising=False)
    context = SimpleNamespace(project_path=tmp_path, config_loader={"globals": {"data_dir": "data"}}, params={})
    for folder in ("conf", "notebooks"):
        (tmp_path / folder).mkdir()
    (tmp_path / "conf/logging.yml").write_text("version: 1", "utf-8")
    for place in (tmp_path, tmp_path / "notebooks"):
        monkeypatch.chdir(place)
        LogRun().after_context_created(context)
    assert configured == [{"version": 1}]  # Kedro itself reads the file in the folder of the project.


def test_a_run_names_the_outputs_that_it_has_put_out_of_date_and_how_to_update_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, metrics = tmp_path / "model", tmp_path / "metrics"
    (tmp_path / "data").mkdir()
    lineage = Lineage(tmp_path / "data/lineage.json")

    def save(name: str, path: Path, text: str, *inputs: str) -> None:
        path.write_text(text)
        lineage.record(name, path, [(each, None) for each in inputs])

    save("baseline.model", model, "trained")
    save("baseline.metrics", metrics, "measured", "baseline.model")
    pipeline = Pipeline([Node(describe, "source", "baseline.model", name="train")])
    run(tmp_path, pipeline, {"train": 1.0}, monkeypatch)
    assert "Out of date" not in caplog.text

    save("baseline.model", model, "trained again")
    run(tmp_path, pipeline, {"train": 1.0}, monkeypatch)
    expected = "changed: baseline.metrics. To update them: kedro run --pipelines=evaluation, with the same --env"
    assert expected in caplog.text

    others = sorted(f"baseline.{name}" for name in ("curves", "decisions", "evidence", "figures", "roc_curve"))
    for name in (*others, *(f"augmented.{name}" for name in ("curves", "metrics", "roc_curve"))):
        save(name, tmp_path / name, "drawn", "baseline.metrics")
    run(tmp_path, pipeline, {"train": 1.0}, monkeypatch)
    assert f"{NUM_NAMED} more" not in caplog.text
    assert "augmented.metrics and 1 more. To update them: kedro run --pipelines=evaluation,augmentation," in caplog.text
