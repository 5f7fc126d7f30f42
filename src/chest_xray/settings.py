"""What differs from Kedro's defaults."""

from pathlib import Path
from typing import Any

from kedro.config import OmegaConfigLoader
from omegaconf import DictConfig, ListConfig, OmegaConf

from chest_xray.hooks.checks import CheckCommand, CheckInputs, CompareSettings, HideTracebacks, UseShippedNetwork
from chest_xray.hooks.runs import LogRun, RecordRun, RemoveCheckpoints, RunLock

# Kedro calls the last first: the checks before all others, and `RunLock` after them.
CHECKS = (CheckInputs(), CompareSettings(), UseShippedNetwork(), CheckCommand(), HideTracebacks())
HOOKS = (RunLock(), RemoveCheckpoints(), RecordRun(), LogRun(), *CHECKS)


def compose_runs(arms: DictConfig, seeds: ListConfig) -> dict[str, dict[str, Any]]:
    """Return the settings of one run for each arm and seed, by `{arm}_{seed}`; a resolver of configuration files.

    Args:
        arms: The augmentation of each arm.
        seeds: Alike for every arm, so that differences are paired.
    """
    augmentations: dict[str, Any] = {str(arm): OmegaConf.to_container(arms[arm], resolve=True) for arm in arms}
    return {
        f"{arm}_{seed}": {"title": f"{arm.replace('_', ', ')}, seed {seed}", "seed": seed, "augmentation": augmentation}
        for arm, augmentation in augmentations.items()
        for seed in seeds
    }


def count_test_looks() -> int | None:
    """Return the number of looks at the test split in `docs/test_ledger.yml`; a resolver of configuration files.

    None where the package is installed without the repository.
    """
    ledger = Path(__file__).resolve().parents[2] / "docs/test_ledger.yml"
    return len(OmegaConf.load(ledger).looks) if ledger.exists() else None


class ConfigLoader(OmegaConfigLoader):
    """Lets an environment change a parameter that others refer to.

    Kedro resolves references of each environment by itself, so that `${augmented.augmentation}` in `conf/base` would be
    the default even where `conf/local` sets another augmentation.
    """

    def _resolve_from_raw_config(
        self, key: str, base_configs: dict[Path, DictConfig], env_configs: dict[Path, DictConfig], *rest: Any
    ) -> dict[str, Any]:
        if key == "parameters":
            base_configs, env_configs = base_configs | env_configs, {}
        resolved: dict[str, Any] = super()._resolve_from_raw_config(key, base_configs, env_configs, *rest)
        return resolved


CONFIG_LOADER_CLASS = ConfigLoader
# Soft: `--params training.epochs=3` or an environment changes that key and leaves its neighbours as they are.
CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    "merge_strategy": {"parameters": "soft"},
    "custom_resolvers": {"compose_runs": compose_runs, "count_test_looks": count_test_looks},
}
