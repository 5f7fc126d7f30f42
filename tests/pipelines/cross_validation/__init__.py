"""Tests of the cross_validation pipeline."""
