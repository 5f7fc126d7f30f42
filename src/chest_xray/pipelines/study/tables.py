"""The study laid out for reading: by arm, and by run."""

from typing import Any

from chest_xray.core.types import DataFrame


def tabulate_arms(study: dict[str, Any]) -> DataFrame:
    """Lay the study out, one row an arm and metric.

    Args:
        study: From `compare_arms`.

    Returns:
        `arm`, `metric`, `n` (images), `mean` and `deviation` over seeds; against none, and empty for it: `difference`,
        `low`, `high`, `smallest` (over patients), `difference_deviation` (over seeds), `low_both`, `high_both`,
        `smallest_both` (over patients and seeds).
    """
    import pandas as pd

    counted = {"sensitivity": study["num_diseased"], "specificity": study["num_healthy"]}
    rows = []
    for arm, metrics in study["arms"].items():
        for name, each in metrics.items():
            row = {"arm": arm, "metric": name, "n": counted.get(name, study["num_images"])}
            rows.append(row | {key: each[key] for key in ("mean", "deviation")})
            if change := study["differences"].get(arm, {}).get(name):
                rows[-1] |= {"difference": change["value"], "difference_deviation": change["deviation"]}
                rows[-1] |= {key: change[key] for key in ("low", "high", "smallest")}
                rows[-1] |= {f"{key}_both": value for key, value in change["both"].items()}
    columns = [
        "difference",
        "low",
        "high",
        "smallest",
        "difference_deviation",
        "low_both",
        "high_both",
        "smallest_both",
    ]
    return pd.DataFrame(rows, columns=["arm", "metric", "n", "mean", "deviation", *columns]).round(4)


def tabulate_runs(study: dict[str, Any]) -> DataFrame:
    """Lay the single runs out, one row an arm, seed and metric.

    Args:
        study: From `compare_arms`.

    Returns:
        `arm`, `seed`, `metric`, `value`; against none of the same seed, and empty for it: `difference`, and in the rows
        of accuracy, which McNemar's test is about, `mended`, `broken` and `p`.
    """
    import pandas as pd

    rows = []
    for arm, metrics in study["arms"].items():
        for name, each in metrics.items():
            for place, seed in enumerate(study["seeds"]):
                rows.append({"arm": arm, "seed": seed, "metric": name, "value": round(each["by_seed"][place], 4)})
                if arm in study["differences"]:
                    difference = study["differences"][arm][name]["by_seed"][place]
                    rows[-1] |= {"difference": round(difference, 4)}
                    rows[-1] |= study["mcnemar"][arm][place] if name == "accuracy" else {}
    table = pd.DataFrame(rows, columns=["arm", "seed", "metric", "value", "difference", "mended", "broken", "p"])
    return table.astype({"mended": "Int64", "broken": "Int64"})
