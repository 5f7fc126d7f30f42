"""Figures on abstention: accuracy by coverage with the referral band, and decision curves."""

from chest_xray.core.types import DataFrame, Figure
from chest_xray.metrics.abstention import Abstention, treat_all
from chest_xray.reporting.evaluation_figures import UNIT, plot_band
from chest_xray.reporting.style import (
    BLUE,
    GREY,
    ORANGE,
    PAGE_WIDTH,
    head_figure,
    label_axes,
    new_figure,
)

LOWEST = 0.2  # of the vertical axis of a decision curve, below 0, as a fraction of the prevalence


def draw_risk_coverage(curves: DataFrame, abstention: Abstention, run: str, data_source: str) -> Figure:
    """Draw the accuracy on test by the share of images answered, and where the referral band lies."""
    figure, axes = new_figure(data_source, width=6.4, height=4.8)
    curve, order = curves[curves["curve"] == "risk_coverage"], abstention.risk_coverage
    plot_band(
        axes,
        curve,
        color=ORANGE,
        label=f"test: n = {abstention.num_images}",
    )
    axes.axhline(
        1 - order.by_chance, color=GREY, linestyle=":", label=f"all answered: accuracy {1 - order.by_chance:.3f}"
    )
    if abstention.referral:
        answered = 1 - abstention.referral.referred.known
        axes.axvspan(
            answered, 1, color=BLUE, alpha=0.12, linewidth=0, label=f"referral band: {1 - answered:.1%} of test"
        )
    axes.fill_between([], [], color=GREY, alpha=0.18, label="pointwise 95% band over patients")
    label_axes(axes, "", ("share of images answered, the farthest from the threshold", "accuracy among them"))
    axes.set(xlim=UNIT)
    head_figure(figure, f"Accuracy by coverage, {run}")
    return figure


def draw_net_benefit(curves: DataFrame, run: str, data_source: str) -> Figure:
    """Draw the decision curves of test at each prevalence, beside treating all and treating none."""
    prevalences = sorted(curves["prevalence"].dropna().unique())
    num = len(prevalences)
    figure, axes = new_figure(data_source, columns=num, width=PAGE_WIDTH, height=3.9, squeeze=False)
    styles = {
        "by_probability": (BLUE, "treated from this probability on"),
        "by_decision": (ORANGE, "treated if classified as PNEUMONIA"),
    }
    for place, prevalence in zip(axes.flat, prevalences, strict=True):
        at = curves[curves["prevalence"] == prevalence]
        for name, (colour, label) in styles.items():
            plot_band(place, at[at["curve"] == name], color=colour, label=label)
        choices = at["x"].unique()
        place.plot(choices, treat_all(choices, prevalence), "--", color=GREY, label="all treated")
        place.axhline(0, color=GREY, linestyle=":", label="none treated")
        label_axes(place, f"prevalence {prevalence:.0%}", ("threshold probability", ""))
        place.set(xlim=UNIT, ylim=(-LOWEST * prevalence, 1.05 * prevalence))
    axes.flat[0].set_ylabel("net benefit", fontsize=9.5)
    head_figure(figure, f"Net benefit by threshold probability, {run} (test, with 95% bands)")
    return figure
