"""The constructor of nodes that all pipelines use."""

from collections.abc import Callable
from typing import Any

from kedro.pipeline import Node


def make_node(function: Callable[..., Any], inputs: str | list[str] | dict[str, str], outputs: str | list[str]) -> Node:
    """Return a node that has the name of its function."""
    return Node(function, inputs, outputs, name=function.__name__)
