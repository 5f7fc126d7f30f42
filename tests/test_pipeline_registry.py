"""The pipelines: what they are called, how they fit together, and that listing them says nothing else."""

import warnings

import pytest
from kedro.pipeline import Node, Pipeline

from chest_xray.pipeline_registry import register_pipelines

BY_DEFAULT = ("data_processing", "modeling", "evaluation", "augmentation")
ON_REQUEST = ("download", "ensemble", "export", "prediction")


def test_building_the_pipelines_warns_of_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Node, "__dotted_dataset_name_warned__", False, raising=False)  # Kedro warns once.
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        register_pipelines()
    assert [str(warning.message) for warning in caught] == []


def test_the_default_is_all_pipelines_together_but_for_those_on_request() -> None:
    pipelines = register_pipelines()
    assert set(pipelines) == {"__default__", *BY_DEFAULT, *ON_REQUEST}
    together = {node.name for name in BY_DEFAULT for node in pipelines[name].nodes}
    assert {node.name for node in pipelines["__default__"].nodes} == together


def test_a_node_is_named_for_its_function_and_its_run() -> None:
    pipelines = register_pipelines()
    for node in sum(pipelines.values(), Pipeline([])).nodes:
        assert node.name.removeprefix(f"{node.namespace}.") == node.func.__name__


@pytest.mark.parametrize("name", ["modeling", "evaluation", "augmentation", "ensemble", "export", "prediction"])
def test_a_pipeline_reads_only_parameters_and_what_pipelines_before_it_make(name: str) -> None:
    pipelines = register_pipelines()
    order = list(pipelines)
    before: Pipeline = sum((pipelines[each] for each in order[: order.index(name)]), Pipeline([]))
    # A checkpoint is a place that is always there; new images are the user's.
    inputs = {each for each in pipelines[name].inputs() if not each.startswith("params:")} - {"new_images"}
    inputs = {each for each in inputs if not each.endswith(".checkpoint")}
    assert inputs
    assert inputs <= before.all_outputs()
