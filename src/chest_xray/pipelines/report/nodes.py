"""All nodes of report: the page in every language and the model card, from the outputs of all other pipelines."""

from typing import Any

from chest_xray.reporting import report_contents as contents
from chest_xray.reporting.i18n import Language, languages
from chest_xray.reporting.report_page import read_page_messages, render_report, write_card


def join_evidence(data_evidence: dict[str, Any], comparison_evidence: dict[str, Any], **others: Any) -> dict[str, Any]:
    """Gather what belongs to no single run.

    Args:
        data_evidence: Of the data set.
        comparison_evidence: Of the comparison.
        **others: The record of the run, and parameters, by name.
    """
    return {**data_evidence, **comparison_evidence, **others}


def write_report(evidence: dict[str, Any], report: contents.Report, **runs: dict[str, Any]) -> dict[str, str]:
    """Write the page in each language.

    Args:
        evidence: What belongs to no single run.
        report: Whether the data are synthetic.
        **runs: The evidence of each run; the verdict is on the last one.

    Returns:
        By language, HTML in one file, which loads nothing from elsewhere.

    Raises:
        InputError: The evidence of a run is of an earlier version.
    """
    read = contents.read_options
    for name, run in runs.items():
        contents.check_evidence(name, run)
    evidence, read_runs = read(evidence), {name: read(run) for name, run in runs.items()}
    return {language: render_report(evidence, read_runs, report.synthetic, language) for language in languages()}


def write_model_card(evidence: dict[str, Any], run: dict[str, Any], language: Language) -> str:
    """Write the model card of one run; see `chest_xray.reporting.report_page.write_card`."""
    read = contents.read_options
    return write_card(read(evidence), read(run), run["described_model"], read_page_messages(language.root))
