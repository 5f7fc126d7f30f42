"""Tests of the export pipeline."""
