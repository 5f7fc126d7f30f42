"""Tests of the report pipeline."""
