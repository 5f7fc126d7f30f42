"""Write the page and the model card from what all other pipelines left."""

from typing import Any

from chest_xray.core.types import Model
from chest_xray.reporting import report_contents as contents
from chest_xray.reporting.i18n import Language
from chest_xray.reporting.model_card import write_card
from chest_xray.reporting.report_page import read_page_words, render_report


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
    read = contents.read_options
    return render_report(
        read(evidence), {name: read(run) for name, run in runs.items()}, report.synthetic, language.root
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
    """Write the model card of one run; see `chest_xray.reporting.model_write_card`."""
    return write_card(contents.read_options(evidence), run, described_model, read_page_words(language.root))
