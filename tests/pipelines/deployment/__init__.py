"""Tests of export, prediction and external."""
