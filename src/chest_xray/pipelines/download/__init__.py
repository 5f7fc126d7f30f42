"""The download pipeline."""

from chest_xray.pipelines.download.pipeline import create_pipeline as create_pipeline
