"""Pipelines of a trained network in use: export, prediction and external."""

from chest_xray.pipelines.deployment.pipeline import create_export as create_export
from chest_xray.pipelines.deployment.pipeline import create_external as create_external
from chest_xray.pipelines.deployment.pipeline import create_prediction as create_prediction
