"""The ensemble pipeline."""

from chest_xray.pipelines.ensemble.pipeline import create_pipeline as create_pipeline
