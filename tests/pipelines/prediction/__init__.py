"""Tests of the prediction pipeline."""
