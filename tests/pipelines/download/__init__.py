"""Tests of the download pipeline."""
