"""The evaluation pipeline."""

from chest_xray.pipelines.evaluation.pipeline import create_pipeline

__all__ = ["create_pipeline"]
