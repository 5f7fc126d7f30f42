"""NumPy and pandas, each imported when it is first used: a command that computes nothing saves half a second."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__all__ = ["np", "pd"]

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
else:

    class _Library:
        def __init__(self, name: str):
            self._name = name

        def __getattr__(self, attribute: str) -> Any:
            return getattr(import_module(self._name), attribute)

    np, pd = _Library("numpy"), _Library("pandas")
