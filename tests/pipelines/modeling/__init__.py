"""Tests of the modeling pipeline."""
