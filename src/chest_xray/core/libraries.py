"""Libraries, each imported when it is first used.

A command that computes nothing saves half a second without NumPy and pandas, and five without Keras and TensorFlow.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__all__ = ["keras", "np", "pd", "pillow", "pooch", "requests", "tf"]

if TYPE_CHECKING:
    import keras
    import numpy as np
    import pandas as pd
    import PIL.Image as pillow  # noqa: N813
    import pooch
    import requests
    import tensorflow as tf
else:

    class _Library:
        def __init__(self, name: str):
            self._name = name

        def __getattr__(self, attribute: str) -> Any:
            return getattr(import_module(self._name), attribute)

    keras, np, pd, tf = (_Library(name) for name in ("keras", "numpy", "pandas", "tensorflow"))
    pillow, pooch, requests = (_Library(name) for name in ("PIL.Image", "pooch", "requests"))
