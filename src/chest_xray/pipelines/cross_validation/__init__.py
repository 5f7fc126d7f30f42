"""The cross_validation pipeline."""

from chest_xray.pipelines.cross_validation.pipeline import create_pipeline

__all__ = ["create_pipeline"]
