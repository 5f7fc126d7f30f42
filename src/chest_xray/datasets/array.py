"""A NumPy array in one `.npy` file, read by memory mapping."""

from kedro.io import DatasetError

from chest_xray.datasets.storage import FileDataset, atomic_path
from chest_xray.types import Array


class ArrayDataset(FileDataset):
    """Keeps one array; loading maps the file, so that a node reads only the rows it touches."""

    def load(self) -> Array:
        """Give the array, read-only, of the dtype and shape that was saved."""
        import numpy as np

        return np.load(self._local(), mmap_mode="r", allow_pickle=False)

    def save(self, data: Array) -> None:
        """Write the array; one of objects, which would need pickle, is a DatasetError."""
        import numpy as np

        if data.dtype.hasobject:
            raise DatasetError(f"received an array of {data.dtype}; expected numbers, which need no pickle.")
        with atomic_path(self._filepath) as path:
            np.save(path, data, allow_pickle=False)
