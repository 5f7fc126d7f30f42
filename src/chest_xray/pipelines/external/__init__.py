"""The external pipeline: the frozen network on labelled images of another site."""

from chest_xray.pipelines.external.pipeline import create_pipeline as create_pipeline
