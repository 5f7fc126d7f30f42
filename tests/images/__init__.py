"""Tests of chest_xray.images."""
