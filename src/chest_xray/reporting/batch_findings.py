"""Rules for the sentences on a batch."""

from collections.abc import Iterator

from chest_xray.metrics.shift import Shift
from chest_xray.models.batch import BatchSummary
from chest_xray.reporting.i18n import Finding, Name


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
    found = [each for each in shift.measures if each.verdict == "different"]
    most = max(found or shift.measures, key=lambda each: each.distance)
    values = {
        **dict(most),
        **dict(shift.rule),
        "verdict": shift.verdict,
        "measure": Name(most.measure),
        "different": tuple(Name(each.measure) for each in found),
        "min_images": shift.min_images,
    }
    if shift.verdict == "too_few":
        return Finding("shift_too_few" if shift.min_images else "shift_reference_too_small", values)
    return Finding(f"shift_{shift.verdict}", values)
