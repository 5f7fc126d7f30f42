"""The model card, in the form that the Hugging Face hub reads. Nothing here asks the hub for anything.

`ModelCard.validate` and `push_to_hub` would; neither is called.
"""

from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Any

from chest_xray.images.kermany import CLASSES
from chest_xray.reporting import report_contents as contents
from chest_xray.reporting.i18n import Finding, Name, say, say_given
from chest_xray.reporting.report_blocks import make_table, write_cell
from chest_xray.reporting.report_contents import list_figures

# The hub's names of what is measured, and where it stands in the metrics at the chosen threshold.
METRICS = {"accuracy": "accuracy", "recall": "sensitivity", "specificity": "specificity", "precision": "precision"}


def write_card(
    evidence: Mapping[str, Any], run: Mapping[str, Any], described_model: dict[str, Any], words: Mapping[str, Any]
) -> str:
    """Write the model card of one run.

    Args:
        evidence: What belongs to no single run, by its name in the catalog.
        run: The same of the run.
        described_model: From `describe_model`.
        words: Of the language.

    Returns:
        Markdown below a block of YAML.
    """
    from huggingface_hub import ModelCard

    template = resources.files(__package__).joinpath("templates/model_card.md.j2").read_text(encoding="utf-8")
    card = ModelCard.from_template(
        _make_metadata(evidence, run),
        template_str=template,
        words={**words["page"], **words["card"]},
        run=say_given(run["metrics"]["run"], words),
        synthetic=evidence["params_report"].synthetic,
        told=[say(finding, words) for finding in _describe(evidence, described_model, words)],
        model=described_model,
        labels=list(CLASSES),
        preparation=evidence["params_preparation"],
        point=run["operating_point"],
        table=make_table(list_figures(run["metrics_table"]), "metrics_table", "", words),
        groups=_list_groups(run["metrics"], words),
        intended_use=list(words["intended_use"].values()),
        limits=list(words[contents.name_limits(evidence["params_report"])].values()),
    )
    return str(card)


def _make_metadata(evidence: Mapping[str, Any], run: Mapping[str, Any]) -> Any:
    from huggingface_hub import ModelCardData

    return ModelCardData(
        model_name="chest-xray",
        library_name="keras",
        license="mit",
        pipeline_tag="image-classification",
        tags=[
            "medical",
            "radiology",
            "chest-x-ray",
            "pneumonia",
            *(["synthetic"] if evidence["params_report"].synthetic else []),
        ],
        eval_results=list(_list_results(evidence["params_data_source"], run["metrics"]["test"])),
    )


def _list_results(data_source: str, test: dict[str, Any]) -> Iterator[Any]:
    from huggingface_hub import EvalResult

    measured = {name: test["at_chosen"][key] for name, key in METRICS.items()} | {"roc_auc": test["auc"]}
    for name, each in measured.items():
        if each["value"] is not None:
            yield EvalResult(
                task_type="image-classification",
                dataset_type="chest-xray",
                dataset_name=data_source,
                dataset_split="test",
                metric_type=name,
                metric_name=f"{name} (95% interval {each['low']:.3f} to {each['high']:.3f})",
                metric_value=round(each["value"], 4),
            )


def _describe(evidence: Mapping[str, Any], model: dict[str, Any], words: Mapping[str, Any]) -> Iterator[Finding]:
    network, preparation = evidence["params_model"], evidence["params_preparation"]
    yield Finding("card_model", {"num_blocks": len(network.filters), "parameters": model["parameters"]})
    yield Finding(
        "protocol_preparation", {**preparation.model_dump(), "geometry": Name(f"geometry_{preparation.geometry}")}
    )
    counts = evidence["class_counts"]
    train = counts[counts["subset"] == "train"]
    trained_on = {"images": int(train["images"].sum()), "groups": int(train["groups"].sum())}
    source = say_given(evidence["params_data_source"], words)
    yield Finding("card_data", {**trained_on, "data_source": source, "licence": evidence["params_report"].data_licence})


def _list_groups(metrics: dict[str, Any], words: Mapping[str, Any]) -> list[tuple[str, str]]:
    found = metrics["test"]["sensitivity_by_aetiology"]
    return [(words["cells"].get(name, name), write_cell(each, words)) for name, each in found.items()]
