"""What the report says beside the conclusions: its verdicts, and how data and protocol were."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

from chest_xray.metrics.metadata_baseline import best_on_train
from chest_xray.reporting.conclusions import BAR, above, flatters
from chest_xray.reporting.i18n import Finding, Name

Tone = Literal["good", "unsure", "bad"]


class Verdict(NamedTuple):
    """A sentence, what it is about, and whether it speaks for the network or against it."""

    topic: str
    tone: Tone
    finding: Finding


def judge(metrics: dict[str, Any], metadata_metrics: dict[str, Any]) -> list[Verdict]:
    """Return the verdict over one run: what sums it up first, then what it rests on.

    Args:
        metrics: Of the run.
        metadata_metrics: Of the rule that reads no pixel, on the same images.
    """
    marks = [_against_what_was_asked(metrics), _against_the_header(metrics, metadata_metrics)]
    tones = {mark.tone for mark in marks}
    tone: Tone = "bad" if "bad" in tones else "unsure" if "unsure" in tones else "good"
    return [Verdict("whole", tone, Finding(f"verdict_{tone}", {})), *marks, *_weaknesses(metrics)]


def _against_what_was_asked(metrics: dict[str, Any]) -> Verdict:
    accuracy = metrics["test"]["at_chosen"]["accuracy"]
    tone = _clear(accuracy, BAR)
    return Verdict("asked", tone, Finding(f"asked_{tone}", {"accuracy": accuracy, "bar": BAR}))


def _against_the_header(metrics: dict[str, Any], metadata_metrics: dict[str, Any]) -> Verdict:
    """Both decide on the same images, so the interval of their difference tells; its values are in points."""
    difference = metadata_metrics["difference"]["accuracy"]
    tone = _clear(difference, 0)
    values = {
        "accuracy": metrics["test"]["at_chosen"]["accuracy"],
        "header": metadata_metrics["at_rule"]["accuracy"],
        "feature": Name(metadata_metrics["feature"]),
        "difference": {bound: 100 * difference[bound] for bound in ("value", "low", "high")},
    }
    return Verdict("header", tone, Finding(f"header_{tone}", values))


def _clear(figure: dict[str, float], mark: float) -> Tone:
    """Return "good" where the whole interval is above a mark, "unsure" where the value alone is."""
    return "good" if figure["low"] > mark else "unsure" if figure["value"] > mark else "bad"


def _weaknesses(metrics: dict[str, Any]) -> Iterator[Verdict]:
    point = metrics["test"]["at_chosen"]
    counts = {**point, "healthy": point["tn"] + point["fp"], "diseased": point["fn"] + point["tp"]}
    if point["fn"] + point["fp"] == 0:
        yield Verdict("errors", "good", Finding("no_errors", {}))
    elif above(point["sensitivity"], point["specificity"]):
        yield Verdict("errors", "bad", Finding("weak_on_healthy", counts))
    elif above(point["specificity"], point["sensitivity"]):
        yield Verdict("errors", "bad", Finding("weak_on_diseased", counts))
    else:
        yield Verdict("errors", "unsure", Finding("weak_on_neither", counts))
    if flatters(metrics, "accuracy"):
        pair = {name: metrics[name]["at_chosen"]["accuracy"] for name in ("validation", "test")}
        yield Verdict("validation", "bad", Finding("verdict_flatters", pair))


def judge_augmentation(answer: Finding) -> Verdict:
    """Return the tone to what the comparison of two runs answers."""
    tones: dict[str, Tone] = {"augmentation_helps": "good", "augmentation_hurts": "bad"}
    return Verdict("augmentation", tones.get(answer.key, "unsure"), answer)


def describe_protocol(evidence: Mapping[str, Any]) -> Iterator[Finding]:
    """List on what each choice was made.

    Args:
        evidence: Parameters by the names that they have in `conf`.
    """
    preparation, model = (evidence[f"params_{name}"].model_dump() for name in ("preparation", "model"))
    training, rule = (evidence[f"params_{name}"].model_dump() for name in ("training", "operating_point"))
    key = "protocol_own_split" if len(evidence["own_split"]) else "protocol_split"
    yield Finding(key, evidence["params_hold_out"].model_dump())
    unknown = evidence["audit"]["unknown_patients"]
    yield Finding("protocol_unknown_patients" if unknown["images"] else "protocol_known_patients", unknown)
    yield Finding("protocol_preparation", {**preparation, "geometry": Name(f"geometry_{preparation['geometry']}")})
    yield Finding("protocol_shift", {"num_conditions": len(evidence["params_validation_corruptions"].conditions())})
    filters = ", ".join(map(str, model["filters"]))
    yield Finding("protocol_network", {**model, "num_blocks": len(model["filters"]), "filters": filters})
    yield Finding("protocol_training", training)
    augmentation = evidence["params_augmented"].augmentation.model_dump()
    yield Finding("protocol_augmentation", augmentation)
    if augmentation["collimation"]:
        yield Finding("protocol_collimation", augmentation)
    yield Finding("protocol_threshold", {**rule, "rule": Name(rule["rule"])})
    yield Finding("protocol_intervals", {})
    yield Finding("protocol_test", {})


def describe_data(evidence: Mapping[str, Any]) -> Iterator[Finding]:
    """List what the audit found.

    Args:
        evidence: `audit`, `metadata_baseline`, and the parameters of the audit.
    """
    audit, rules = evidence["audit"], evidence["metadata_baseline"]
    images = sum(row["images"] for row in audit["counts"])
    yield Finding("audit_size", {"images": images, "groups": sum(each["groups"] for each in audit["groups"].values())})
    yield Finding("audit_duplicates", {"exact": audit["duplicates"]["exact"], "near": audit["duplicates"]["near"]})
    wide = {f"{name.lower()}": shift for name, shift in audit["shift"].items()}
    yield Finding("audit_wide", {**wide, "aspect": evidence["params_audit"].wide_aspect})
    yield _describe_metadata_baseline(audit, rules)
    quarantine = audit["quarantine"]
    yield Finding("audit_quarantine" if quarantine["files"] else "audit_no_quarantine", {"files": quarantine["files"]})


def _describe_metadata_baseline(audit: dict[str, Any], rules: dict[str, Any]) -> Finding:
    feature = best_on_train(rules)
    classes: Counter[str] = Counter()
    for row in audit["counts"]:
        classes[row["class"]] += row["images"] if row["subset"] == "test" else 0
    majority = max(classes.values()) / classes.total()
    key = "audit_header" if rules[feature]["test"]["accuracy"] > majority else "audit_header_nothing"
    return Finding(key, {"feature": Name(feature), "majority": majority, **rules[feature]["test"]})
