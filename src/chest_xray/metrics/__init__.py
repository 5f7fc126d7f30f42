"""How good predictions are: rates, calibration, subgroups and comparisons, with intervals over patients."""
