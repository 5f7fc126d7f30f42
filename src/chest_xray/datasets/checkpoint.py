"""The place of a checkpoint in the catalog."""

from typing import Any

from kedro.io import DatasetError

from chest_xray.datasets.storage import FileDataset
from chest_xray.models.checkpointing import Checkpoint


class CheckpointDataset(FileDataset):
    """Gives the node that trains a place for its checkpoint; the node's only door to the disk.

    Args:
        filepath: A local path that ends in `.npz`.
        metadata: For plugins such as Kedro-Viz.
    """

    def load(self) -> Checkpoint:
        """Return the place, whether or not something was left there."""
        return Checkpoint(self._filepath)

    def save(self, data: Any) -> None:
        """Refuse: training itself writes there, after every epoch."""
        raise DatasetError(f"{type(self).__name__} is not an output; received {type(data).__name__}.")

    def _exists(self) -> bool:
        return True
