"""The pipelines: what they are called, how they fit together, and that listing them says nothing else."""

import warnings

import pytest
from kedro.pipeline import Node, Pipeline

from chest_xray.pipeline_registry import register_pipelines


def test_building_the_pipelines_warns_of_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Node, "__dotted_dataset_name_warned__", False, raising=False)  # Kedro warns once.
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        register_pipelines()
    assert [str(warning.message) for warning in caught] == []


def test_the_default_is_all_pipelines_together_but_for_those_on_request() -> None:
    pipelines = register_pipelines()
    default = pipelines.pop("__default__")
    assert set(pipelines) == {"data_processing", "modeling", "evaluation", "augmentation", "export"}
    del pipelines["export"]
    assert {node.name for node in default.nodes} == {node.name for each in pipelines.values() for node in each.nodes}


def test_a_node_is_named_for_its_function_and_its_run() -> None:
    pipelines = register_pipelines()
    for node in (pipelines["__default__"] + pipelines["export"]).nodes:
        assert node.name.removeprefix(f"{node.namespace}.") == node.func.__name__


@pytest.mark.parametrize("name", ["modeling", "evaluation", "augmentation", "export"])
def test_a_pipeline_reads_only_parameters_and_what_pipelines_before_it_make(name: str) -> None:
    pipelines = register_pipelines()
    order = list(pipelines)
    before: Pipeline = sum((pipelines[each] for each in order[: order.index(name)]), Pipeline([]))
    # A checkpoint is a place that is always there.
    inputs = {
        each for each in pipelines[name].inputs() if not each.startswith("params:") and not each.endswith(".checkpoint")
    }
    assert inputs
    assert inputs <= before.all_outputs()
