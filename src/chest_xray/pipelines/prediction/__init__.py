"""The prediction pipeline."""

from chest_xray.pipelines.prediction.pipeline import create_pipeline as create_pipeline
