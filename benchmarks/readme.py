"""Bring the results in README.md and README.ru.md up to date: the marked parts, and docs/results.png.

    PYTHONPATH=src python benchmarks/readme.py [data/08_reporting]

With the folder of a run, its results are first stored in docs/results.json, from which everything is written. A test
compares the pages with that file, and the file with the metrics of the shipped network.
"""

import json
import math
import sys
import textwrap
from pathlib import Path
from typing import Any

import yaml

from chest_xray.metrics.binary import proportion
from chest_xray.metrics.results import Metrics

ROOT = Path(__file__).parents[1]
STORED = ROOT / "docs/results.json"
PAGES = {"en": "README.md", "ru": "README.ru.md"}
PICTURES = {"en": "docs/results.png", "ru": "docs/results.ru.png"}
METRICS = ("accuracy", "sensitivity", "specificity")
ROWS = ("width", "textbook", "baseline", "augmented")


def collect(folder: Path) -> dict[str, Any]:
    """Return the results of a default run from its folder `08_reporting`."""
    files = {run: folder / run / "metrics.json" for run in ("baseline", "augmented")}
    runs = {run: Metrics.model_validate_json(file.read_text("utf-8")) for run, file in files.items()}
    test, validation = runs["augmented"].test, runs["augmented"].validation
    num_sick = test.at_chosen.sensitivity.n
    record, comparison = _read(folder / "run_record.json"), _read(folder / "comparison.json")
    return {
        "date": record["started"][:10],
        "commit": record["git"]["commit"][:7],
        "minutes": round(record["seconds"] / 60),
        "test": {"images": test.num_images, "patients": test.num_groups, "PNEUMONIA": num_sick},
        "validation": {"images": validation.num_images, "groups": validation.num_groups},
        "rows": {
            "width": _collect_width(
                _read(folder / "metadata_baseline.json")["features"]["width"], test.num_images, num_sick
            ),
            "textbook": _collect_row(runs["baseline"], "at_half"),
            "baseline": _collect_row(runs["baseline"], "at_chosen"),
            "augmented": _collect_row(runs["augmented"], "at_chosen"),
        },
        "difference": {name: comparison["metrics"][name]["difference"] for name in (*METRICS, "auc")},
        "roc": {run: _collect_roc(folder / run / "curves.parquet") for run in runs},
    }


def _read(file: Path) -> Any:
    return json.loads(file.read_text("utf-8"))


def _collect_row(metrics: Metrics, point: str) -> dict[str, Any]:
    test, validation = (getattr(subset, point) for subset in (metrics.test, metrics.validation))
    found = {
        **{name: getattr(test, name) for name in METRICS},
        "auc": metrics.test.auc,
        "validation": validation.accuracy,
    }
    return {name: each.model_dump() for name, each in found.items()}


def _collect_width(rule: dict[str, Any], num_images: int, num_sick: int) -> dict[str, Any]:
    """Wilson intervals, and for the AUC that of Hanley and McNeil 1982: the file has none."""
    totals = dict(zip(METRICS, (num_images, num_sick, num_images - num_sick), strict=True))
    found = {name: proportion(round(rule["test"][name] * n), n).model_dump() for name, n in totals.items()}
    auc = rule["test"]["auc"]
    q1, q2 = auc / (2 - auc) - auc**2, 2 * auc**2 / (1 + auc) - auc**2
    num_well = num_images - num_sick
    variance = (auc * (1 - auc) + (num_sick - 1) * q1 + (num_well - 1) * q2) / (num_sick * num_well)
    margin = 1.96 * math.sqrt(variance)
    found["auc"] = {"value": auc, "low": auc - margin, "high": min(auc + margin, 1), "n": num_images}
    return {**found, "pixels": rule["threshold"]}


def _collect_roc(file: Path) -> list[list[float]]:
    """Return the corners of the curve on test: false positive rate and sensitivity."""
    import pandas as pd

    curves = pd.read_parquet(file).query("curve == 'roc' and subset == 'test'")
    points = curves[["x", "value"]].round(4).drop_duplicates().to_numpy().tolist()
    inner = zip(points, points[1:], points[2:], strict=False)
    corners = [b for a, b, c in inner if not (a[0] == b[0] == c[0] or a[1] == b[1] == c[1])]
    return [points[0], *corners, points[-1]]


def render(page: str, language: str, results: dict[str, Any]) -> str:
    """Return a page with its marked parts written from the results.

    Raises:
        ValueError: A mark is missing.
    """
    parts = {"summary": _write_summary(language, results), "table": _write_table(language, results)}
    for name, text in parts.items():
        mark, end = f"<!-- results: {name} -->\n", "<!-- end -->"
        if page.count(mark) != 1:
            raise ValueError(f"received a page with {page.count(mark)} marks `{mark.strip()}`; expected one.")
        before, _, rest = page.partition(mark)
        page = before + mark + text + end + rest.partition(end)[2]
    return page


def _write_summary(language: str, results: dict[str, Any]) -> str:
    rows, change = results["rows"], results["difference"]["accuracy"]
    specificity = rows["augmented"]["specificity"]
    values = {
        **{f"{row}_{key}": _percent(rows[row][key], language) for row in ROWS for key in rows[row] if key != "pixels"},
        "change": _percent(change, language, "+.1f"),
        "false_alarms": round((1 - specificity["value"]) * specificity["n"]),
        "test_NORMAL": specificity["n"],
        "looks": len(yaml.safe_load((ROOT / "docs/test_ledger.yml").read_text("utf-8"))["looks"]),
    }
    return _wrap(read_messages(language)["summary"].format(**values))


def _write_table(language: str, results: dict[str, Any]) -> str:
    messages = read_messages(language)
    counts = {
        **{f"test_{key}": value for key, value in results["test"].items()},
        **{f"validation_{key}": value for key, value in results["validation"].items()},
        "test_NORMAL": results["test"]["images"] - results["test"]["PNEUMONIA"],
        **{key: results[key] for key in ("date", "commit", "minutes")},
    }
    lines = [messages["head"].format(**counts), "|---|---|---|---|---|"]
    for row in ROWS:
        found = results["rows"][row]
        cells = [_percent(found[name], language) for name in METRICS]
        lines.append(f"| {messages[row]} | {' | '.join(cells)} | {_interval(found['auc'], language, '.3f')} |")
    return "\n".join(lines) + "\n\n" + _wrap(messages["caption"].format(**counts))


def _wrap(text: str) -> str:
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False) + "\n"


def _percent(metric: dict[str, Any], language: str, form: str = ".1f") -> str:
    return _interval({key: 100 * metric[key] for key in ("value", "low", "high")}, language, form)


def _interval(metric: dict[str, Any], language: str, form: str) -> str:
    value, low, high = (format(metric[key], form) for key in ("value", "low", "high"))
    text = f"{value} [{low}, {high}]"
    return text.replace(", ", "; ").replace(".", ",") if language == "ru" else text


def read_messages(language: str) -> dict[str, str]:
    """Return the sentences of a page by key."""
    messages: dict[str, str] = yaml.safe_load(Path(__file__).with_suffix(".yml").read_text("utf-8"))[language]
    return messages


def draw(language: str, results: dict[str, Any]) -> Any:
    """Draw the ROC curves on test, and accuracy on validation beside test."""
    from chest_xray.reporting.style import BLUE, GREY, ORANGE, PURPLE, Labels, label_axes, new_figure

    messages, rows = read_messages(language), results["rows"]
    colours = {"width": GREY, "textbook": PURPLE, "baseline": ORANGE, "augmented": BLUE}
    figure, (roc, accuracy) = new_figure(Labels(messages["source"], language), columns=2, width=9.5, height=3.7)
    for run, points in results["roc"].items():
        roc.plot(*zip(*points, strict=True), color=colours[run], linewidth=1.5)
    for position, row in enumerate(reversed(ROWS)):
        found, colour = rows[row], colours[row]
        roc.plot(1 - found["specificity"]["value"], found["sensitivity"]["value"], "o", color=colour)
        test = found["accuracy"]
        bounds = [[100 * (test["value"] - test["low"])], [100 * (test["high"] - test["value"])]]
        style = {"fmt": "o", "color": colour, "capsize": 3}
        accuracy.errorbar(100 * test["value"], position, xerr=bounds, **style)
        if "validation" in found:
            accuracy.plot(100 * found["validation"]["value"], position, "o", color=colour, fillstyle="none")
    roc.set(xlim=(0, 0.75), ylim=(0.4, 1.01))
    label_axes(roc, messages["roc"], (messages["fpr"], messages["tpr"]))
    accuracy.set_yticks(range(len(ROWS)), [messages[f"{row}_short"] for row in reversed(ROWS)])
    accuracy.tick_params(axis="y", labelcolor="black")
    accuracy.set_ylim(-0.6, len(ROWS) - 0.4)
    label_axes(accuracy, messages["shown"], (messages["accuracy"], ""))
    figure.supxlabel(messages["source"], fontsize=8, color=GREY)
    return figure


def main() -> None:
    """Store results if a folder is named, and write pages and pictures."""
    if len(sys.argv) > 1:
        STORED.write_text(json.dumps(collect(Path(sys.argv[1])), indent=1) + "\n", "utf-8")
    results = _read(STORED)
    for language, page in PAGES.items():
        file = ROOT / page
        file.write_text(render(file.read_text("utf-8"), language, results), "utf-8")
        # No metadata: the same results give the same bytes.
        draw(language, results).savefig(ROOT / PICTURES[language], dpi=110, metadata={"Software": None})
        print(f"Written: {page}, {PICTURES[language]}")


if __name__ == "__main__":
    main()
