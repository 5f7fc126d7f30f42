"""The model card in the format of the Hugging Face hub, written without any network access."""

from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Any

from chest_xray.images.kermany import CLASSES
from chest_xray.metrics.results import Estimate, SubsetMetrics
from chest_xray.reporting.i18n import Finding, Name, translate, translate_text
from chest_xray.reporting.report_blocks import format_cell, make_table
from chest_xray.reporting.report_contents import name_limits, select_overall_metrics
from chest_xray.reporting.report_findings import describe_network, describe_test_looks

# The hub's name of each metric, and our name of it; all at the chosen threshold.
METRICS = {"accuracy": "accuracy", "recall": "sensitivity", "specificity": "specificity", "precision": "precision"}


def write_card(
    evidence: Mapping[str, Any], run: Mapping[str, Any], described_model: dict[str, Any], messages: Mapping[str, Any]
) -> str:
    """Return the model card of a run: Markdown below a YAML header.

    `evidence` has the datasets that do not belong to a single run, by name, and `run` those of the run.
    """
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
    findings = [*_describe_model(evidence, described_model, messages), *describe_test_looks(run["metrics"], report)]
    card = ModelCard.from_template(
        metadata,
        template_str=resources.files(__package__).joinpath("templates/model_card.md.j2").read_text(encoding="utf-8"),
        messages={**messages["page"], **messages["card"]},
        run=translate_text(run["metrics"].run, messages),
        synthetic=report.synthetic,
        description=[translate(finding, messages) for finding in findings],
        model=described_model,
        labels=list(CLASSES),
        preparation=evidence["params_preparation"],
        point=run["operating_point"],
        table=make_table(select_overall_metrics(run["metrics_table"]), "metrics_table", "", messages),
        aetiologies=[
            (messages["cells"].get(name, name), format_cell(sensitivity.model_dump(), messages))
            for name, sensitivity in test.sensitivity_by_aetiology.items()
        ],
        intended_use=list(messages["intended_use"].values()),
        limits=list(messages[name_limits(report)].values()),
    )
    return str(card)


def _list_results(data_source: str, test: SubsetMetrics) -> Iterator[Any]:
    from huggingface_hub import EvalResult

    estimates: dict[str, Estimate] = {name: getattr(test.at_chosen, key) for name, key in METRICS.items()}
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


def _describe_model(
    evidence: Mapping[str, Any], model: dict[str, Any], messages: Mapping[str, Any]
) -> Iterator[Finding]:
    preparation = evidence["params_preparation"]
    yield Finding("card_model", {"parameters": model["parameters"]})
    yield from describe_network(evidence["params_model"])
    geometry = Name(f"geometry_{preparation.geometry}")
    yield Finding("protocol_preparation", {**preparation.model_dump(), "geometry": geometry})
    train = evidence["class_counts"].query("subset == 'train'")
    counts = {name: int(train[name].sum()) for name in ("images", "groups")}
    source = translate_text(evidence["params_data_source"], messages)
    yield Finding("card_data", {**counts, "data_source": source, "licence": evidence["params_report"].data_licence})
