"""All nodes of the external evaluation: predict labelled images, evaluate them, and write the page."""

from functools import partial
from typing import Annotated, Any

from pydantic import Field

from chest_xray.core.files import ListedFile
from chest_xray.core.types import DataFrame, Figure, Options
from chest_xray.metrics.results import Metrics
from chest_xray.metrics.summary import Evaluation
from chest_xray.models.batch import ExternalEvaluation, evaluate_external_set, score_shard
from chest_xray.models.inference import fingerprint_model, read_packaged_contract
from chest_xray.reporting.i18n import Language
from chest_xray.reporting.new_images import draw_external, render_external
from chest_xray.reporting.report_contents import Report
from chest_xray.reporting.style import draw_in_languages


class External(Options):
    """The name of the external set on figures and pages, and the largest file that is opened."""

    title: Annotated[str, Field(min_length=1)]
    max_megabytes: Annotated[float, Field(gt=0)]


def predict_external(labelled_images: DataFrame, packaged_keras: bytes, external: External) -> DataFrame:
    """Return the labelled files with their predictions; see `chest_xray.models.batch.score_shard`."""
    files = [ListedFile(*row) for row in labelled_images[list(ListedFile._fields)].itertuples(index=False)]
    table = score_shard(files, packaged_keras, external.max_megabytes).to_pandas()
    return table.assign(**{name: labelled_images[name].to_numpy() for name in ("label", "group")})


def evaluate_external(
    external_predictions: DataFrame,
    packaged_keras: bytes,
    metrics: Metrics,
    evaluation: Evaluation,
    external: External,
) -> ExternalEvaluation:
    """Evaluate the frozen network and threshold beside the stored metrics of the internal test."""
    packaged = read_packaged_contract(packaged_keras), fingerprint_model(packaged_keras)
    return evaluate_external_set(external_predictions, external.title, packaged, metrics, evaluation)


def draw_external_figure(external_predictions: DataFrame, external_evaluation: ExternalEvaluation) -> dict[str, Figure]:
    """Draw the probabilities by class, and the ROC curve, in each language."""
    return draw_in_languages(
        partial(draw_external, external_predictions, external_evaluation), external_evaluation.title
    )


def write_external_page(
    external_evaluation: ExternalEvaluation,
    external_figure: dict[str, bytes],
    external_run_record: dict[str, Any],
    report: Report,
    language: Language,
) -> str:
    """Write the page: HTML in one piece, which loads nothing from elsewhere."""
    return render_external(external_evaluation, external_figure, external_run_record, report, language.root)
