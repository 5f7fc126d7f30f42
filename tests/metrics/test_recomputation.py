"""A table of predictions, computed twice: by the package, and here by loops over images, pairs and resamples."""

import re
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import pytest

from chest_xray.metrics.bootstrap import bootstrap_auc, draw_resamples
from chest_xray.metrics.comparison import estimate_difference, resample_metrics, subtract
from chest_xray.metrics.subgroups import stratify
from tests.builders import make_predictions

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
def test_paired_differences(name: str, measure: Callable[[pd.DataFrame, Sequence[int]], float]) -> None:
    first = make_table()
    shifted = first["log_odds"] + np.random.default_rng(8).normal(0, 0.7, len(first))
    second = first.assign(logit=shifted, decision=shifted >= 0)
    draws = draw_resamples(first, LENGTH, SEED)
    values = [resample_metrics(table, draws)[name] for table in (first, second)]
    found = estimate_difference(subtract(values[1], values[0]))
    assert found["value"] == pytest.approx(measure(second, range(len(first))) - measure(first, range(len(first))))
    by_hand = [measure(second, rows) - measure(first, rows) for rows in draw_naively(first)]
    blocks = found["intervals"]["blocks"]
    assert (blocks["low"], blocks["high"]) == pytest.approx(bounds(by_hand))


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
