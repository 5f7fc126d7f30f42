"""Radiographs as pictures: what is done to them before a network sees them."""
