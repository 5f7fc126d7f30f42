"""The augmentation pipeline."""

from chest_xray.pipelines.augmentation.pipeline import create_pipeline as create_pipeline
