"""A table of predictions, computed twice: by the package, and here by loops over images, pairs and resamples."""

import re
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import pytest

from chest_xray.metrics.abstention import compute_risk_coverage, measure_abstention, trace_net_benefit
from chest_xray.metrics.binary import proportion
from chest_xray.metrics.bootstrap import draw_resamples
from chest_xray.metrics.comparison import MetricName, estimate_difference, resample_metrics, subtract
from chest_xray.metrics.subgroups import stratify
from chest_xray.metrics.summary import bootstrap_auc
from tests.builders import make_evaluation, make_point, make_predictions, with_band

NUM_RESAMPLES, LENGTH, SEED = 60, 4, 11


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chest_xray.metrics.bootstrap.NUM_RESAMPLES", NUM_RESAMPLES)


def make_table() -> pd.DataFrame:
    """Two series of either class, one of them too short for blocks, and some patients with two images."""
    rng = np.random.default_rng(5)
    names = [
        f"test/NORMAL/IM-{patient:04d}-{image:04d}.jpeg" for patient in range(24) for image in range(1 + patient % 2)
    ]
    names += [f"test/NORMAL/NORMAL2-IM-{patient:04d}-0001.jpeg" for patient in range(13)]
    names += [f"test/PNEUMONIA/person{patient}_virus_{patient}.jpeg" for patient in range(31)]
    names += [f"test/PNEUMONIA/person{patient}_bacteria_{patient}.jpeg" for patient in range(7)]
    labels = [int("PNEUMONIA" in name) for name in names]
    scores = rng.normal(0.35 + 0.3 * np.array(labels), 0.2).clip(0.01, 0.99).round(2)
    table = make_predictions(labels, scores.tolist())
    groups = [re.split(r"-\d+\.|_\d+\.", name)[0] for name in names]
    widths = rng.integers(10, 20, len(names))
    table = table.assign(path=names, group=groups, width=widths, height=10, decision=scores >= 0.5)
    return table.sample(frac=1, random_state=2).reset_index(drop=True)


def draw_naively(table: pd.DataFrame) -> list[list[int]]:
    """Rows of each resample of blocks: of each class and series in turn, blocks of patients around a circle."""
    rng = np.random.default_rng(SEED)
    resamples: list[list[int]] = [[] for _ in range(NUM_RESAMPLES)]
    for label, series in ((0, ["IM-", "NORMAL2-IM-"]), (1, ["person.*bacteria", "person.*virus"])):
        loose: list[list[int]] = []
        circles: list[tuple[list[list[int]], int]] = []
        for start in series:
            patients: dict[int, list[int]] = {}
            rows = sorted(range(len(table)), key=lambda row: table["path"][row])
            for row in rows:
                name = table["path"][row].split("/")[-1]
                if table["label"][row] == label and re.match(start, name):
                    number = int(re.findall(r"\d+", name.removeprefix("NORMAL2-"))[0])
                    patients.setdefault(number, []).append(row)
            circle = [patients[number] for number in sorted(patients)]
            if len(circle) < 10:
                loose += circle
            else:
                circles.append((circle, min(LENGTH, len(circle) // 5)))
        for circle, length in [*circles, *([(loose, 1)] if loose else [])]:
            num_blocks = -(-len(circle) // length)
            for resample, starts in zip(
                resamples, rng.integers(len(circle), size=(NUM_RESAMPLES, num_blocks)), strict=True
            ):
                drawn = [circle[(start + step) % len(circle)] for start in starts for step in range(length)]
                for rows in drawn[: len(circle)]:
                    resample += rows
    return resamples


def auc(table: pd.DataFrame, rows: Sequence[int], score: str = "log_odds") -> float:
    normal = [table[score][row] for row in rows if table["label"][row] == 0]
    pneumonia = [table[score][row] for row in rows if table["label"][row] == 1]
    won = [1.0 if high > low else 0.5 if high == low else 0.0 for high in pneumonia for low in normal]
    return sum(won) / len(won)


def accuracy(table: pd.DataFrame, rows: Sequence[int]) -> float:
    return sum(table["decision"][row] == table["label"][row] for row in rows) / len(rows)


def bounds(values: list[float]) -> tuple[float, float]:
    """The 2.5% and the 97.5% quantile, straight between the values in order."""
    ordered = sorted(values)

    def at(share: float) -> float:
        place = share * (len(ordered) - 1)
        below = int(place)
        above = min(below + 1, len(ordered) - 1)
        return ordered[below] + (place - below) * (ordered[above] - ordered[below])

    return at(0.025), at(0.975)


def test_intervals_over_blocks() -> None:
    table = make_table()
    resamples = draw_naively(table)
    assert len(resamples[0]) > 0
    draws = draw_resamples(table, LENGTH, SEED)
    counted = np.array([[rows.count(row) for row in range(len(table))] for rows in resamples])
    np.testing.assert_array_equal(draws["blocks"][1:], counted)
    found = bootstrap_auc(table, {"blocks": draws["blocks"]})
    assert found.value == pytest.approx(auc(table, range(len(table))))
    assert (found.low, found.high) == pytest.approx(bounds([auc(table, rows) for rows in resamples]))


@pytest.mark.parametrize(("name", "measure"), [("auc", auc), ("accuracy", accuracy)])
def test_paired_differences(name: MetricName, measure: Callable[[pd.DataFrame, Sequence[int]], float]) -> None:
    first = make_table()
    shifted = first["log_odds"] + np.random.default_rng(8).normal(0, 0.7, len(first))
    second = first.assign(logit=shifted, decision=shifted >= 0)
    draws = draw_resamples(first, LENGTH, SEED)
    values = [resample_metrics(table, draws)[name] for table in (first, second)]
    found = estimate_difference(subtract(values[1], values[0]))
    assert found.value == pytest.approx(measure(second, range(len(first))) - measure(first, range(len(first))))
    by_hand = [measure(second, rows) - measure(first, rows) for rows in draw_naively(first)]
    blocks = found.intervals["blocks"]
    assert (blocks.low, blocks.high) == pytest.approx(bounds(by_hand))


def test_the_auc_within_strata() -> None:
    table = make_table()
    strata = stratify(table, table["decision"].to_numpy(), {"aspect": [1.5]}, 2, draw_resamples(table, LENGTH, SEED))
    for name, rows in (
        ("< 1.50", [row for row in range(len(table)) if table["width"][row] < 15]),
        ("≥ 1.50", [row for row in range(len(table)) if table["width"][row] >= 15]),
    ):
        (found,) = [each for each in strata if each.name == name]
        assert found.auc.value == pytest.approx(auc(table, rows))
        assert found.specificity.value == pytest.approx(
            sum(not table["decision"][row] for row in rows if table["label"][row] == 0)
            / sum(table["label"][row] == 0 for row in rows)
        )
        resampled = [auc(table, [row for row in drawn if row in set(rows)]) for drawn in draw_naively(table)]
        if found.auc.method == "blocks":
            assert (found.auc.low, found.auc.high) == pytest.approx(bounds(resampled))


def share_right(table: pd.DataFrame, rows: Sequence[int], label: int) -> float:
    right = [table["decision"][row] == (label == 1) for row in rows if table["label"][row] == label]
    return sum(right) / len(right)


def list_members(table: pd.DataFrame) -> dict[tuple[str, int], list[int]]:
    """Rows of the strata of one class, by the name of the stratum and the class."""
    number = [int(re.findall(r"\d+", path.split("/")[-1])[0]) for path in table["path"]]
    first = [path.startswith("test/NORMAL/IM-") for path in table["path"]]
    halves: dict[tuple[str, int], list[int]] = {
        ("IM 0-11", 0): [row for row in range(len(table)) if first[row] and number[row] <= 11],
        ("IM 12-23", 0): [row for row in range(len(table)) if first[row] and number[row] > 11],
    }
    for label in (0, 1):
        of_class = [row for row in range(len(table)) if table["label"][row] == label]
        halves["< 1.50", label] = [row for row in of_class if table["width"][row] < 15]
        halves["≥ 1.50", label] = [row for row in of_class if table["width"][row] >= 15]
    return halves


def test_the_widest_interval_of_a_share_within_strata() -> None:
    table = make_table()
    draws = draw_resamples(table, LENGTH, SEED)
    strata = stratify(table, table["decision"].to_numpy(), {"aspect": [1.5]}, 2, draws)
    times = {"blocks": draw_naively(table)}
    times["patients"] = [np.repeat(range(len(table)), each.astype(int)).tolist() for each in draws["patients"][1:]]
    methods = set()
    for (name, label), rows in list_members(table).items():
        (stratum,) = [each for each in strata if each.name == name]
        found = stratum.sensitivity if label else stratum.specificity
        value, z = share_right(table, rows, label), 1.959964
        reach = z * (value * (1 - value) / len(rows) + z**2 / (4 * len(rows) ** 2)) ** 0.5
        expected = {
            "images": tuple((value + z**2 / (2 * len(rows)) + way) / (1 + z**2 / len(rows)) for way in (-reach, reach))
        }
        for method, resamples in times.items():
            inside = [[row for row in drawn if row in set(rows)] for drawn in resamples]
            expected[method] = bounds([share_right(table, drawn, label) for drawn in inside if drawn])
        widest = max(expected, key=lambda method: expected[method][1] - expected[method][0])
        assert (found.method, found.n) == (widest, len(rows))
        assert (found.low, found.high) == pytest.approx(expected[widest], abs=1e-6)
        methods.add(widest)
    assert methods > {"images"}


def selective_accuracy(table: pd.DataFrame, rows: Sequence[int], least: float) -> tuple[int, int]:
    """How many of the rows are answered and right, if those nearer to log odds of 0.3 than `least` are not answered."""
    label, log_odds = table["label"].tolist(), table["log_odds"].tolist()
    answered = [row for row in rows if abs(log_odds[row] - 0.3) >= least]
    return len(answered), sum((log_odds[row] >= 0.3) == (label[row] == 1) for row in answered)


def test_accuracy_by_coverage_and_the_area() -> None:
    table = make_table()
    coverage, accuracy_of = compute_risk_coverage(table, 0.3, draw_resamples(table, LENGTH, SEED)["blocks"])
    distance = [abs(value - 0.3) for value in table["log_odds"].tolist()]
    distances = sorted(set(distance), reverse=True)
    assert coverage.shape == accuracy_of.shape == (1 + NUM_RESAMPLES, len(distances))
    areas = []
    for resample, rows in enumerate([list(range(len(table))), *draw_naively(table)]):
        found = {least: selective_accuracy(table, rows, least) for least in distances}
        expected = [(num / len(rows), right / num if num else np.nan) for num, right in found.values()]
        np.testing.assert_allclose(np.stack([coverage[resample], accuracy_of[resample]], axis=1), expected)
        areas.append(sum(1 - found[distance[row]][1] / found[distance[row]][0] for row in rows) / len(rows))
    point = make_point(0.5, log_odds=0.3)
    options = make_evaluation(seed=SEED, block_length=LENGTH)
    result, curves = measure_abstention(table, table, point, options)
    area = result.risk_coverage.area
    assert area.value == pytest.approx(areas[0])
    if area.method == "blocks":
        assert (area.low, area.high) == pytest.approx(bounds(areas[1:]))
    curve = curves[curves["curve"] == "risk_coverage"]
    np.testing.assert_allclose(curve[["x", "value"]], np.stack([coverage[0], accuracy_of[0]], axis=1))
    assert (curve["low"] <= curve["high"]).all()


def test_the_referral_band_and_conformal_sets() -> None:
    table, width = make_table(), 0.5
    point = with_band(make_point(0.5, log_odds=0.3), width)
    options = make_evaluation(seed=SEED, block_length=LENGTH, conformal_coverage=0.8)
    found, _ = measure_abstention(table[::2], table, point, options)
    rows = range(len(table))
    num, right = selective_accuracy(table, rows, width)
    referral, conformal = found.referral, found.conformal
    assert referral is not None
    assert referral.answered is not None
    assert referral.referred.value == pytest.approx(1 - num / len(table))
    assert referral.answered.accuracy.value == pytest.approx(right / num)
    errors = len(table) - selective_accuracy(table, rows, 0)[1]
    assert referral.errors_referred.value == pytest.approx(1 - (num - right) / errors)
    assert referral.errors_referred.n == errors
    sizes = [0, 0, 0]
    inside = {0: [0, 0], 1: [0, 0]}
    scores, labels = table["log_odds"].tolist(), table["label"].tolist()
    for row in rows:
        score, chosen = scores[row], []
        for label, sign in ((0, 1), (1, -1)):
            peers = [sign * scores[each] for each in rows[::2] if labels[each] == label]
            # the share of images of this class that are at least as strange, the new one among them
            p = (1 + sum(peer >= sign * score for peer in peers)) / (len(peers) + 1)
            chosen += [label] if p > 0.2 + 1e-12 else []
        sizes[len(chosen)] += 1
        inside[labels[row]][0] += labels[row] in chosen
        inside[labels[row]][1] += 1
    assert [each.value for each in conformal.sizes.values()] == pytest.approx([each / len(table) for each in sizes])
    assert [each.value for each in conformal.reached.values()] == pytest.approx(
        [part / whole for part, whole in inside.values()]
    )


def test_net_benefit() -> None:
    table = make_table()
    draws = {"blocks": draw_resamples(table, LENGTH, SEED)["blocks"]}
    point = make_point(0.5, log_odds=0.3, expected_prevalence=0.5)
    curves = trace_net_benefit(table, point, make_evaluation(decision_prevalences=(0.25,)), draws)  # type: ignore[arg-type]

    label, log_odds = table["label"].tolist(), table["log_odds"].tolist()

    def is_treated(row: int, choice: float, *, by_probability: bool) -> bool:
        odds = float(np.exp(log_odds[row])) / 3  # at a prevalence of 1 in 4 instead of 1 in 2
        return bool(odds / (1 + odds) >= choice if by_probability else log_odds[row] >= 0.3)

    def benefit(rows: Sequence[int], choice: float, *, by_probability: bool) -> float:
        gained, num_sick = 0.0, sum(label[row] for row in rows)
        for row in rows:
            if not is_treated(row, choice, by_probability=by_probability):
                continue
            if label[row] == 1:
                gained += 0.25 / num_sick
            else:
                gained -= 0.75 / (len(rows) - num_sick) * choice / (1 - choice)
        return gained

    def combine(choice: float, *, by_probability: bool) -> tuple[float, float]:
        """Zou and Donner 2008: the distances of the bounds from the value add up as if they were legs of a triangle."""
        sides = {"low": 0.0, "high": 0.0}
        for each, worth in ((1, 0.25), (0, -0.75 * choice / (1 - choice))):
            rows = [row for row in range(len(table)) if label[row] == each]
            treated = sum(is_treated(row, choice, by_probability=by_probability) for row in rows)
            share = proportion(treated, len(rows))
            assert None not in (share.value, share.low, share.high)
            for side, bound in (("low", share.low), ("high", share.high)):
                into = side if worth > 0 else {"low": "high", "high": "low"}[side]
                sides[into] += (worth * ((bound or 0) - share.finite_value)) ** 2
        value = benefit(range(len(table)), choice, by_probability=by_probability)
        return value - sides["low"] ** 0.5, value + sides["high"] ** 0.5

    resamples = draw_naively(table)
    for row in curves[curves["x"].round(2).isin([0.1, 0.25, 0.6])].to_dict("records"):
        by_probability = row["curve"] == "by_probability"
        assert row["value"] == pytest.approx(benefit(range(len(table)), row["x"], by_probability=by_probability))
        found = [benefit(rows, row["x"], by_probability=by_probability) for rows in resamples]
        low, high = combine(row["x"], by_probability=by_probability)
        expected = min(low, bounds(found)[0]), max(high, bounds(found)[1])
        assert (row["low"], row["high"]) == pytest.approx(expected)
