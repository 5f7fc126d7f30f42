"""Datasets that kedro-datasets lacks; each imports its heavy library when it loads or saves."""

from chest_xray.datasets.atomic import ArrayDataset as ArrayDataset
from chest_xray.datasets.atomic import FinishedShardsDataset as FinishedShardsDataset
from chest_xray.datasets.atomic import ShardedTableDataset as ShardedTableDataset
from chest_xray.datasets.atomic import StoredArraysDataset as StoredArraysDataset
from chest_xray.datasets.image_files import ImageFolderDataset as ImageFolderDataset
from chest_xray.datasets.image_files import NewImagesDataset as NewImagesDataset
from chest_xray.datasets.image_files import PhantomFolderDataset as PhantomFolderDataset
from chest_xray.datasets.image_files import UserTablesDataset as UserTablesDataset
from chest_xray.datasets.labelled_images import LabelledImagesDataset as LabelledImagesDataset
from chest_xray.datasets.single_file import CheckpointDataset as CheckpointDataset
from chest_xray.datasets.single_file import EvidenceDataset as EvidenceDataset
from chest_xray.datasets.single_file import FigureDataset as FigureDataset
from chest_xray.datasets.single_file import FigureFolderDataset as FigureFolderDataset
from chest_xray.datasets.single_file import FolderDataset as FolderDataset
from chest_xray.datasets.single_file import KerasModelDataset as KerasModelDataset
from chest_xray.datasets.single_file import MarkdownDataset as MarkdownDataset
from chest_xray.datasets.single_file import PackagedModelDataset as PackagedModelDataset
from chest_xray.datasets.single_file import PageDataset as PageDataset
from chest_xray.datasets.single_file import PlotlyDataset as PlotlyDataset
from chest_xray.datasets.single_file import TextDataset as TextDataset
