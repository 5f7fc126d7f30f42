"""Tests of the augmentation pipeline."""
