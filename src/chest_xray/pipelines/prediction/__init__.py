"""The pipelines prediction and external: the frozen network on new images, and on labelled ones of another site."""

from chest_xray.pipelines.prediction.pipeline import create_external as create_external
from chest_xray.pipelines.prediction.pipeline import create_pipeline as create_pipeline
