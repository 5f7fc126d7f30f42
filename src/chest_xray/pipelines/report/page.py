"""The parts of the page, in order, made from what the catalog holds."""

from collections.abc import Iterable, Mapping
from typing import Any

from chest_xray.pipelines.augmentation.nodes import find_comparison
from chest_xray.pipelines.evaluation.nodes import find_conclusions
from chest_xray.pipelines.report import contents, protocol
from chest_xray.pipelines.report.blocks import (
    Section,
    Sentences,
    Terms,
    Verdicts,
    make_figure,
    make_sentences,
    make_table,
)
from chest_xray.pipelines.report.environment import tabulate_record, tabulate_seeds
from chest_xray.pipelines.report.summary import summarise_runs
from chest_xray.pipelines.report.verdict import judge, judge_augmentation
from chest_xray.pipelines.robustness.nodes import find_scrutiny
from chest_xray.reporting.i18n import say, say_given

Evidence = Mapping[str, Any]
Words = Mapping[str, Any]


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
        Section("protocol", titles["protocol"], [make_sentences(protocol.describe_protocol(evidence), words)]),
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
    verdicts = [*judge(judged["metrics"], judged["header_metrics"]), judge_augmentation(answer)]
    said = Verdicts([(words["topics"][each.topic], each.tone, say(each.finding, words)) for each in verdicts])
    table = summarise_runs(runs, words)
    return [said, make_table(table, "summary", "", words)]


def _describe_run(name: str, run: Evidence, words: Words) -> Section:
    title = say_given(run["metrics"]["run"], words)
    concluded = find_conclusions(run["metrics"], run["history"], run["header_metrics"])
    found = concluded | find_scrutiny(run["map_sanity"], run["occlusion_table"], run["robustness_table"])
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
    return find_comparison(evidence["comparison"], evidence["baseline_history"], evidence["augmented_history"])


def _describe_data(evidence: Evidence, words: Words) -> list[Any]:
    return [make_sentences(protocol.describe_data(evidence), words), *_show(contents.DATA, evidence, "", words)]


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
    parts = {"intended_use": "intended_use", "known_limits": contents.limits_of(evidence["params_report"])}
    return [
        Section(key.replace("_", "-"), words["sections"][key], [Sentences(list(words[said].values()))])
        for key, said in parts.items()
    ]
