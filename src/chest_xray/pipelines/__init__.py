"""Pipelines by subject: node functions in `nodes.py`, their wiring in `pipeline.py`."""

import warnings
from collections.abc import Callable
from typing import Any

from kedro.pipeline import Node


def make_node(function: Callable[..., Any], inputs: str | list[str] | dict[str, str], outputs: str | list[str]) -> Node:
    """Return a node that has the name of its function; it may read what the namespaces of several runs made."""
    with warnings.catch_warnings():
        # Kedro warns of the dots in the names of such inputs.
        warnings.filterwarnings("ignore", "One or more dataset names", UserWarning)
        return Node(function, inputs, outputs, name=function.__name__)
