"""The modeling pipeline."""

from chest_xray.pipelines.modeling.pipeline import create_operating_point as create_operating_point
from chest_xray.pipelines.modeling.pipeline import create_pipeline as create_pipeline
