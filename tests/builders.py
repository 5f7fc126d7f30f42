"""Small inputs made in memory, shared by the tests."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
from PIL import Image
from scipy.special import logit

from chest_xray.core.types import Array
from chest_xray.datasets import PackagedModelDataset
from chest_xray.images.kermany import FEATURES
from chest_xray.images.preprocessing import Preparation
from chest_xray.images.validation import InputChecks
from chest_xray.metrics.abstention import Abstention
from chest_xray.metrics.comparison import (
    METRICS,
    PASSES,
    RUNS,
    ArmDifference,
    ComparedMetric,
    Comparison,
    MetricName,
    PairedDifference,
    Study,
)
from chest_xray.metrics.operating_point import OperatingPoint, ReferralBand, Rule, to_probability
from chest_xray.metrics.results import (
    UNKNOWN,
    CalibrationErrors,
    Conflict,
    Decisions,
    Dependence,
    Difference,
    Estimate,
    FeatureRule,
    Interval,
    MetadataBaseline,
    MetadataMetrics,
    Method,
    Metrics,
    RuleScores,
    RunsTest,
    Shortcuts,
    Stratum,
    WithinStrata,
)
from chest_xray.metrics.shift import MEASURES, Reference, ShiftRule, describe_reference
from chest_xray.metrics.summary import SCHEMA_VERSION, Evaluation
from chest_xray.models.augmentation import Augmentation
from chest_xray.models.contract import Contract, FittedInputChecks, PackagedModel
from chest_xray.models.network import Network, ScoringPrecision, build_network, with_precision
from chest_xray.models.training import Run, Training
from chest_xray.models.views import build_view_network, read_weights
from chest_xray.pipelines.deployment.nodes import measure_input_checks, write_contract

TINY_NETWORK = Network(
    architecture="plain",
    filters=(2, 4),
    kernel_size=3,
    activation="relu",
    batch_normalization=False,
    last_pooling="block",
    dense_units=4,
    dropout=0.0,
    pretrained=False,
)

TITLE = "as a trial"  # of every run made here


def make_pixels(num_images: int, height: int = 16, width: int = 16, seed: int = 0) -> Array:
    """Draw grey noise: uint8 of shape (num_images, height, width), no two images alike."""
    return np.random.default_rng(seed).integers(0, 256, (num_images, height, width), dtype=np.uint8)


def make_split(labels: Sequence[int], subsets: str | Sequence[str]) -> pd.DataFrame:
    """Describe images of these labels, each of a patient of its own; `subsets` is one name or one for each image."""
    paths = [f"{'PNEUMONIA' if label else 'NORMAL'}/{number:03d}.png" for number, label in enumerate(labels)]
    return pd.DataFrame(
        {
            "path": paths,
            "bytes": [1000 + number for number in range(len(labels))],
            "modified": "2026-11-24",
            "subset": subsets,
            "group": paths,
            "aetiology": ["bacterial" if label else "none" for label in labels],
            "label": np.array(labels, np.int8),
            "width": 16,
            "height": 16,
        }
    )


def save_images(table: pd.DataFrame, rows: Sequence[int], folder: Path) -> pd.DataFrame:
    """Save an image of 300 x 200 pixels for each of these rows, and return the table with their paths."""
    paths = {row: str(folder / f"{row}.png") for row in rows}
    for row, path in paths.items():
        Image.fromarray(make_pixels(1, 40, 60, seed=row)[0]).resize((300, 200)).save(path)
    return table.assign(path=table["path"].where(~table.index.isin(rows), table.index.map(paths)))


def make_predictions(
    labels: Sequence[int], probabilities: Sequence[float], groups: Sequence[str] | None = None
) -> pd.DataFrame:
    """Build a table like that of `predict_test` from labels and probabilities, which also serve as calibrated."""
    given = np.array(probabilities, float)
    log_odds = logit(np.clip(given, 1e-6, 1 - 1e-6))
    columns = {"logit": log_odds, "sigmoid": given, "log_odds": log_odds, "probability": given}
    table = make_split(labels, "test").assign(**columns, kind="none", strength=0.0)
    return table if groups is None else table.assign(group=list(groups))


def make_point(
    threshold: float, other: float = 0.25, rule: str = "balanced", log_odds: float | None = None, **calibration: float
) -> OperatingPoint:
    """Build an operating point with this calibrated threshold and rule; by default, calibration changes nothing.

    The other two rules have the threshold `other`; `log_odds` replaces the threshold.
    """
    points = {name: make_one_point(threshold if name == rule else other) for name in get_args(Rule)}
    if log_odds is not None:
        points[rule] |= {"log_odds": log_odds, "threshold": to_probability(log_odds)}
    unchanged = {"temperature": 1.0, "bias": 0.0, "expected_prevalence": 0.5}
    return OperatingPoint.model_validate(
        {"run": TITLE, "rule": rule, "points": points, "calibration": unchanged | calibration}
    )


def make_one_point(threshold: float, **changes: Any) -> dict[str, Any]:
    """Fields of a point at this calibrated threshold."""
    shares = {"sensitivity": 0.9, "specificity": 0.8, "worst_sensitivity": 0.7, "worst_specificity": 0.6}
    return {
        "log_odds": float(np.clip(logit(threshold), -40, 40)),
        "threshold": threshold,
        **shares,
        "reached": True,
        **changes,
    }


def make_run(seed: int = 7, **augmentation: Any) -> Run:
    """Settings of a run, by default without copies."""
    return Run(title=TITLE, seed=seed, augmentation=Augmentation(**augmentation))


def make_training(**changes: Any) -> Training:
    """Options of a short training in float32, at one learning rate."""
    plain = {
        **{"epochs": 2, "passes_per_epoch": 1, "batch_size": 8},
        **{"optimizer": "adam", "learning_rate": 0.01, "schedule": "constant"},
        **{"warmup_epochs": 0, "label_smoothing": 0, "weight_average": 0, "keep": "best", "patience": 5},
        **{"class_weight": "balanced", "precision": "float32", "tensorboard": False},
    }
    return Training.model_validate({**plain, **changes})


def make_evaluation(**changes: Any) -> Evaluation:
    """Evaluation options, with defaults for what is not given."""
    plain = {"seed": 1, "realistic_prevalence": 0.2, "aspect_cuts": (1.2, 1.5), "size_quantiles": (0.5,)}
    plain |= {"block_length": 20, "num_series_blocks": 4, "conformal_coverage": 0.9, "decision_prevalences": (0.1, 0.4)}
    return Evaluation.model_validate({**plain, **changes})


def interval(low: float, value: float, high: float) -> Interval:
    """A figure with its interval, as metrics hold it."""
    return Interval(value=value, low=low, high=high)


def sure(value: float) -> Interval:
    """A figure whose interval is a hundredth either way."""
    return interval(value - 0.01, value, value + 0.01)


def counted(figures: Mapping[str, Interval], num: int = 100) -> dict[str, Estimate]:
    """The same figures, each with the number of images that it rests on."""
    return {name: each if isinstance(each, Estimate) else each.with_n(num) for name, each in figures.items()}


def changed(metrics: Metrics, where: str, **fields: Any) -> Metrics:
    """The same metrics but for fields of the part at a dotted path, such as "test.points.balanced"."""
    plain = metrics.model_dump()
    part = plain
    for name in where.split("."):
        part = part[name]
    part.update(fields)
    return Metrics.model_validate(plain)


def make_history(val_loss: Sequence[float], *, kept: int, steps: int = 10) -> pd.DataFrame:
    """One row per epoch of `steps` steps, as `train_model` returns it; `kept` counts epochs from 1."""
    epoch = np.arange(1, len(val_loss) + 1)
    return pd.DataFrame(
        {
            **{"epoch": epoch, "steps": steps * epoch, "seconds": 1.5},
            **{"loss": 0.5, "accuracy": 0.8, "val_loss": val_loss, "val_accuracy": 0.75},
            "kept": epoch == kept,
        }
    )


NAMES = (
    *("accuracy", "sensitivity", "specificity", "precision", "npv", "balanced_accuracy", "ppv_realistic"),
    *("npv_realistic", "f1", "mcc", "lr_positive", "lr_negative"),
)


def make_run_metrics(
    *,
    run: str = TITLE,
    at_half: Interval | None = None,
    by_aetiology: Mapping[str, Interval] | None = None,
    validation: Mapping[str, Interval] | None = None,
    gap: Mapping[str, Interval] | None = None,
    strata: Sequence[Stratum] = (),
    calibration: Mapping[str, Any] | None = None,
    **test: Interval,
) -> Metrics:
    """Metrics of a run in which nothing stands out, but for what is given.

    Args:
        run: Its title.
        at_half: Accuracy on test at 0.5.
        by_aetiology: Sensitivity on test by aetiology.
        validation: Figures of validation at the chosen threshold, which the gap follows.
        gap: Test minus validation of figures at the chosen threshold.
        strata: Strata of test, from `make_stratum`.
        calibration: Figures of the calibration of both.
        **test: Figures of test at the chosen threshold.
    """
    plain = {name: sure(0.9) for name in NAMES}
    here, there = {**plain, **(validation or {})}, {**plain, **test}
    aetiologies = {"bacterial": sure(0.9), "viral": sure(0.9)} if by_aetiology is None else by_aetiology
    held: dict[str, Any] = {
        **{"log_loss": sure(0.3), "brier": sure(0.12), "ece": sure(0.05), "slope": sure(1), "intercept": sure(0)},
        **{"ece_by_chance": 0.06, "shift_of_prevalence": 0.0},
        **{"brier_unmoved": sure(0.13), "ece_unmoved": sure(0.06), **(calibration or {})},
    }
    found = {
        **{"num_images": 100, "num_groups": 80, "prevalence": 0.6, "loss": 0.3},
        **{"auc": sure(0.9).with_n(100), "pr_auc": sure(0.9).with_n(100), "strata": list(strata)},
        "calibration": {name: each.with_n(100) if isinstance(each, Interval) else each for name, each in held.items()},
        "rule": "balanced",
        "sensitivity_by_aetiology": counted(aetiologies),
    }
    none = {name: sure(0) for name in NAMES}
    return Metrics.model_validate(
        {
            **{"schema_version": SCHEMA_VERSION, "run": run, "realistic_prevalence": 0.16, "strata_cuts": {}},
            "operating_point": make_point(0.4).model_dump(),
            "validation": {**found, "at_half": make_decisions(plain), "points": _at_rules(make_decisions(here))},
            "test": {
                **{**found, "points": _at_rules(make_decisions(there))},
                "at_half": make_decisions({**plain, "accuracy": at_half or there["accuracy"]}),
            },
            "gap": {
                **{"auc": sure(0), "pr_auc": sure(0), "at_half": none, "rule": "balanced"},
                "calibration": {name: sure(0) for name in CalibrationErrors.model_fields},
                "points": {**dict.fromkeys(get_args(Rule), none), "balanced": {**_gaps(here, there), **(gap or {})}},
            },
            "dependence": make_dependence(),
        }
    )


def _at_rules(chosen: Decisions) -> dict[str, Decisions]:
    """The decisions at each rule, of which "balanced" decides."""
    other = make_decisions({name: sure(0.9) for name in NAMES})
    return {**dict.fromkeys(get_args(Rule), other), "balanced": chosen}


def with_band(point: OperatingPoint, half_width: float = 0.5) -> OperatingPoint:
    """The same operating point with a referral band of this half width, in log odds."""
    return point.model_copy(update={"band": ReferralBand(max_referred=0.5, half_width=half_width)})


def make_abstention(
    referred: float | None = 0.1,
    errors_referred: float | None = 0.5,
    reached: float = 0.95,
    useful: tuple[float, float] | None = (0.1, 0.4),
    area: float = 0.03,
) -> Abstention:
    """What abstention gains on 100 test images of which 10 are wrong; without `referred` there is no band."""

    def share(value: float | None, num: int = 100) -> Estimate:
        return UNKNOWN.with_n(0) if value is None else sure(value).with_n(num)

    answered = None if referred == 1 else make_decisions({name: sure(0.95) for name in NAMES})
    referral = {"referred": share(referred), "errors_referred": share(errors_referred, 10), "answered": answered}
    conformal = {
        **{"promised": 0.95, "normal_up_to": -1.0, "pneumonia_from": -2.0},
        "reached": dict.fromkeys(("NORMAL", "PNEUMONIA"), share(reached, 50)),
        "sizes": {"empty": share(0.02), "one": share(0.9), "both": share(0.08)},
    }
    return Abstention.model_validate(
        {
            "num_images": 100,
            "risk_coverage": {"area": share(area), "by_chance": 0.1, "best": 0.01},
            "referral": None if referred is None else referral,
            "conformal": conformal,
            "useful": [{"prevalence": 0.16, "by_probability": useful, "by_decision": useful}],
        }
    )


def make_dependence(*p_values: float) -> Dependence:
    """Intervals of each method, those over blocks twice as wide; and one test of runs for each p-value."""
    found = {method: sure(0.9).with_method(method).with_n(100) for method in METHODS}
    found["blocks"] = interval(0.88, 0.9, 0.92).with_method("blocks").with_n(100)
    runs = [
        RunsTest(series=f"S{place}", num=40, num_errors=10, num_runs=8, expected=16.0, p=p / 2, p_holm=p)
        for place, p in enumerate(p_values)
    ]
    return Dependence(block_length=20, intervals={"accuracy": list(found.values())}, runs=runs)


METHODS: tuple[Method, ...] = ("images", "patients", "blocks")
POINT: dict[str, Any] = {"threshold": 0.4, "log_odds": float(logit(0.4)), "tn": 36, "fp": 4, "fn": 6, "tp": 54}


def make_decisions(figures: Mapping[str, Interval]) -> Decisions:
    """Decisions on 100 images, of which 90 are right."""
    return Decisions(**POINT, **counted(figures))


def _gaps(validation: Mapping[str, Interval], test: Mapping[str, Interval]) -> dict[str, Interval]:
    """Test minus validation, with the widest interval that the two allow: it leaves 0 out where they do not meet."""
    return {name: NONE if test[name].value is None else _subtract(test[name], validation[name]) for name in NAMES}


def _subtract(there: Any, here: Any) -> Interval:
    return interval(there.low - here.high, there.value - here.value, there.high - here.low)


NONE = Interval(value=None, low=None, high=None)


def make_stratum(name: str, by: str = "aspect", **figures: Interval) -> Stratum:
    """A stratum in which nothing stands out, but for the figures that are given."""
    plain = {"sensitivity": sure(0.9), "specificity": sure(0.9), "auc": sure(0.9)}
    counts = {"num_images": 50, "num_normal": 20, "num_pneumonia": 30, "tn": 18, "fp": 2, "fn": 3, "tp": 27}
    bounds = {"by": by, "name": name, "low": None, "high": None}
    return Stratum.model_validate({**bounds, **counts, **counted({**plain, **figures}, 50)})


def make_metadata_baseline(specificity: float = 0.4, sensitivity: float = 0.6, **changes: Any) -> MetadataBaseline:
    """Rules on four features of the file header; that on the width has these scores on test, and other `changes`."""
    scores = RuleScores(num=100, accuracy=0.7, sensitivity=sensitivity, specificity=1.0, auc=0.5)
    rule = FeatureRule(unit="pixels", threshold=300.0, direction="at most", train=scores, test=scores)
    of_width = scores.model_copy(update={"specificity": specificity})
    width = rule.model_copy(update={"test": of_width, **changes})
    others = {name: rule.model_copy(update={"unit": unit}) for name, unit in FEATURES.items()}
    return MetadataBaseline(features=others | {"width": width})


def make_metadata_metrics(
    difference: Interval | None = None, strata: Sequence[Stratum] = (), shortcut: Interval | None = None
) -> MetadataMetrics:
    """Figures of the rule on the height, beside which the network's accuracy differs by what is given."""
    at_rule = make_decisions({name: sure(0.8) for name in NAMES}).model_copy(
        update={"threshold": 300.0, "log_odds": None}
    )
    differences = {**{name: sure(0) for name in Difference.model_fields}, "accuracy": difference or sure(0)}
    area = (shortcut or sure(0.8)).with_n(20)
    within = WithinStrata(auc=area, num_strata=5, share_of_pairs=0.2)
    return MetadataMetrics(
        feature="width",
        direction="at most",
        auc=sure(0.8).with_n(100),
        pr_auc=sure(0.8).with_n(100),
        at_rule=at_rule,
        strata=list(strata),
        difference=Difference(**counted(differences)),
        shortcuts=Shortcuts(
            score_auc=sure(0.8).with_n(100),
            within_width=within,
            within_score=within,
            conflict=Conflict(
                num_normal=8, num_pneumonia=12, accuracy=area, sensitivity=area, specificity=area, auc=area
            ),
        ),
    )


def make_difference(measured: Interval, detectable: float = 0.03) -> PairedDifference:
    """A paired difference with this interval."""
    rest = {"intervals": {}, "standard_error": 0.011, "detectable": detectable, "p": 0.5}
    return PairedDifference(**dict(measured), **rest)


def make_comparison(*, changes: Mapping[str, Any] | None = None, **differences: Interval) -> Comparison:
    """A comparison of two runs on 100 images that shows no difference, but for the differences and fields given."""
    metrics: dict[MetricName, ComparedMetric] = {}
    for name in METRICS:
        change = make_difference(differences.get(name, interval(-0.02, 0.0, 0.02)).with_method("blocks"))
        metrics[name] = ComparedMetric(baseline=0.8, augmented=0.8 + change.value, difference=change)
    fields: dict[str, Any] = {
        **{"num_images": 100, "num_normal": 40, "num_pneumonia": 60, "num_groups": 80, "metrics": metrics},
        "mcnemar": {"corrected": 5, "regressed": 1, "p": 14 / 64},
        "cells": [
            {"run": run, "passes": passes, **dict.fromkeys(metrics, sure(0.8).with_n(100))}
            for run in RUNS
            for passes in PASSES
        ],
        "flips": {run: {"accuracy": make_difference(interval(-0.01, 0.01, 0.03))} for run in RUNS},
        **{"settings": [], "stopped_early": [], "study": None},
        "steps": {"baseline_steps": 20, "baseline_kept": 20, "augmented_steps": 20, "augmented_kept": 20},
    }
    return Comparison.model_validate(fields | dict(changes or {}))


def make_study(*, changes: Mapping[str, Any] | None = None, **differences: tuple[Interval, Interval]) -> Study:
    """A study of `flip` over three seeds that shows nothing, but for intervals over patients, and over both, given."""
    plain = (interval(-0.02, 0.0, 0.02), interval(-0.04, 0.0, 0.04))
    by_seed = {"by_seed": [0.7, 0.8, 0.9], "mean": 0.8, "deviation": 0.1}
    of_flip = {}
    for name in METRICS:
        patients, both = differences.get(name, plain)
        over_both = {"low": both.low, "high": both.high, "detectable": 0.06}
        spread = {"by_seed": [-0.01, 0.01, 0.03], "deviation": 0.02, "both": over_both}
        of_flip[name] = ArmDifference(**dict(make_difference(patients.with_method("patients"))), **spread)
    pairs = [{"seed": seed, "corrected": 3, "regressed": 1, "p": p} for seed, p in ((1, 0.5), (2, 0.01), (3, 0.3))]
    fields: dict[str, Any] = {
        **{"num_images": 100, "num_normal": 40, "num_pneumonia": 60, "num_groups": 80, "seeds": [1, 2, 3]},
        "steps": {"fewest": 80, "most": 80},
        "arms": {arm: dict.fromkeys(METRICS, by_seed) for arm in ("none", "flip")},
        **{"differences": {"flip": of_flip}, "mcnemar": {"flip": pairs}},
    }
    return Study.model_validate(fields | dict(changes or {}))


def make_reference(max_distance: float = 0.25) -> Reference:
    """50 NORMAL and 50 PNEUMONIA images whose measures are evenly spread over 0 to 1 and over 1 to 2."""
    steps = (np.arange(50) + 0.5) / 50
    values = pd.DataFrame({"label": [0] * 50 + [1] * 50, **{each: [*steps, *(steps + 1)] for each in MEASURES}})
    return describe_reference(values, ShiftRule(max_distance=max_distance, significance=0.07))


def make_packaged(
    path: Path,
    *,
    width: int = 32,
    height: int = 32,
    threshold: float = 0.5,
    max_ood_score: float = 1,
    calibration_bias: float = 0.0,
    precision: ScoringPrecision = "float32",
) -> Path:
    """Write a packaged network with random weights, as `kedro run --pipelines=export` does, and return its path."""
    import keras

    keras.utils.set_random_seed(5)
    pixels, split = make_pixels(40, height, width), make_split([0, 1] * 20, ["train"] * 30 + ["validation"] * 10)
    ood_detector = make_ood_detector()
    limits = make_acceptance(max_ood_score=max_ood_score)
    contract = write_contract(
        split,
        Preparation(width=width, height=height),
        make_point(threshold, bias=calibration_bias),
        measure_input_checks(pixels, split, ood_detector, limits),
        make_reference(),
    )
    model = with_precision(build_network((height, width), TINY_NETWORK), precision)
    PackagedModelDataset(filepath=str(path)).save(PackagedModel(model, contract, ood_detector))
    return path


def make_ood_detector() -> dict[str, Array]:
    """A classifier of views with random weights."""
    return read_weights(build_view_network(4))


def make_acceptance(**changes: Any) -> InputChecks:
    """Limits as in conf/base, except for what is given."""
    plain = {
        **{"max_megapixels": 200, "min_side": 32, "max_aspect": 4, "max_chroma": 10, "min_contrast": 10},
        **{"border_tolerance": 4, "min_border": 0.02, "max_age": 18, "answer_adults": False},
        **{"max_ood_score": 1, "turn_upright": False},
    }
    return InputChecks.model_validate({**plain, **changes})


def make_contract(point: OperatingPoint | None = None, width: int = 16, height: int = 16, **limits: Any) -> Contract:
    """The contract of a network trained on three images."""
    found = FittedInputChecks(
        limits=make_acceptance(**{"max_ood_score": 0.5, **limits}), refused={"train": 0.01, "validation": 0.01}
    )
    split = make_split([0, 1, 1], "train")
    return write_contract(
        split, Preparation(width=width, height=height), point or make_point(0.5), found, make_reference()
    )


def encode(pixels: Array, kind: str = "PNG", **settings: Any) -> bytes:
    """Write pixels to the bytes of an image file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **settings)
    return buffer.getvalue()


def axes_of(figure: Any) -> list[Any]:
    """The axes of a figure, untyped, because the type hints of matplotlib are incomplete."""
    return list(figure.axes)
