"""The metrics of a run as types. What each key of their JSON holds is described in docs/metrics.md."""

from typing import Generic, Literal, TypeVar

from chest_xray.core.options import Result
from chest_xray.metrics.operating_point import Calibration, Rule


class Interval(Result):
    """A value with its 95% interval; a bound of None is infinite, and a value of None could not be computed."""

    value: float | None
    low: float | None
    high: float | None

    @property
    def known(self) -> float:
        """The value, where one is sure to exist.

        Raises:
            ValueError: It could not be computed.
        """
        if self.value is None:
            raise ValueError("received a metric without a value; expected one. Check `value` for None first.")
        return self.value

    def with_n(self, num_images: int) -> "Estimate":
        """Return the same with the number of images that it rests on."""
        return Estimate(value=self.value, low=self.low, high=self.high, n=num_images)


class Estimate(Interval):
    """An interval and the number of images that it rests on."""

    n: int


UNKNOWN = Interval(value=None, low=None, high=None)
Measured = TypeVar("Measured", bound=Interval)


class Shares(Result, Generic[Measured]):
    """Metrics of decisions that are shares of images."""

    accuracy: Measured
    sensitivity: Measured
    specificity: Measured
    precision: Measured
    npv: Measured


class Rates(Shares[Measured], Generic[Measured]):
    """All metrics of decisions; see `chest_xray.metrics.binary.rate`."""

    balanced_accuracy: Measured
    ppv_realistic: Measured
    npv_realistic: Measured
    f1: Measured
    mcc: Measured
    lr_positive: Measured
    lr_negative: Measured


class Counts(Result):
    """A threshold, and how many decisions are right and wrong at it."""

    threshold: float
    tn: int
    fp: int
    fn: int
    tp: int


# The fields of the last base come first.
class CountedDecisions(Shares[Estimate], Counts):
    """Decisions at one threshold, with the metrics that need no resampling."""


class Decisions(Rates[Estimate], Counts):
    """Decisions at one threshold."""


class Ruled(Result):
    """What belongs to the rule that chose a threshold."""

    rule: Rule


class OtherDecisions(Decisions, Ruled):
    """Decisions at the threshold of the rule that does not decide."""


class RuledCalibration(Calibration, Ruled):
    """The rule that decides, and the calibration."""


class CalibrationErrors(Result, Generic[Measured]):
    """How far calibrated probabilities hold; see `chest_xray.metrics.calibration_error`."""

    log_loss: Measured
    brier: Measured
    ece: Measured
    slope: Measured
    intercept: Measured


class CalibrationMetrics(CalibrationErrors[Estimate]):
    """Calibration of one subset, and what chance and prevalence alone would do to it."""

    ece_by_chance: float
    shift_of_prevalence: float


class Stratum(Result):
    """Metrics of one kind of images; see `chest_xray.metrics.subgroups.stratify`."""

    by: Literal["aetiology", "aspect", "size"]
    name: str
    low: float | None
    high: float | None
    num_images: int
    num_healthy: int
    num_diseased: int
    tn: int
    fp: int
    fn: int
    tp: int
    sensitivity: Estimate
    specificity: Estimate
    auc: Estimate


class SubsetMetrics(Result):
    """All metrics of validation or test."""

    num_images: int
    num_groups: int
    prevalence: float
    loss: float
    auc: Estimate
    pr_auc: Estimate
    brier: float
    ece: float
    calibration: CalibrationMetrics
    at_half: Decisions
    at_chosen: Decisions
    at_other: OtherDecisions
    sensitivity_by_aetiology: dict[str, Estimate]
    strata: list[Stratum]

    @property
    def points(self) -> dict[str, Decisions]:
        """The decisions by the name of their threshold."""
        return {"at_half": self.at_half, "at_chosen": self.at_chosen, "at_other": self.at_other}


class Gap(Result):
    """Test minus validation."""

    auc: Interval
    pr_auc: Interval
    calibration: CalibrationErrors[Interval]
    at_half: Rates[Interval]
    at_chosen: Rates[Interval]
    at_other: Rates[Interval]


class Metrics(Result):
    """All metrics of a run."""

    schema_version: int
    run: str
    operating_point: RuledCalibration
    realistic_prevalence: float
    strata_cuts: dict[str, list[float]]
    validation: SubsetMetrics
    test: SubsetMetrics
    gap: Gap

    @property
    def subsets(self) -> dict[str, SubsetMetrics]:
        """The metrics of each subset by its name."""
        return {"validation": self.validation, "test": self.test}


class Difference(Result):
    """The network minus the metadata baseline on the same images."""

    auc: Estimate
    pr_auc: Estimate
    accuracy: Estimate
    balanced_accuracy: Estimate
    sensitivity: Estimate
    specificity: Estimate


class WithinStrata(Result):
    """AUC of the network over the pairs of test images of one stratum of metadata.

    `share_of_pairs` is their share among all pairs of a PNEUMONIA and a NORMAL image.
    """

    auc: Estimate
    num_strata: int
    share_of_pairs: float


class Conflict(Result):
    """Decisions and ranking of the network on the test images that the metadata baseline misclassifies."""

    num_healthy: int
    num_diseased: int
    accuracy: Estimate
    sensitivity: Estimate
    specificity: Estimate
    auc: Estimate


class Shortcuts(Result):
    """Whether the network knows more than the metadata; see `chest_xray.metrics.shortcuts`.

    `score_auc` is the AUC of a score of the metadata alone, whose strata are those of `within_score`.
    """

    score_auc: Estimate
    within_width: WithinStrata
    within_score: WithinStrata
    conflict: Conflict


class MetadataMetrics(Result):
    """All metrics of the metadata baseline."""

    feature: str
    direction: Literal["at most", "at least"]
    auc: Estimate
    pr_auc: Estimate
    at_rule: Decisions
    strata: list[Stratum]
    difference: Difference
    shortcuts: Shortcuts
