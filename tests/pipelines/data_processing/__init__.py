"""Tests of the data processing pipeline."""
