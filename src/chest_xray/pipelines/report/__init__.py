"""The report pipeline."""

from chest_xray.pipelines.report.pipeline import create_pipeline

__all__ = ["create_pipeline"]
