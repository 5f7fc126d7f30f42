"""The modeling pipeline."""

from chest_xray.pipelines.modeling.pipeline import create_pipeline

__all__ = ["create_pipeline"]
