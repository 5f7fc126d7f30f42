"""Tests of chest_xray.hooks."""
