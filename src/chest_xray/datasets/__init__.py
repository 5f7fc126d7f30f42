"""Datasets that kedro-datasets lacks; each imports its heavy library when it loads or saves."""

from chest_xray.datasets.array import ArrayDataset
from chest_xray.datasets.checkpoint import CheckpointDataset
from chest_xray.datasets.image_folder import ImageFolderDataset
from chest_xray.datasets.keras_model import KerasModelDataset
from chest_xray.datasets.markdown import MarkdownDataset
from chest_xray.datasets.packaged_model import PackagedModelDataset
from chest_xray.datasets.phantom_folder import PhantomFolderDataset

__all__ = [
    "ArrayDataset",
    "CheckpointDataset",
    "ImageFolderDataset",
    "KerasModelDataset",
    "MarkdownDataset",
    "PackagedModelDataset",
    "PhantomFolderDataset",
]
