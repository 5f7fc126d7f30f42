"""The robustness pipeline: what the network looks at, and how much alteration it tolerates."""

from chest_xray.pipelines.robustness.pipeline import create_pipeline

__all__ = ["create_pipeline"]
