"""How choices were made in this run, and what the data set is made of: sentences with this run's parameters."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from chest_xray.metrics.metadata_baseline import best_on_train
from chest_xray.reporting.i18n import Finding, Name


def describe_protocol(evidence: Mapping[str, Any]) -> Iterator[Finding]:
    """Say on what each choice was made.

    Args:
        evidence: Parameters by the names that they have in `conf`.
    """
    preparation, model = (evidence[f"params_{name}"].model_dump() for name in ("preparation", "model"))
    training, rule = (evidence[f"params_{name}"].model_dump() for name in ("training", "operating_point"))
    key = "protocol_own_split" if len(evidence["own_split"]) else "protocol_split"
    yield Finding(key, evidence["params_hold_out"].model_dump())
    yield Finding("protocol_preparation", {**preparation, "geometry": Name(f"geometry_{preparation['geometry']}")})
    yield Finding("protocol_shift", {"num_conditions": len(evidence["params_shift"].conditions())})
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
    """Say what the audit found.

    Args:
        evidence: `audit`, `header_rule`, and the parameters of the audit.
    """
    audit, rules = evidence["audit"], evidence["header_rule"]
    images = sum(row["images"] for row in audit["counts"])
    yield Finding("audit_size", {"images": images, "groups": sum(each["groups"] for each in audit["groups"].values())})
    yield Finding("audit_duplicates", {"exact": audit["duplicates"]["exact"], "near": audit["duplicates"]["near"]})
    wide = {f"{name.lower()}": shift for name, shift in audit["shift"].items()}
    yield Finding("audit_wide", {**wide, "aspect": evidence["params_audit"].wide_aspect})
    yield _describe_header_rule(audit, rules)
    quarantine = audit["quarantine"]
    yield Finding("audit_quarantine" if quarantine["files"] else "audit_no_quarantine", {"files": quarantine["files"]})


def _describe_header_rule(audit: dict[str, Any], rules: dict[str, Any]) -> Finding:
    feature = best_on_train(rules)
    classes: Counter[str] = Counter()
    for row in audit["counts"]:
        classes[row["class"]] += row["images"] if row["subset"] == "test" else 0
    majority = max(classes.values()) / classes.total()
    key = "audit_header" if rules[feature]["test"]["accuracy"] > majority else "audit_header_nothing"
    return Finding(key, {"feature": Name(feature), "majority": majority, **rules[feature]["test"]})
