"""The evaluation pipeline."""

from chest_xray.pipelines.evaluation.pipeline import create_decisions as create_decisions
from chest_xray.pipelines.evaluation.pipeline import create_metrics as create_metrics
from chest_xray.pipelines.evaluation.pipeline import create_pipeline as create_pipeline
