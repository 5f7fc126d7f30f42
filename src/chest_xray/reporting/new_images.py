"""Reports on new images: the sentences on a batch, and the page of an external evaluation."""

from collections.abc import Iterator
from operator import attrgetter
from typing import Any

from chest_xray.core.libraries import np, pd
from chest_xray.core.types import DataFrame, Figure
from chest_xray.images.kermany import CLASSES
from chest_xray.metrics.shift import Shift
from chest_xray.models.batch import BatchSummary, ExternalEvaluation
from chest_xray.reporting.conclusions import is_above
from chest_xray.reporting.i18n import Finding, Name, translate_text
from chest_xray.reporting.report_blocks import Listing, Section, make_figure, make_sentences, make_table
from chest_xray.reporting.report_contents import Report
from chest_xray.reporting.report_page import read_page_messages, render_page, tabulate_record
from chest_xray.reporting.style import BLUE, GREY, ORANGE, PAGE_WIDTH, Labels, add_legend, label_axes, new_figure

COMPARED_METRICS = ("accuracy", "sensitivity", "specificity", "auc")
NUM_BINS = 20


def describe_batch(summary: BatchSummary) -> Iterator[Finding]:
    """Yield how many files are answered and referred, why others are refused, and whether the batch is shifted."""
    yield Finding("batch_answered", {**dict(summary), "num_negative": summary.num_answered - summary.num_positive})
    if summary.num_referred is not None:
        yield Finding("batch_referred", dict(summary))
    reasons = ", ".join(f"{reason}: {num}" for reason, num in summary.refused.items())
    values = {"num_refused": sum(summary.refused.values()), "reasons": reasons}
    yield Finding("batch_refused" if reasons else "batch_none_refused", values)
    yield Finding("shift_unknown", {}) if summary.shift is None else describe_shift(summary.shift)


def describe_shift(shift: Shift) -> Finding:
    """Return whether a batch resembles the validation images, and the measure in which it differs most."""
    different = [measure for measure in shift.measures if measure.verdict == "different"]
    most_different = max(different or shift.measures, key=attrgetter("distance"))
    values = {
        **dict(most_different),
        **dict(shift.rule),
        "verdict": shift.verdict,
        "measure": Name(most_different.measure),
        "different": tuple(Name(measure.measure) for measure in different),
        "min_images": shift.min_images,
    }
    if shift.verdict == "too_few":
        return Finding("shift_too_few" if shift.min_images else "shift_reference_too_small", values)
    return Finding(f"shift_{shift.verdict}", values)


def compare_with_internal(evaluation: ExternalEvaluation) -> Iterator[Finding]:
    """Yield how the external set differs from the internal test: in prevalence, in main metrics, and in refusals."""
    shift = evaluation.batch.shift
    numbers = {"num_images": evaluation.num_images, "num_answered": sum(evaluation.counts.values())}
    yield Finding("external_set", {**dict(evaluation), **numbers})
    yield Finding(
        "external_prevalence" if shift and shift.prevalence is not None else "external_prevalence_of_labels",
        {
            "prevalence": evaluation.prevalence,
            "internal": evaluation.internal_prevalence,
            "estimated": shift.prevalence if shift else None,
            "expected": evaluation.batch.expected_prevalence,
        },
    )
    for name in COMPARED_METRICS:
        external, internal = evaluation.answered[name], evaluation.internal[name]
        if None in (external.low, internal.low):
            continue
        key = "external_lower" if is_above(internal, external) else "external_alike"
        key = "external_higher" if is_above(external, internal) else key
        yield Finding(key, {"metric": Name(name), "external": external, "internal": internal})
    if evaluation.refused_by_class:
        yield Finding("external_refusals", dict(evaluation.refused_as_errors))


def draw_external(predictions: DataFrame, evaluation: ExternalEvaluation, labels: Labels) -> Figure:
    """Draw the probabilities of the answered images of each class, and the ROC curve."""
    from sklearn.metrics import roc_curve

    answered = predictions[predictions["decision"].notna() & predictions["label"].notna()]
    label, probability = answered["label"].astype(int), answered["probability"]
    figure, axes = new_figure(labels, columns=2, width=PAGE_WIDTH, height=4)
    for number, (name, colour) in enumerate(zip(CLASSES, (BLUE, ORANGE), strict=True)):
        of_class = probability[label == number]
        legend = labels("subset", subset=name, num=len(of_class))
        axes[0].hist(of_class, np.linspace(0, 1, NUM_BINS + 1), color=colour, alpha=0.55, label=legend)
    label_axes(axes[0], labels("answered"), (labels("calibrated_probability"), labels("images")))
    add_legend(axes[0])
    auc = evaluation.answered["auc"]
    false_positive_rate, sensitivity, _ = roc_curve(label, probability)
    key = "auc_alone" if auc.low is None else "auc_with_interval"
    axes[1].plot(false_positive_rate, sensitivity, color=ORANGE, label=labels(key, auc=auc))
    points = (
        (evaluation.answered, "o", ORANGE, "frozen_threshold"),
        (evaluation.internal, "s", BLUE, "on_internal_test"),
    )
    for metrics, marker, colour, key in points:
        x, y = 1 - metrics["specificity"].finite_value, metrics["sensitivity"].finite_value
        axes[1].plot(x, y, marker, color=colour, label=labels(key))
    axes[1].plot([0, 1], [0, 1], ":", color=GREY, label=labels("chance"))
    label_axes(axes[1], labels("roc"), (labels("false_positive_rate"), labels("sensitivity")))
    axes[1].set(aspect="equal")
    add_legend(axes[1], loc="lower right", fontsize=8)
    return figure


def render_external(
    evaluation: ExternalEvaluation, figure: dict[str, bytes], run_record: dict[str, Any], report: Report, language: str
) -> str:
    """Return the page of an external evaluation as one HTML file."""
    messages = read_page_messages(language)
    page = {**messages["page"], "title": messages["external"]["title"]}
    texts = messages | {"page": page}

    def make_tables(frame: DataFrame, name: str) -> list[Any]:
        return [make_table(frame, name, "", texts)] if len(frame) else []

    blocks = {
        "summary": [make_sentences(describe_batch(evaluation.batch), texts)],
        "beside_internal": [
            make_sentences(compare_with_internal(evaluation), texts),
            *make_tables(tabulate_external(evaluation), "external"),
            make_figure(figure[language], "external", "", texts),
        ],
        "shift": make_tables(tabulate_shift(evaluation), "shift"),
        "refusals": make_tables(tabulate_refusals(evaluation), "refusals"),
        "limits": [Listing(list(messages["external"]["limits"].values()))],
        "environment": make_tables(tabulate_record(run_record), "run_record"),
    }
    titles = messages["sections"] | messages["external"]["sections"]
    sections = [Section(name.replace("_", "-"), titles[name], content) for name, content in blocks.items() if content]
    about = {"data_source": translate_text(evaluation.title, messages), "run_record": run_record}
    return render_page(sections, texts, about, language, synthetic=report.synthetic)


def tabulate_external(evaluation: ExternalEvaluation) -> DataFrame:
    """Tabulate `metric`, `external` (answered images), `refused_as_errors` and `internal`."""
    sources = {
        "external": evaluation.answered,
        "refused_as_errors": evaluation.refused_as_errors,
        "internal": evaluation.internal,
    }
    rows = [
        {"metric": {"slope": "calibration_slope", "intercept": "calibration_intercept"}.get(name, name)}
        | {column: metrics[name].model_dump() if name in metrics else None for column, metrics in sources.items()}
        for name in evaluation.internal
    ]
    return pd.DataFrame(rows, dtype=object)


def tabulate_shift(evaluation: ExternalEvaluation) -> DataFrame:
    """Tabulate the measures of the shift."""
    shift = evaluation.batch.shift
    return pd.DataFrame([measure.model_dump() for measure in shift.measures] if shift else [])


def tabulate_refusals(evaluation: ExternalEvaluation) -> DataFrame:
    """Tabulate refused images by `reason` and class."""
    return pd.DataFrame([{"reason": reason, **counts} for reason, counts in evaluation.refused_by_class.items()])
