"""Radiographs before they reach a network: files, decoding, checks, corruptions and splits."""
