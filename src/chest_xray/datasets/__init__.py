"""Datasets that kedro-datasets lacks; each imports its heavy library when it loads or saves."""

from chest_xray.datasets.archive import ArchiveDataset, UnpackedFolderDataset
from chest_xray.datasets.array import ArrayDataset, StoredArraysDataset
from chest_xray.datasets.image_files import (
    ImageFolderDataset,
    NewImagesDataset,
    PhantomFolderDataset,
    SplitTableDataset,
)
from chest_xray.datasets.sharded_table import FinishedShardsDataset, ShardedTableDataset
from chest_xray.datasets.single_file import (
    CheckpointDataset,
    EvidenceDataset,
    FigureDataset,
    FigureFolderDataset,
    KerasModelDataset,
    MarkdownDataset,
    PackagedModelDataset,
)

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
