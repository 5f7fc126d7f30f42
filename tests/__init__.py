"""Tests of chest_xray, laid out as the package is."""
