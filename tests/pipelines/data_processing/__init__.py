"""Tests of data_processing and download."""
