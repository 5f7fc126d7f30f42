"""The export pipeline."""

from chest_xray.pipelines.export.pipeline import create_pipeline

__all__ = ["create_pipeline"]
