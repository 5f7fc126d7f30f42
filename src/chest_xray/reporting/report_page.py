"""The parts of the page, in order, made from what the catalog holds."""

from collections.abc import Iterable, Mapping
from typing import Any

from chest_xray.core.types import DataFrame
from chest_xray.reporting import report_contents as contents
from chest_xray.reporting.comparison_findings import find_comparison
from chest_xray.reporting.conclusions import find_conclusions, find_robustness_conclusions
from chest_xray.reporting.i18n import read_words, say, say_given
from chest_xray.reporting.report_blocks import (
    Section,
    Sentences,
    Terms,
    Verdicts,
    make_figure,
    make_sentences,
    make_table,
)
from chest_xray.reporting.report_findings import assess_augmentation, assess_run, describe_data, describe_protocol

Evidence = Mapping[str, Any]
Words = Mapping[str, Any]
ON_TEST = ("accuracy", "sensitivity", "specificity")


def render_report(evidence: Evidence, runs: Mapping[str, Evidence], synthetic: bool, language: str) -> str:
    """Write the page as HTML in one piece; see the node `write_report`."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    words = read_page_words(language)
    templates = Environment(
        loader=PackageLoader("chest_xray.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return templates.get_template("report.html.j2").render(
        sections=make_sections(evidence, runs, words),
        language=language,
        words=words["page"],
        data_source=say_given(evidence["params_data_source"], words),
        synthetic=synthetic,
        run_record=evidence["run_record"],
    )


def make_sections(evidence: Evidence, runs: Mapping[str, Evidence], words: Words) -> list[Section]:
    """Build the page.

    Args:
        evidence: What belongs to no single run, by its name in the catalog.
        runs: The same of each run; the last one is judged.
        words: Of the language.
    """
    titles = words["sections"]
    environment = [
        make_table(table, name, "", words) for name, table in _tabulate_environment(evidence["run_record"], runs)
    ]
    return [
        Section("summary", titles["summary"], _summarise(evidence, runs, words)),
        *(_describe_run(name, run, words) for name, run in runs.items()),
        Section("augmentation", titles["augmentation"], _compare(evidence, words)),
        Section("data", titles["data"], _describe_data(evidence, words)),
        Section("protocol", titles["protocol"], [make_sentences(describe_protocol(evidence), words)]),
        Section("environment", titles["environment"], environment),
        Section("limits", titles["limits"], [], _list_limits(evidence, words)),
        Section(
            "glossary",
            titles["glossary"],
            [Terms([(each["term"], each["meaning"]) for each in words["glossary"].values()])],
        ),
    ]


def _summarise(evidence: Evidence, runs: Mapping[str, Evidence], words: Words) -> list[Any]:
    judged = list(runs.values())[-1]
    (answer,) = _find_comparison(evidence)["answer"]
    verdicts = [*assess_run(judged["metrics"], judged["metadata_metrics"]), assess_augmentation(answer)]
    said = Verdicts([(words["topics"][each.topic], each.tone, say(each.finding, words)) for each in verdicts])
    table = summarise_runs(runs, words)
    return [said, make_table(table, "summary", "", words)]


def _describe_run(name: str, run: Evidence, words: Words) -> Section:
    title = say_given(run["metrics"]["run"], words)
    concluded = find_conclusions(run["metrics"], run["history"], run["metadata_metrics"])
    found = concluded | find_robustness_conclusions(run["map_sanity"], run["occlusion_table"], run["robustness_table"])
    parts = []
    for key in (*concluded, *contents.OF_A_RUN):
        blocks = [make_sentences(found[key], words)] if found.get(key) else []
        blocks += _show(contents.OF_A_RUN.get(key, ()), run, title, words)
        if blocks:
            parts.append(Section(f"{name}-{key}", words["sections"].get(key) or words[key], blocks))
    return Section(name, words["sections"]["run"].format(run=title), [], parts)


def _compare(evidence: Evidence, words: Words) -> list[Any]:
    findings = [finding for found in _find_comparison(evidence).values() for finding in found]
    return [make_sentences(findings, words), *_show(contents.COMPARISON, evidence, "", words)]


def _find_comparison(evidence: Evidence) -> dict[str, Any]:
    return find_comparison(evidence["comparison"])


def _describe_data(evidence: Evidence, words: Words) -> list[Any]:
    return [make_sentences(describe_data(evidence), words), *_show(contents.DATA, evidence, "", words)]


def _show(part: Iterable[contents.Shown], evidence: Evidence, run: str, words: Words) -> list[Any]:
    blocks: list[Any] = []
    for shown in part:
        if isinstance(shown, contents.Picture):
            blocks.append(make_figure(evidence[shown.name], shown.name, run, words, folded=shown.folded))
        elif len(frame := shown.lay_out(evidence[shown.name])):
            blocks.append(make_table(frame, shown.key or shown.name, run, words, folded=shown.folded))
    return blocks


def _tabulate_environment(run_record: dict[str, Any], runs: Mapping[str, Evidence]) -> list[tuple[str, Any]]:
    return [("run_record", tabulate_record(run_record)), ("seeds", tabulate_seeds(runs))]


def _list_limits(evidence: Evidence, words: Words) -> list[Section]:
    parts = {"intended_use": "intended_use", "known_limits": contents.name_limits(evidence["params_report"])}
    return [
        Section(key.replace("_", "-"), words["sections"][key], [Sentences(list(words[said].values()))])
        for key, said in parts.items()
    ]


def summarise_runs(runs: Mapping[str, Mapping[str, Any]], words: Mapping[str, Any]) -> DataFrame:
    """Tabulate the main metrics of every run beside those of the metadata baseline.

    Args:
        runs: `metrics`, `metadata_metrics` and `corruption_metrics` of each run; the rule is the same for all.
        words: Of the language; they name the rows' metrics.

    Returns:
        One row a metric: `metric`, one column a run, `metadata_baseline`; figures as dicts of `value`, `low`, `high`.
    """
    import pandas as pd

    rule = list(runs.values())[-1]["metadata_metrics"]
    rows = words["summary_rows"]
    columns: dict[str, list[Any]] = {"metric": [rows[key] for key in (*ON_TEST, "auc", "validation", "worst")]}
    for run in runs.values():
        columns[say_given(run["metrics"]["run"], words)] = _figures(run["metrics"], run["corruption_metrics"])
    columns["metadata_baseline"] = [*(_bare(rule["at_rule"][name]) for name in ON_TEST), _bare(rule["auc"]), None, None]
    return pd.DataFrame(columns, dtype=object)


def _figures(metrics: dict[str, Any], corruption_metrics: dict[str, Any]) -> list[Any]:
    point = metrics["test"]["at_chosen"]
    figures = [
        *(point[name] for name in ON_TEST),
        metrics["test"]["auc"],
        metrics["validation"]["at_chosen"]["accuracy"],
    ]
    return [*map(_bare, figures), corruption_metrics["worst_auc"]]


def _bare(figure: dict[str, Any]) -> dict[str, Any]:
    """The figure without the number of images, which the caption tells."""
    return {bound: figure[bound] for bound in ("value", "low", "high")}


def tabulate_record(run_record: dict[str, Any]) -> DataFrame:
    """Return one row a fact.

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
    """Return one row a run: its seed, the epochs and steps that it was trained, and the seconds that this took."""
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


def read_page_words(language: str) -> dict[str, Any]:
    """Read the words of a language, with those in which tables give reasons among what cells may hold."""
    words, english = read_words(language), read_words("en")
    reasons = {reason: words["missing"][name] for name, reason in english["missing"].items()}
    return words | {"cells": words["cells"] | reasons}
