"""The record of a run as tables."""

from collections.abc import Mapping
from typing import Any

from chest_xray.core.types import DataFrame


def tabulate_record(run_record: dict[str, Any]) -> DataFrame:
    """Give one row a fact.

    Args:
        run_record: From `chest_xray.core.provenance.describe_run`.

    Returns:
        `fact` and `found`, both text; a fact that is not known is None.
    """
    import json

    import pandas as pd

    git, machine = run_record["git"], run_record["machine"]
    facts = {
        **{name: run_record[name] for name in ("command", "environment", "session", "started")},
        "pipelines": ", ".join(run_record["pipelines"]),
        "parameters": json.dumps(run_record["parameters"], ensure_ascii=False) if run_record["parameters"] else None,
        "seconds": run_record["seconds"],
        "commit": git["commit"] if git else "no_git",
        "dirty": git["dirty"] if git else None,
        **{name: machine[name] for name in ("platform", "processor", "cores")},
        "python": run_record["python"],
        **run_record["packages"],
    }
    return pd.DataFrame({"fact": list(facts), "found": pd.Series(list(facts.values()), dtype=object)})


def tabulate_seeds(runs: Mapping[str, Mapping[str, Any]]) -> DataFrame:
    """Give one row a run: its seed, the epochs and steps that it was trained, and the seconds that this took."""
    import pandas as pd

    rows = [
        {
            "run": name,
            "seed": run["params_run"].seed,
            "epochs": len(run["history"]),
            "steps": int(run["history"]["steps"].max()),
            "seconds": float(run["history"]["seconds"].sum()),
        }
        for name, run in runs.items()
    ]
    return pd.DataFrame(rows)
