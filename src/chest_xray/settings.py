"""What differs from Kedro's defaults."""

from chest_xray.hooks import CheckInputs, RecordRun, RemoveCheckpoints, RunLock

# Kedro calls the last first: who keeps runs apart comes after the check of what there is.
HOOKS = (RunLock(), CheckInputs(), RemoveCheckpoints(), RecordRun())
# Soft: `--params training.epochs=3` or an environment changes that key and leaves its neighbours as they are.
CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    "merge_strategy": {"parameters": "soft"},
}
