"""The metrics of a run as types; docs/metrics.md describes what each key of their JSON holds."""

from typing import Annotated, Generic, Literal, Self, TypeVar

from pydantic import AliasChoices, Field

from chest_xray.core.types import Result
from chest_xray.metrics.operating_point import OperatingPoint, Rule

# What an interval allows for: chance between images (Wilson), between patients, or between blocks of patients.
Method = Literal["images", "patients", "blocks"]
Direction = Literal["at most", "at least"]

# With their names up to version 3 of metrics.json.
NumNormal = Annotated[int, Field(validation_alias=AliasChoices("num_normal", "num_healthy"))]
NumPneumonia = Annotated[int, Field(validation_alias=AliasChoices("num_pneumonia", "num_diseased"))]


class Interval(Result):
    """A value with its 95% interval; a bound of None is infinite, and a value of None could not be computed."""

    value: float | None
    low: float | None
    high: float | None
    method: Method | None = None

    @property
    def finite_value(self) -> float:
        """The value where it is not None.

        Raises:
            ValueError: It could not be computed.
        """
        if self.value is None:
            raise ValueError("received a metric without a value; expected one. Check `value` for None first.")
        return self.value

    @property
    def is_point(self) -> bool:
        """Whether the interval has no width, since no resample differs: it shows no uncertainty then."""
        return self.value is not None and self.low == self.high

    def with_n(self, num_images: int) -> "Estimate":
        """Return the same with the number of images that it rests on."""
        return Estimate(value=self.value, low=self.low, high=self.high, method=self.method, n=num_images)

    def with_method(self, method: Method) -> Self:
        """Return the same with the method of its interval."""
        return self.model_copy(update={"method": method})


class Estimate(Interval):
    """An interval and the number of images that it rests on."""

    n: int


AT_HALF = "at_half"
UNKNOWN = Interval.model_construct(value=None, low=None, high=None)  # compiles no validator on import
Measured = TypeVar("Measured", bound=Interval)


class Shares(Result, Generic[Measured]):
    """Metrics of decisions that are shares of images."""

    accuracy: Measured
    sensitivity: Measured
    specificity: Measured
    precision: Measured
    npv: Measured


class Rates(Shares[Measured], Generic[Measured]):
    """All metrics of decisions; see `chest_xray.metrics.binary.compute_rates`."""

    balanced_accuracy: Measured
    ppv_realistic: Measured
    npv_realistic: Measured
    f1: Measured
    mcc: Measured
    lr_positive: Measured
    lr_negative: Measured


class Counts(Result):
    """A threshold, and how many decisions are right and wrong at it.

    Of the metadata baseline, `threshold` is a value of its feature, and `log_odds` None.
    """

    threshold: float
    log_odds: float | None
    tn: int
    fp: int
    fn: int
    tp: int


# The fields of the last base come first.
class CountedDecisions(Shares[Estimate], Counts):
    """Decisions at one threshold, with the metrics that need no resampling."""


class Decisions(Rates[Estimate], Counts):
    """Decisions at one threshold."""


Decided = TypeVar("Decided", Decisions, Rates[Interval])


class AtPoints(Result, Generic[Decided]):
    """Metrics at an uncalibrated output of 0.5 and at the operating point of each rule; `rule` is the one used."""

    rule: Rule
    at_half: Decided
    points: dict[Rule, Decided]

    @property
    def at_chosen(self) -> Decided:
        """The metrics at the operating point that decides."""
        return self.points[self.rule]

    @property
    def by_name(self) -> dict[str, Decided]:
        """The metrics by the name of their point: "at_half", and those of the rules."""
        return {AT_HALF: self.at_half} | {str(rule): metrics for rule, metrics in self.points.items()}


class CalibrationErrors(Result, Generic[Measured]):
    """How well probabilities are calibrated; see `chest_xray.metrics.calibration_error`."""

    log_loss: Measured
    brier: Measured
    ece: Measured
    slope: Measured
    intercept: Measured


class CalibrationMetrics(CalibrationErrors[Estimate]):
    """Calibration of one subset, of probabilities adjusted from the expected prevalence to that of the subset.

    `shift_of_prevalence` is that adjustment in log odds; `brier_unmoved` and `ece_unmoved` are without it.
    `ece_by_chance` is None if it was not computed.
    """

    ece_by_chance: float | None
    shift_of_prevalence: float
    brier_unmoved: Estimate
    ece_unmoved: Estimate


class Stratum(Result):
    """Metrics of one kind of images; see `chest_xray.metrics.subgroups.stratify`."""

    by: Literal["aetiology", "aspect", "size", "series"]
    name: str
    low: float | None
    high: float | None
    num_images: int
    num_normal: NumNormal
    num_pneumonia: NumPneumonia
    tn: int
    fp: int
    fn: int
    tp: int
    sensitivity: Estimate
    specificity: Estimate
    auc: Estimate


class SubsetMetrics(AtPoints[Decisions]):
    """All metrics of validation or test."""

    num_images: int
    num_groups: int
    prevalence: float
    loss: float
    auc: Estimate
    pr_auc: Estimate
    calibration: CalibrationMetrics
    sensitivity_by_aetiology: dict[str, Estimate]
    strata: list[Stratum]


class RunsTest(Result):
    """Whether errors come in runs along the numbers of a series; see `chest_xray.metrics.bootstrap.find_runs`."""

    series: str
    num: int
    num_errors: int
    num_runs: int
    expected: float
    p: float
    p_holm: float


class Dependence(Result):
    """What the errors depend on."""

    block_length: int
    intervals: dict[str, list[Estimate]]
    runs: list[RunsTest]


class Gap(AtPoints[Rates[Interval]]):
    """Test minus validation."""

    auc: Interval
    pr_auc: Interval
    calibration: CalibrationErrors[Interval]


class Metrics(Result):
    """All metrics of a run."""

    schema_version: int
    run: str
    operating_point: OperatingPoint
    realistic_prevalence: float
    strata_cuts: dict[str, list[float]]
    validation: SubsetMetrics
    test: SubsetMetrics
    gap: Gap
    dependence: Dependence | None = None  # results of earlier versions have none

    @property
    def subsets(self) -> dict[str, SubsetMetrics]:
        """The metrics of each subset by its name."""
        return {"validation": self.validation, "test": self.test}


class ConditionMetrics(Result):
    """Metrics of validation under one corruption; sensitivity and specificity are at the point that decides."""

    kind: str
    strength: float
    auc: float
    sensitivity: float
    specificity: float


class CorruptionMetrics(Result):
    """The metrics on corrupted validation by which recipes are ranked, pooled over all conditions, and those of each.

    `worst_auc` is the mean over the worst quarter of conditions; `specificity` is at the sensitivity that is required.
    """

    num_images: int
    auc: float
    worst_auc: float
    specificity: float
    conditions: list[ConditionMetrics]


class Difference(Result):
    """The network minus the metadata baseline on the same images."""

    auc: Estimate
    pr_auc: Estimate
    accuracy: Estimate
    balanced_accuracy: Estimate
    sensitivity: Estimate
    specificity: Estimate


class WithinStrata(Result):
    """AUC of the network over the pairs of test images of one stratum of metadata, and their share among all pairs."""

    auc: Estimate
    num_strata: int
    share_of_pairs: float


class Conflict(Result):
    """Decisions and ranking of the network on the test images that the metadata baseline misclassifies."""

    num_normal: NumNormal
    num_pneumonia: NumPneumonia
    accuracy: Estimate
    sensitivity: Estimate
    specificity: Estimate
    auc: Estimate


class Shortcuts(Result):
    """What the network has learned beyond the metadata; see `chest_xray.metrics.metadata_baseline`."""

    score_auc: Estimate
    within_width: WithinStrata
    within_score: WithinStrata
    conflict: Conflict


class RuleScores(Result):
    """How a threshold on one feature classifies the images of a split, in [0, 1]; `auc` is that of the feature."""

    num: int
    accuracy: float
    sensitivity: float
    specificity: float
    auc: float


class FeatureRule(Result):
    """The best threshold on a feature in train; `direction` names the side on which an image counts as PNEUMONIA."""

    unit: str
    threshold: float
    direction: Direction
    train: RuleScores
    test: RuleScores


class MetadataBaseline(Result):
    """The rules that `fit_and_score_thresholds` found, by feature."""

    features: dict[str, FeatureRule]


class MetadataMetrics(Result):
    """All metrics of the metadata baseline."""

    feature: str
    direction: Direction
    auc: Estimate
    pr_auc: Estimate
    at_rule: Decisions
    strata: list[Stratum]
    difference: Difference
    shortcuts: Shortcuts
