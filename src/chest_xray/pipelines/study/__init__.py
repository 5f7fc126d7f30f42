"""The study pipeline."""

from chest_xray.pipelines.study.pipeline import create_pipeline

__all__ = ["create_pipeline"]
