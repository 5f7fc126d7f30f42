"""The ensemble pipeline."""

from chest_xray.pipelines.ensemble.pipeline import create_pipeline

__all__ = ["create_pipeline"]
