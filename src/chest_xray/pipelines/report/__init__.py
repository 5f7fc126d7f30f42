"""The report pipeline."""

from chest_xray.pipelines.report.pipeline import create_pipeline as create_pipeline
