"""Heavy types for annotations: real to a type checker, Any at run time.

Kedro resolves the annotations of every node; importing pandas and keras for them would take 0.4 s and 5 s a command.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keras import Model
    from matplotlib.figure import Figure
    from numpy import ndarray
    from numpy.random import Generator
    from pandas import DataFrame, Series
    from PIL.Image import Image
    from tensorflow import Tensor
    from tensorflow.data import Dataset

    Array = ndarray[Any, Any]
else:
    Array = DataFrame = Dataset = Figure = Generator = Image = Model = Series = Tensor = Any

__all__ = ["Array", "DataFrame", "Dataset", "Figure", "Generator", "Image", "Model", "Series", "Tensor"]
