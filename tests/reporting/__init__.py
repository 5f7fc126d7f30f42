"""Tests of chest_xray.reporting."""
