"""One package for each pipeline: its node functions in `nodes.py`, their wiring in `pipeline.py`."""
