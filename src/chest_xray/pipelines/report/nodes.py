"""Write the page and the model card from what all other pipelines left."""

from typing import Any

from chest_xray.core.types import Model
from chest_xray.pipelines.report import card, contents
from chest_xray.pipelines.report.page import make_sections
from chest_xray.reporting.i18n import Language, read_words, say_given


def gather_evidence(**shown: Any) -> dict[str, Any]:
    """Bring together what a part of the page is made from.

    Args:
        **shown: Tables, figures (PNG), folders of figures and parameters by name.

    Returns:
        The same, with the figures of each folder under their own names.
    """
    folders = {*contents.FOLDERS, *contents.FOLDERS_OF_A_RUN}
    figures = {name: png for folder in folders & set(shown) for name, png in shown[folder].items()}
    return {name: each for name, each in shown.items() if name not in folders} | figures


def write_report(evidence: dict[str, Any], report: contents.Report, language: Language, **runs: dict[str, Any]) -> str:
    """Write the page.

    Args:
        evidence: What belongs to no single run.
        report: Whether the data are synthetic.
        language: Of the page.
        **runs: The evidence of each run; the last one is judged.

    Returns:
        HTML in one piece: it asks no other file and no other machine for anything.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    words = read_page_words(language)
    read = contents.read_options
    templates = Environment(
        loader=PackageLoader("chest_xray.pipelines.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return templates.get_template("report.html.j2").render(
        sections=make_sections(read(evidence), {name: read(run) for name, run in runs.items()}, words),
        language=language.root,
        words=words["page"],
        data_source=say_given(evidence["params_data_source"], words),
        synthetic=report.synthetic,
        run_record=evidence["run_record"],
    )


def describe_model(model: Model) -> dict[str, Any]:
    """Give what a reader of the model card must know of the network itself.

    Args:
        model: The trained network.

    Returns:
        `input_shape` and `output_shape` (None stands for any number of images), `dtype` of the input, `parameters` (how
        many weights), and `layers` (the kinds, in order).
    """
    return {
        "input_shape": list(model.input_shape),
        "output_shape": list(model.output_shape),
        "dtype": model.inputs[0].dtype,
        "parameters": model.count_params(),
        "layers": [type(layer).__name__ for layer in model.layers],
    }


def write_model_card(
    evidence: dict[str, Any], run: dict[str, Any], described_model: dict[str, Any], language: Language
) -> str:
    """Write the model card of one run; see `chest_xray.pipelines.report.card.write_card`."""
    return card.write_card(contents.read_options(evidence), run, described_model, read_page_words(language))


def read_page_words(language: Language) -> dict[str, Any]:
    """Read the words of a language, with those in which tables give reasons among what cells may hold."""
    words, english = read_words(language.root), read_words("en")
    reasons = {reason: words["missing"][name] for name, reason in english["missing"].items()}
    return words | {"cells": words["cells"] | reasons}
