"""Tests of the robustness pipeline."""
