"""The study pipeline."""

from chest_xray.pipelines.study.pipeline import create_pipeline as create_pipeline
