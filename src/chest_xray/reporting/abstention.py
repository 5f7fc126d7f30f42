"""Abstention and clinical use in the report: rules for the sentences, risk-coverage and decision curves."""

from collections.abc import Iterator

from chest_xray.core.types import DataFrame, Figure
from chest_xray.metrics.abstention import Abstention, treat_all
from chest_xray.metrics.results import Metrics
from chest_xray.reporting.conclusions import find_side
from chest_xray.reporting.evaluation_figures import UNIT, plot_band
from chest_xray.reporting.i18n import Finding, Name
from chest_xray.reporting.style import BLUE, GREY, ORANGE, PAGE_WIDTH, Labels, add_heading, label_axes, new_figure

# Jaeschke, Guyatt and Sackett 1994, JAMA 271:703: how far a likelihood ratio, or its inverse, shifts a probability.
SHIFTS = ((10, "shift_large"), (5, "shift_moderate"), (2, "shift_small"), (1, "shift_minimal"))
LOWEST = 0.2  # how far the vertical axis of a decision curve reaches below 0, as a fraction of the prevalence


def find_abstention(abstention: Abstention, metrics: Metrics) -> dict[str, list[Finding]]:
    """Return what the results of `measure_abstention` and the likelihood ratios show, below their heading."""
    return {"abstention": list(_list_findings(abstention, metrics))}


def _list_findings(abstention: Abstention, metrics: Metrics) -> Iterator[Finding]:
    curve, num_images = abstention.risk_coverage, {"num_images": abstention.num_images}
    if curve.by_chance > 0:
        key = "order_informative" if find_side(curve.area, curve.by_chance) == "below" else "order_not_shown"
        yield Finding(key, {**dict(curve), **num_images})
    yield from _assess_referral(abstention, metrics)
    conformal = abstention.conformal
    promised = {"promised": conformal.promised}
    yield Finding("conformal_sizes", {**promised, **conformal.sizes})
    for name, reached in conformal.reached.items():
        key = "conformal_broken" if find_side(reached, conformal.promised) == "below" else "conformal_holds"
        yield Finding(key, {"label": name, **promised, "reached": reached})
    yield from _describe_likelihood_ratios(metrics)
    for benefit in abstention.useful:
        values = {"prevalence": benefit.prevalence, **num_images}
        if benefit.by_decision is None:
            yield Finding("benefit_not_shown", values)
        else:
            low, high = benefit.by_decision
            yield Finding("benefit_shown", {**values, "low": low, "high": high})
    yield Finding("benefit_caveat", {})


def _assess_referral(abstention: Abstention, metrics: Metrics) -> Iterator[Finding]:
    referral, band = abstention.referral, metrics.operating_point.band
    if referral is None or band is None:
        yield Finding("refer_off", {})
        return
    values = {**dict(referral), **dict(band), "whole": metrics.test.at_chosen.accuracy}
    if referral.answered is None:
        yield Finding("refer_all", values)
        return
    values |= {"accuracy": referral.answered.accuracy}
    if referral.errors_referred.value is None:
        yield Finding("refer_no_errors", values)
    else:
        is_shown = find_side(referral.errors_referred, referral.referred.finite_value) == "above"
        yield Finding("refer_gains" if is_shown else "refer_not_shown", values)
    if find_side(referral.referred, band.max_referred) == "above":
        yield Finding("refer_more", values)


def _describe_likelihood_ratios(metrics: Metrics) -> Iterator[Finding]:
    """Describe each likelihood ratio by the end of its interval that is nearer to 1."""
    point, prevalence = metrics.test.at_chosen, metrics.realistic_prevalence
    positive, negative = point.lr_positive, point.lr_negative
    if positive.value is not None and positive.low is not None:
        values = {"lr": positive, "prevalence": prevalence, "ppv": point.ppv_realistic}
        key = "positive_shift" if positive.high is not None else "positive_shift_open"
        yield _describe_shift(key, positive.low, values)
    if negative.value is not None and negative.low is not None and negative.high:  # 0 where no resample has an error
        values = {"lr": negative, "prevalence": prevalence, "npv": point.npv_realistic}
        yield _describe_shift("negative_shift", 1 / negative.high, values)


def _describe_shift(key: str, ratio: float, values: dict[str, object]) -> Finding:
    strength = next((name for bound, name in SHIFTS if ratio > bound), None)
    if strength is None:
        return Finding(f"{key.removesuffix('_open')}_not_shown", values)
    return Finding(key, {**values, "strength": Name(strength)})


def draw_risk_coverage(curves: DataFrame, abstention: Abstention, run: str, labels: Labels) -> Figure:
    """Draw the accuracy on test by the share of images answered, and where the referral band lies."""
    figure, axes = new_figure(labels, width=6.4, height=4.8)
    label = labels("subset", subset=labels.translate("test"), num=abstention.num_images)
    plot_band(axes, curves[curves["curve"] == "risk_coverage"], color=ORANGE, label=label)
    accuracy = 1 - abstention.risk_coverage.by_chance  # of all images
    axes.axhline(accuracy, color=GREY, linestyle=":", label=labels("all_answered", accuracy=accuracy))
    if abstention.referral:
        answered = 1 - abstention.referral.referred.finite_value
        band = labels("referral_band", share=1 - answered)
        axes.axvspan(answered, 1, color=BLUE, alpha=0.12, linewidth=0, label=band)
    axes.fill_between([], [], color=GREY, alpha=0.18, label=labels("band"))
    label_axes(axes, "", (labels("share_answered"), labels("accuracy_among")))
    axes.set(xlim=UNIT)
    add_heading(figure, labels("coverage_title", run=run))
    return figure


def draw_net_benefit(curves: DataFrame, run: str, labels: Labels) -> Figure:
    """Draw the decision curves of test at each prevalence, beside treating all and treating none."""
    prevalences = sorted(curves["prevalence"].dropna().unique())
    figure, axes = new_figure(labels, columns=len(prevalences), width=PAGE_WIDTH, height=3.9, squeeze=False)
    for panel, prevalence in zip(axes.flat, prevalences, strict=True):
        rows = curves[curves["prevalence"] == prevalence]
        for name, colour in (("by_probability", BLUE), ("by_decision", ORANGE)):
            plot_band(panel, rows[rows["curve"] == name], color=colour, label=labels(name))
        thresholds = rows["x"].unique()
        panel.plot(thresholds, treat_all(thresholds, prevalence), "--", color=GREY, label=labels("all_treated"))
        panel.axhline(0, color=GREY, linestyle=":", label=labels("none_treated"))
        label_axes(panel, labels("at_prevalence", prevalence=float(prevalence)), (labels("threshold_probability"), ""))
        panel.set(xlim=UNIT, ylim=(-LOWEST * prevalence, 1.05 * prevalence))
    axes.flat[0].set_ylabel(labels("net_benefit"), fontsize=9.5)
    add_heading(figure, labels("net_benefit_title", run=run))
    return figure
