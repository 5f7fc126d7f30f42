"""Tests of chest_xray, in the same layout as the package."""
