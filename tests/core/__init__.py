"""Tests of chest_xray.core."""
