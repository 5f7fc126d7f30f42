"""The data_processing pipeline."""

from chest_xray.pipelines.data_processing.pipeline import create_pipeline as create_pipeline
