"""The download pipeline."""

from chest_xray.pipelines.download.pipeline import create_pipeline

__all__ = ["create_pipeline"]
