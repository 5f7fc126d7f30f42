"""DICOM files of every kind that is read, made in memory."""

import io
from typing import Any

import numpy as np
from pydicom import Dataset, FileMetaDataset, dcmwrite
from pydicom.uid import UID, ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

from chest_xray.core.types import Array


def make_dataset(pixels: Array, *, bits: int | None = None, **values: Any) -> Dataset:
    """Describe grey pixels of an integer type, uncompressed; `bits` are those in use, `values` further elements."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = SecondaryCaptureImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = generate_uid(entropy_srcs=["a test"])
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = 8 * pixels.dtype.itemsize
    dataset.BitsStored = bits or dataset.BitsAllocated
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    dataset.PixelData = pixels.tobytes()
    dataset["PixelData"].VR = "OB" if pixels.dtype.itemsize == 1 else "OW"
    for name, value in values.items():
        setattr(dataset, name, value)
    return dataset


def write(dataset: Dataset) -> bytes:
    """Give the bytes of a file with preamble and prefix."""
    buffer = io.BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def compress(dataset: Dataset, syntax: UID, **settings: Any) -> Dataset:
    """Encode the pixels by pydicom."""
    dataset.compress(syntax, generate_instance_uid=False, **settings)
    return dataset


def ramp(dtype: Any, low: int, high: int, shape: tuple[int, int] = (40, 60)) -> Array:
    """Dark on the left, bright on the right, with both ends in it."""
    return np.tile(np.linspace(low, high, shape[1]), (shape[0], 1)).round().astype(dtype)
