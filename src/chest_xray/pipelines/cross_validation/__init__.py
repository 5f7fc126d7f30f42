"""The cross_validation pipeline."""

from chest_xray.pipelines.cross_validation.pipeline import create_pipeline as create_pipeline
