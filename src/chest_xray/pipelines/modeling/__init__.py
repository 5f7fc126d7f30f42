"""The modeling pipeline."""

from chest_xray.pipelines.modeling.pipeline import create_choice, create_pipeline

__all__ = ["create_choice", "create_pipeline"]
