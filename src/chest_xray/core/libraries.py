"""NumPy, pandas, Keras and TensorFlow, each imported when it is first used.

A command that computes nothing saves half a second without NumPy and pandas, and five without the other two.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__all__ = ["keras", "np", "pd", "tf"]

if TYPE_CHECKING:
    import keras
    import numpy as np
    import pandas as pd
    import tensorflow as tf
else:

    class _Library:
        def __init__(self, name: str):
            self._name = name

        def __getattr__(self, attribute: str) -> Any:
            return getattr(import_module(self._name), attribute)

    keras, np, pd, tf = (_Library(name) for name in ("keras", "numpy", "pandas", "tensorflow"))
