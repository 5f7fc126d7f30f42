"""Figures on abstention: accuracy by coverage with the referral band, and decision curves."""

from chest_xray.core.types import DataFrame, Figure
from chest_xray.metrics.abstention import Abstention, treat_all
from chest_xray.reporting.evaluation_figures import UNIT, plot_band
from chest_xray.reporting.style import (
    BLUE,
    GREY,
    ORANGE,
    PAGE_WIDTH,
    Labels,
    add_heading,
    label_axes,
    new_figure,
)

LOWEST = 0.2  # of the vertical axis of a decision curve, below 0, as a fraction of the prevalence


def draw_risk_coverage(curves: DataFrame, abstention: Abstention, run: str, labels: Labels) -> Figure:
    """Draw the accuracy on test by the share of images answered, and where the referral band lies."""
    figure, axes = new_figure(labels, width=6.4, height=4.8)
    curve, order = curves[curves["curve"] == "risk_coverage"], abstention.risk_coverage
    plot_band(
        axes,
        curve,
        color=ORANGE,
        label=labels("subset", subset=labels.translate("test"), num=abstention.num_images),
    )
    axes.axhline(
        1 - order.by_chance, color=GREY, linestyle=":", label=labels("all_answered", accuracy=1 - order.by_chance)
    )
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
    num = len(prevalences)
    figure, axes = new_figure(labels, columns=num, width=PAGE_WIDTH, height=3.9, squeeze=False)
    styles = {
        "by_probability": (BLUE, labels("by_probability")),
        "by_decision": (ORANGE, labels("by_decision")),
    }
    for panel, prevalence in zip(axes.flat, prevalences, strict=True):
        at = curves[curves["prevalence"] == prevalence]
        for name, (colour, label) in styles.items():
            plot_band(panel, at[at["curve"] == name], color=colour, label=label)
        choices = at["x"].unique()
        panel.plot(choices, treat_all(choices, prevalence), "--", color=GREY, label=labels("all_treated"))
        panel.axhline(0, color=GREY, linestyle=":", label=labels("none_treated"))
        label_axes(panel, labels("at_prevalence", prevalence=float(prevalence)), (labels("threshold_probability"), ""))
        panel.set(xlim=UNIT, ylim=(-LOWEST * prevalence, 1.05 * prevalence))
    axes.flat[0].set_ylabel(labels("net_benefit"), fontsize=9.5)
    add_heading(figure, labels("net_benefit_title", run=run))
    return figure
