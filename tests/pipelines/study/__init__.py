"""Tests of the ensemble pipeline."""
