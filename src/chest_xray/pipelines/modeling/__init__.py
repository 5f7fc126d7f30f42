"""The modeling pipeline."""

from chest_xray.pipelines.modeling.pipeline import create_choice as create_choice
from chest_xray.pipelines.modeling.pipeline import create_pipeline as create_pipeline
