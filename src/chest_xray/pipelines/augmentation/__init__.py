"""The augmentation pipeline."""

from chest_xray.pipelines.augmentation.pipeline import create_pipeline

__all__ = ["create_pipeline"]
