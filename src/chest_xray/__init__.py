"""Pneumonia in paediatric chest radiographs: data, model, evidence, and what augmentation changed."""

from chest_xray.core.quiet import silence_tensorflow

__version__ = "0.1.0"

silence_tensorflow()  # before anything imports it
