"""The robustness pipeline."""

from chest_xray.pipelines.robustness.pipeline import create_pipeline as create_pipeline
