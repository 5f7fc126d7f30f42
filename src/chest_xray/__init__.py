"""Pneumonia in paediatric chest radiographs: data, model, evidence, and what augmentation changed."""

import os

__version__ = "0.1.0"

# TensorFlow reads this when it is first imported; without it, every run opens with notices about the processor.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
