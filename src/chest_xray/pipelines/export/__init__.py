"""The export pipeline."""

from chest_xray.pipelines.export.pipeline import create_pipeline as create_pipeline
