"""The report page, with its sections in order and the tables that only it has; and the model card."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from importlib import resources
from itertools import chain
from typing import Any

from chest_xray.core.libraries import pd
from chest_xray.core.types import DataFrame
from chest_xray.images.kermany import CLASSES
from chest_xray.metrics.results import Estimate, Interval, MetadataMetrics, Metrics, SubsetMetrics
from chest_xray.reporting import report_contents as contents
from chest_xray.reporting.abstention import find_abstention
from chest_xray.reporting.comparison import find_comparison
from chest_xray.reporting.conclusions import find_conclusions, find_robustness_conclusions
from chest_xray.reporting.i18n import Finding, Name, read_messages, translate, translate_text
from chest_xray.reporting.report_blocks import (
    Group,
    Listing,
    Section,
    format_cell,
    format_tile,
    make_confusion_matrix,
    make_examples,
    make_figure,
    make_gallery,
    make_sentences,
    make_table,
)
from chest_xray.reporting.report_findings import (
    assess_augmentation,
    assess_run,
    describe_data,
    describe_network,
    describe_protocol,
    describe_test_looks,
)

Evidence = Mapping[str, Any]
Messages = Mapping[str, Any]
TILES = ("accuracy", "sensitivity", "specificity", "auc")
NUM_EXAMPLES = 2  # pictures of each class in the summary
TEST_METRICS = ("accuracy", "sensitivity", "specificity", "balanced_accuracy")
# The hub's name of each metric, and our name of it; all at the chosen threshold.
HUB_METRICS = {"accuracy": "accuracy", "recall": "sensitivity", "specificity": "specificity", "precision": "precision"}


def render_report(evidence: Evidence, runs: Mapping[str, Evidence], synthetic: bool, language: str) -> str:
    """Return the report as one HTML file.

    `evidence` has the datasets that do not belong to a single run, by name, and `runs` those of each run. The verdict
    is on the last run.
    """
    messages = read_page_messages(language)
    source = translate_text(evidence["params_data_source"], messages)
    about = {"data_source": source, "run_record": evidence["run_record"]}
    return render_page(_make_sections(evidence, runs, messages), messages, about, language, synthetic=synthetic)


def render_page(
    sections: list[Section], messages: Messages, about: Mapping[str, Any], language: str, *, synthetic: bool
) -> str:
    """Return sections, the first of which is the summary, as one HTML file with a banner and a table of contents.

    `about` has the `data_source` and the `run_record`; with `synthetic` the banner states that the images are phantoms.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    templates = Environment(
        loader=PackageLoader("chest_xray.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["mark_code"] = mark_code
    return templates.get_template("report.html.j2").render(
        sections=sections, language=language, messages=messages["page"], synthetic=synthetic, **about
    )


def mark_code(sentence: str) -> Any:
    """Escape a sentence for HTML, and mark the text between backticks as code."""
    from markupsafe import Markup, escape

    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(sentence))))


def _make_sections(evidence: Evidence, runs: Mapping[str, Evidence], messages: Messages) -> list[Section]:
    *earlier, last = runs
    comparison = find_comparison(evidence["comparison"])
    differences = make_sentences(chain.from_iterable(comparison.values()), messages)
    audit = make_sentences(describe_data(evidence), messages)
    record = make_table(tabulate_record(evidence["run_record"]), "run_record", "", messages)
    looks = describe_test_looks(runs[last]["metrics"], evidence["params_report"])
    terms = Listing([(entry["term"], entry["meaning"]) for entry in messages["glossary"].values()], "terms")
    blocks: dict[str, list[Any]] = {
        "summary": _summarise(comparison["answer"][0], runs, messages),
        "augmentation": [differences, *_make_blocks(contents.COMPARISON, evidence, "", messages)],
        "data": [audit, *_make_blocks(contents.DATA, evidence, "", messages)],
        "protocol": [make_sentences([*describe_protocol(evidence), *looks], messages)],
        "environment": [record, make_table(tabulate_seeds(runs), "seeds", "", messages)],
        "glossary": [terms],
        "intended_use": [Listing(list(messages["intended_use"].values()))],
        "known_limits": [Listing(list(messages[contents.name_limits(evidence["params_report"])].values()))],
    }
    titles = messages["sections"]
    sections = {
        key: Section(key.replace("_", "-"), titles[key], content, folded=key in contents.FOLDED)
        for key, content in blocks.items()
    }
    sections["limits"] = Section("limits", titles["limits"], [], [sections["intended_use"], sections["known_limits"]])
    for name, run in runs.items():
        sections[name] = _describe_run(name, run, messages, is_last=name == last)
    order = ("summary", "augmentation", last, "data", "protocol", "limits", *earlier, "environment", "glossary")
    return [sections[key] for key in order]


def _summarise(answer: Any, runs: Mapping[str, Evidence], messages: Messages) -> list[Any]:
    """Return the blocks of the summary: verdict, main metrics, ROC curve and confusion matrix; then the reasons."""
    last = list(runs.values())[-1]
    verdicts = [*assess_run(last["metrics"], last["metadata_metrics"]), assess_augmentation(answer)]
    items = [(messages["topics"][topic], tone, translate(finding, messages)) for topic, tone, finding in verdicts]
    metrics: Metrics = last["metrics"]
    run = translate_text(metrics.run, messages)
    estimates = {**dict(metrics.test.at_chosen), "auc": metrics.test.auc}
    tiles = [(messages["cells"][name], *format_tile(name, estimates[name], messages)) for name in TILES]
    figure = make_figure(last[contents.SUMMARY_FIGURE][messages["language"]], contents.SUMMARY_FIGURE, run, messages)
    pictures = make_examples(last[contents.GALLERY], NUM_EXAMPLES, messages)
    return [
        Listing(items[:1], "verdicts"),
        Listing(tiles, "tiles"),
        Group([figure, Group([make_confusion_matrix(metrics.test.at_chosen, messages), pictures], "column")], "row"),
        Listing(items[1:], "verdicts"),
        make_table(summarise_runs(runs, messages), "summary", "", messages, folded=True),
    ]


def _describe_run(name: str, run: Evidence, messages: Messages, *, is_last: bool) -> Section:
    title = translate_text(run["metrics"].run, messages)
    findings = find_conclusions(run["metrics"], run["history"], run["metadata_metrics"])
    findings |= find_robustness_conclusions(run["map_sanity"], run["occlusion_table"], run["robustness_table"])
    findings |= find_abstention(run["abstention"], run["metrics"])
    parts = []
    for key in dict.fromkeys((*contents.RUN_PARTS, *findings)):
        entries = contents.RUN_PARTS.get(key, ())
        if is_last:
            entries = tuple(entry for entry in entries if entry.name != contents.SUMMARY_FIGURE)
        blocks: list[Any] = [make_sentences(findings[key], messages)] if findings.get(key) else []
        blocks += _make_blocks(entries, run, title, messages)
        if blocks:
            heading = messages["sections"].get(key) or messages[key]
            parts.append(Section(f"{name}-{key}", heading, blocks, [], key in contents.FOLDED))
    return Section(name, messages["sections"]["run"].format(run=title), [], parts, not is_last)


def _make_blocks(entries: Iterable[contents.Entry], evidence: Evidence, run: str, messages: Messages) -> list[Any]:
    blocks: list[Any] = []
    for entry in entries:
        if isinstance(entry, contents.FigureEntry):
            png = evidence[entry.name][messages["language"]]
            blocks.append(make_figure(png, entry.name, run, messages, folded=entry.folded))
        elif isinstance(entry, contents.GalleryEntry):
            blocks.append(make_gallery(evidence[contents.GALLERY], *entry, messages))
        elif len(table := entry.tabulate(evidence[entry.name])):
            blocks.append(make_table(table, entry.key or entry.name, run, messages, folded=entry.folded))
    return blocks


def summarise_runs(runs: Mapping[str, Evidence], messages: Messages) -> DataFrame:
    """Tabulate the main metrics of every run beside the metadata baseline.

    Returns:
        One row per metric: `metric`, one column per run, `metadata_baseline`; cells are numbers or dicts of `value`,
        `low`, `high`.
    """

    def to_cell(interval: Interval) -> dict[str, float | None]:
        return interval.model_dump(include={"value", "low", "high"})

    columns: dict[str, list[Any]] = {
        "metric": [messages["summary_rows"][key] for key in (*TEST_METRICS, "auc", "validation", "worst")]
    }
    for run in runs.values():
        metrics: Metrics = run["metrics"]
        on_test = [getattr(metrics.test.at_chosen, name) for name in TEST_METRICS]
        estimates = [*on_test, metrics.test.auc, metrics.validation.at_chosen.balanced_accuracy]
        cells = [*map(to_cell, estimates), run["corruption_metrics"].worst_auc]
        columns[translate_text(metrics.run, messages)] = cells
    baseline: MetadataMetrics = list(runs.values())[-1]["metadata_metrics"]
    estimates = [*(getattr(baseline.at_rule, name) for name in TEST_METRICS), baseline.auc]
    columns["metadata_baseline"] = [*map(to_cell, estimates), None, None]
    return pd.DataFrame(columns, dtype=object)


def tabulate_record(run_record: dict[str, Any]) -> DataFrame:
    """Tabulate the output of `chest_xray.core.provenance.describe_run`: `fact` and `found`, None if unknown."""
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


def tabulate_seeds(runs: Mapping[str, Evidence]) -> DataFrame:
    """Tabulate the `seed` of each run, and the `epochs`, optimiser `steps` and `seconds` of its training."""
    rows = []
    for name, run in runs.items():
        history = run["history"]
        row = {"run": name, "seed": run["params_run"].seed, "epochs": len(history)}
        rows.append(row | {"steps": int(history["steps"].max()), "seconds": float(history["seconds"].sum())})
    return pd.DataFrame(rows)


def read_page_messages(language: str) -> dict[str, Any]:
    """Return the texts of a language; its `cells` also translate the reasons for missing metrics."""
    messages, english = read_messages(language), read_messages("en")
    reasons = {reason: messages["missing"][name] for name, reason in english["missing"].items()}
    return {**messages, "language": language, "cells": messages["cells"] | reasons}


def write_card(evidence: Evidence, run: Evidence, described_model: dict[str, Any], messages: Messages) -> str:
    """Return the model card of a run in the format of the Hugging Face hub: Markdown below a YAML header."""
    from huggingface_hub import ModelCard, ModelCardData

    report, test = evidence["params_report"], run["metrics"].test
    metadata = ModelCardData(
        model_name="chest-xray",
        library_name="keras",
        license="mit",
        pipeline_tag="image-classification",
        tags=["medical", "radiology", "chest-x-ray", "pneumonia", *(["synthetic"] if report.synthetic else [])],
        eval_results=list(_list_results(evidence["params_data_source"], test)),
    )
    preparation = evidence["params_preparation"]
    train = evidence["class_counts"].query("subset == 'train'")
    counts = {name: int(train[name].sum()) for name in ("images", "groups")}
    source = translate_text(evidence["params_data_source"], messages)
    findings = [
        Finding("card_model", {"parameters": described_model["parameters"]}),
        *describe_network(evidence["params_model"]),
        Finding("protocol_preparation", {**dict(preparation), "geometry": Name(f"geometry_{preparation.geometry}")}),
        Finding("card_data", {**counts, "data_source": source, "licence": report.data_licence}),
        *describe_test_looks(run["metrics"], report),
    ]
    card = ModelCard.from_template(
        metadata,
        template_str=resources.files(__package__).joinpath("templates/model_card.md.j2").read_text(encoding="utf-8"),
        messages={**messages["page"], **messages["card"]},
        run=translate_text(run["metrics"].run, messages),
        synthetic=report.synthetic,
        description=[translate(finding, messages) for finding in findings],
        model=described_model,
        labels=list(CLASSES),
        preparation=preparation,
        point=run["operating_point"],
        table=make_table(contents.select_overall_metrics(run["metrics_table"]), "metrics_table", "", messages),
        aetiologies=[
            (messages["cells"].get(name, name), format_cell(sensitivity.model_dump(), messages))
            for name, sensitivity in test.sensitivity_by_aetiology.items()
        ],
        intended_use=list(messages["intended_use"].values()),
        limits=list(messages[contents.name_limits(report)].values()),
    )
    return str(card)


def _list_results(data_source: str, test: SubsetMetrics) -> Iterator[Any]:
    from huggingface_hub import EvalResult

    estimates: dict[str, Estimate] = {name: getattr(test.at_chosen, key) for name, key in HUB_METRICS.items()}
    for name, estimate in {**estimates, "roc_auc": test.auc}.items():
        if estimate.value is not None:
            yield EvalResult(
                task_type="image-classification",
                dataset_type="chest-xray",
                dataset_name=data_source,
                dataset_split="test",
                metric_type=name,
                metric_name=f"{name} (95% interval {estimate.low:.3f} to {estimate.high:.3f})",
                metric_value=round(estimate.value, 4),
            )
