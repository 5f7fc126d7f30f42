"""What differs from Kedro's defaults."""

from chest_xray.hooks import CheckInputs

HOOKS = (CheckInputs(),)
CONFIG_LOADER_ARGS = {"base_env": "base", "default_run_env": "local"}
