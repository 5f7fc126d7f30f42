"""Pipelines of many trainings: cross-validation, the ensemble and the study of augmentation."""

from chest_xray.pipelines.experiments.pipeline import create_cross_validation as create_cross_validation
from chest_xray.pipelines.experiments.pipeline import create_ensemble as create_ensemble
from chest_xray.pipelines.experiments.pipeline import create_study as create_study
