"""Tests of chest_xray.serving."""
