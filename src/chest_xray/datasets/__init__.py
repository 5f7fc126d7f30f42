"""Datasets that kedro-datasets lacks; each imports its heavy library when it loads or saves."""

from chest_xray.datasets.archive import ArchiveDataset, UnpackedFolderDataset
from chest_xray.datasets.array import ArrayDataset, StoredArraysDataset
from chest_xray.datasets.checkpoint import CheckpointDataset
from chest_xray.datasets.evidence import EvidenceDataset
from chest_xray.datasets.figure import FigureDataset, FigureFolderDataset
from chest_xray.datasets.image_folder import ImageFolderDataset
from chest_xray.datasets.keras_model import KerasModelDataset
from chest_xray.datasets.markdown import MarkdownDataset
from chest_xray.datasets.new_images import NewImagesDataset
from chest_xray.datasets.packaged_model import PackagedModelDataset
from chest_xray.datasets.phantom_folder import PhantomFolderDataset
from chest_xray.datasets.sharded_table import FinishedShardsDataset, ShardedTableDataset
from chest_xray.datasets.split_table import SplitTableDataset

__all__ = [
    "ArchiveDataset",
    "ArrayDataset",
    "CheckpointDataset",
    "EvidenceDataset",
    "FigureDataset",
    "FigureFolderDataset",
    "FinishedShardsDataset",
    "ImageFolderDataset",
    "KerasModelDataset",
    "MarkdownDataset",
    "NewImagesDataset",
    "PackagedModelDataset",
    "PhantomFolderDataset",
    "ShardedTableDataset",
    "SplitTableDataset",
    "StoredArraysDataset",
    "UnpackedFolderDataset",
]
