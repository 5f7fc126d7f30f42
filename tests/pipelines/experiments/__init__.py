"""Tests of the pipelines that train many networks."""
