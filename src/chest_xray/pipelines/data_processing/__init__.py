"""The pipelines data_processing and download."""

from chest_xray.pipelines.data_processing.pipeline import create_download as create_download
from chest_xray.pipelines.data_processing.pipeline import create_pipeline as create_pipeline
