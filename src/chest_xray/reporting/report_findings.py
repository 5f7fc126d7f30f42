"""Rules for what the report states in addition to the conclusions: the verdicts, the data and the protocol."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

from chest_xray.core.libraries import np
from chest_xray.images.audit import AuditSummary
from chest_xray.images.kermany import CLASSES
from chest_xray.metrics.metadata_baseline import BASELINE
from chest_xray.metrics.results import Interval, MetadataBaseline, MetadataMetrics, Metrics, RuleScores
from chest_xray.models.network import Network
from chest_xray.reporting.conclusions import (
    REQUIRED_ACCURACY,
    SIGNIFICANCE,
    classify_errors,
    find_side,
    in_points,
    is_lower_on_test,
)
from chest_xray.reporting.i18n import Finding, Name
from chest_xray.reporting.report_contents import Report

Tone = Literal["good", "unsure", "bad"]


class Verdict(NamedTuple):
    """A finding, its topic, and whether it is in favour of the network."""

    topic: str
    tone: Tone
    finding: Finding


def assess_run(metrics: Metrics, metadata_metrics: MetadataMetrics) -> Iterator[Verdict]:
    """Return the overall verdict on a run, followed by the verdicts that justify it.

    The network is compared with the metadata baseline by the interval of their difference on the same images.
    """
    accuracy, difference = metrics.test.at_chosen.accuracy, metadata_metrics.difference.accuracy
    # The value itself, not its interval, has to be above the requirement.
    requirement = _rate(accuracy, REQUIRED_ACCURACY) if accuracy.finite_value > REQUIRED_ACCURACY else "bad"
    baseline = _rate(difference, 0)
    tone = max(requirement, baseline, key=("good", "unsure", "bad").index)  # the worse of the two
    required = {"accuracy": accuracy, "bar": REQUIRED_ACCURACY}
    values = {
        "baseline": metadata_metrics.at_rule.accuracy,
        "feature": Name(metadata_metrics.feature),
        "difference": in_points(difference),
    }
    yield Verdict("whole", tone, Finding(f"verdict_{tone}", {}))
    yield Verdict("asked", requirement, Finding(f"asked_{requirement}", required))
    yield Verdict("baseline", baseline, Finding(f"baseline_{baseline}", values))
    kind, counts = classify_errors(metrics.test.at_chosen)
    weaknesses: dict[str, tuple[Tone, str]] = {
        "none": ("good", "no_errors"),
        "balanced": ("unsure", "weak_on_neither"),
        "normal": ("bad", "weak_on_normal"),
        "pneumonia": ("bad", "weak_on_pneumonia"),
    }
    tone, key = weaknesses[kind]
    yield Verdict("errors", tone, Finding(key, counts))
    if is_lower_on_test(metrics, "balanced_accuracy"):
        pair = {name: subset.at_chosen.balanced_accuracy for name, subset in metrics.subsets.items()}
        yield Verdict("validation", "bad", Finding("verdict_flatters", pair))


def _rate(interval: Interval, reference: float) -> Tone:
    """Return "good" if the interval is above a reference value, "bad" if it is below, and otherwise "unsure"."""
    tones: dict[str | None, Tone] = {"above": "good", "below": "bad"}
    return tones.get(find_side(interval, reference), "unsure")


def assess_augmentation(answer: Finding) -> Verdict:
    """Return the verdict for the answer of `find_comparison`."""
    tones: dict[str, Tone] = {"augmentation_helps": "good", "augmentation_hurts": "bad"}
    return Verdict("augmentation", tones.get(answer.key, "unsure"), answer)


def describe_protocol(evidence: Mapping[str, Any]) -> Iterator[Finding]:
    """Describe split, preprocessing, training and choice of the threshold, from the parameters in `evidence`."""
    preparation, training, rule, hold_out = (
        evidence[f"params_{name}"].model_dump() for name in ("preparation", "training", "operating_point", "hold_out")
    )
    yield Finding("protocol_own_split" if len(evidence["own_split"]) else "protocol_split", hold_out)
    unknown = evidence["audit"].unknown_patients
    yield Finding("protocol_unknown_patients" if unknown.images else "protocol_known_patients", dict(unknown))
    yield Finding("protocol_preparation", {**preparation, "geometry": Name(f"geometry_{preparation['geometry']}")})
    conditions = evidence["params_validation_corruptions"].conditions()
    kinds = tuple(dict.fromkeys(Name(kind) for kind, _ in conditions))
    yield Finding("protocol_corruptions", {"num_conditions": len(conditions), "kinds": kinds})
    yield from describe_network(evidence["params_model"])
    yield Finding("protocol_training", training)
    augmentation = evidence["params_augmented"].augmentation.model_dump()
    yield Finding("protocol_augmentation", augmentation)
    if augmentation["collimation"]:
        yield Finding("protocol_collimation", augmentation)
    if evidence["params_augmented"].flip_tta:
        yield Finding("protocol_flip_tta", {})
    yield Finding("protocol_threshold", {**rule, "rule": Name(rule["rule"])})
    yield Finding("protocol_intervals", {})


def describe_network(options: Network) -> Iterator[Finding]:
    """Describe the network that `chest_xray.models.network.build_network` builds from its options."""
    values = {**dict(options), "num_blocks": len(options.filters), "filters": ", ".join(map(str, options.filters))}
    own_keys = {"plain": "network_plain", "residual": "network_residual"}  # other networks are of keras.applications
    yield Finding(own_keys.get(options.architecture, "network_backbone"), values)
    if options.architecture == "plain" and options.batch_normalization:
        yield Finding("network_normalization", {})
    yield Finding("network_head" if options.dense_units else "network_short_head", values)
    is_pretrained = options.pretrained and options.architecture not in own_keys
    yield Finding("network_pretrained" if is_pretrained else "network_from_scratch", {})


def describe_test_looks(metrics: Metrics, report: Report) -> Iterator[Finding]:
    """Describe how often the test split was looked at, and widen the interval of accuracy for that number of looks.

    The distances from the value to the ends of the widest 95% interval are multiplied by the ratio of normal quantiles
    that raises the confidence to 1 - 0.05 / looks (Bonferroni). This does not make up for changes that a look prompted.
    Phantoms have no such history, and an installed package has no ledger.
    """
    from scipy.stats import norm

    if report.synthetic or report.num_test_looks is None:
        yield Finding("protocol_test", {})
        return
    accuracy, confidence = metrics.test.at_chosen.accuracy, 1 - 0.05 / report.num_test_looks
    factor = float(norm.isf(0.025 / report.num_test_looks) / norm.isf(0.025))
    if accuracy.low is not None and accuracy.high is not None:
        low = max(0.0, accuracy.finite_value - factor * (accuracy.finite_value - accuracy.low))
        high = min(1.0, accuracy.finite_value + factor * (accuracy.high - accuracy.finite_value))
        accuracy = accuracy.model_copy(update={"low": low, "high": high})
    yield Finding("test_looks", {"looks": report.num_test_looks, "confidence": confidence, "accuracy": accuracy})


def describe_data(evidence: Mapping[str, Any]) -> Iterator[Finding]:
    """Describe what the audit found, from `audit`, `metadata_baseline` and `params_audit` in `evidence`."""
    audit: AuditSummary = evidence["audit"]
    baseline: MetadataBaseline = evidence["metadata_baseline"]
    images = sum(row.images for row in audit.counts)
    yield Finding("audit_size", {"images": images, "groups": sum(subset.groups for subset in audit.groups.values())})
    yield Finding("audit_flow", _count_flow(audit))
    yield Finding("audit_duplicates", dict(audit.duplicates))
    wide = {name.lower(): shares for name, shares in audit.shift.items()}
    yield Finding("audit_wide", {**wide, "aspect": evidence["params_audit"].wide_aspect})
    classes: Counter[str] = Counter()
    for row in audit.counts:
        classes[row.class_] += row.images if row.subset == "test" else 0
    majority = max(classes.values()) / classes.total()
    scores = baseline.features[BASELINE].test
    p = _test_separation(scores, classes)
    separates = p < SIGNIFICANCE and scores.sensitivity + scores.specificity > 1
    key = "audit_baseline" if separates else "audit_baseline_nothing"
    yield Finding(key, {"feature": Name(BASELINE), "majority": majority, "p": p, **dict(scores)})
    if audit.published.scale is not None and not audit.published.as_published:
        yield Finding("audit_copy", dict(audit.published))
    files = audit.quarantine.files
    yield Finding("audit_quarantine" if files else "audit_no_quarantine", {"files": files})


def _count_flow(audit: AuditSummary) -> dict[str, int]:
    """Count the files found and excluded, and the images of each subset, as a STARD diagram does."""
    counts = dict.fromkeys(("train", "validation", "test", "test_normal", "test_pneumonia"), 0)
    for row in audit.counts:
        for name in {row.subset, f"{row.subset}_{row.class_.lower()}"} & set(counts):
            counts[name] += row.images
    excluded, total = audit.quarantine.files, sum(counts[name] for name in ("train", "validation", "test"))
    return {"found": total + excluded, "excluded": excluded, **counts}


def _test_separation(scores: RuleScores, classes: Mapping[str, int]) -> float:
    """Return the p-value of Fisher's exact test of the decisions of a rule against the class."""
    from scipy.stats import fisher_exact

    num_normal, num_pneumonia = (classes[name] for name in CLASSES)
    tn, tp = round(scores.specificity * num_normal), round(scores.sensitivity * num_pneumonia)
    return float(fisher_exact(np.array([[tn, num_normal - tn], [num_pneumonia - tp, tp]])).pvalue)
