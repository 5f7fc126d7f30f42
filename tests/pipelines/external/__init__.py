"""Tests of the external pipeline."""
