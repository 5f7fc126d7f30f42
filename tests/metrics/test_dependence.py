"""Dependence along the file numbers: blocks of patients, runs of errors, and many tests at once."""

import itertools

import numpy as np
import pandas as pd
import pytest

from chest_xray.images.kermany import parse_series
from chest_xray.metrics.bootstrap import (
    MIN_BLOCKS,
    NUM_RESAMPLES,
    draw_resamples,
    find_widest,
    resample_blocks,
    widest,
)
from chest_xray.metrics.dependence import correct_by_holm, count_runs, find_runs
from chest_xray.metrics.results import UNKNOWN, Method
from chest_xray.metrics.subgroups import stratify
from tests.builders import interval, make_predictions


def make_numbered(num_normal: int, num_pneumonia: int = 0) -> pd.DataFrame:
    """One image a patient, whose number is the row within the class, in a random order."""
    table = make_predictions([0] * num_normal + [1] * num_pneumonia, [0.2] * num_normal + [0.8] * num_pneumonia)
    names = [f"test/NORMAL/IM-{number:04d}-0001.jpeg" for number in range(num_normal)]
    names += [f"test/PNEUMONIA/person{number}_virus_{number}.jpeg" for number in range(num_pneumonia)]
    return table.assign(path=names, group=names).sample(frac=1, random_state=1).reset_index(drop=True)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("test/PNEUMONIA/person12_virus_34.jpeg", ("person_virus", 12)),
        ("test/PNEUMONIA/person12_bacteria_34.jpeg", ("person_bacteria", 12)),
        ("test/NORMAL/NORMAL2-IM-0012-0001-0002.jpeg", ("NORMAL2-IM", 12)),
        ("test/NORMAL/IM-0012-0001.jpeg", ("IM", 12)),
        ("test/PNEUMONIA/BACTERIA-7422-0003.jpeg", ("BACTERIA", 7422)),
        ("a/NORMAL/scan_7.png", ("scan", 7)),
        ("a/NORMAL/007.png", ("", 7)),
        ("a/NORMAL/first.png", ("first", 0)),
    ],
)
def test_a_file_name_gives_its_series_and_the_number_of_the_patient(path: str, found: tuple[str, int]) -> None:
    assert parse_series(path) == found


def test_a_block_is_a_circle_of_consecutive_patients_of_one_series() -> None:
    table = make_numbered(20, 35)
    weights = resample_blocks(table, 4, 1)
    assert weights.shape == (NUM_RESAMPLES, 55)
    numbers = table["path"].map(parse_series).str[1].to_numpy()
    for label, num in ((0, 20), (1, 35)):
        of_class = (table["label"] == label).to_numpy()
        drawn = np.zeros((NUM_RESAMPLES, num))
        drawn[:, numbers[of_class]] = weights[:, of_class]
        assert (drawn.sum(axis=1) == num).all()
        # Every block of 4 starts once: no more patients differ from the one before than there are ends of blocks.
        changes = (drawn != np.roll(drawn, 1, axis=1)).sum(axis=1)
        assert changes.max() <= 2 * -(-num // 4)
        assert drawn.mean(axis=0) == pytest.approx(np.ones(num), abs=0.15)


def test_the_images_of_a_patient_are_drawn_together_and_numbers_count_not_rows() -> None:
    table = pd.concat([make_numbered(20), make_numbered(20)], ignore_index=True)
    weights = resample_blocks(table, 4, 1)
    np.testing.assert_array_equal(weights[:, :20], weights[:, 20:])
    np.testing.assert_array_equal(weights[:, :20], resample_blocks(make_numbered(20), 4, 1))


def test_a_series_has_at_least_five_blocks_and_short_ones_have_none() -> None:
    # Blocks of 20 patients would leave one way to draw a series of 20, up to a rotation.
    assert resample_blocks(make_numbered(20), 20, 1).var() == pytest.approx(
        resample_blocks(make_numbered(20), 20 // MIN_BLOCKS, 1).var()
    )
    short = make_numbered(2 * MIN_BLOCKS - 1)
    patients = resample_blocks(short, 3, 1)
    assert patients.var() == pytest.approx(1 - 1 / len(short), abs=0.05)  # a multinomial draw of single patients
    assert (patients.sum(axis=1) == len(short)).all()


def test_blocks_come_from_the_seed() -> None:
    table = make_numbered(20)
    np.testing.assert_array_equal(resample_blocks(table, 4, 1), resample_blocks(table, 4, 1))
    assert (resample_blocks(table, 4, 1) != resample_blocks(table, 4, 2)).any()


def test_both_methods_weigh_the_sample_itself_first() -> None:
    draws = draw_resamples(make_numbered(20), 4, 1)
    assert list(draws) == ["patients", "blocks"]
    assert all((each[0] == 1).all() and len(each) == NUM_RESAMPLES + 1 for each in draws.values())


def test_the_wider_interval_is_quoted_with_its_method() -> None:
    resampled: dict[Method, np.ndarray] = {"patients": np.arange(41) / 40, "blocks": 0.5 + np.arange(41) / 80}
    found = find_widest(0.5, resampled)
    assert (found.low, found.high) == pytest.approx((0.025, 0.975))
    assert found.method == "patients"
    assert find_widest(0.5, {"patients": resampled["blocks"], "blocks": resampled["patients"]}).method == "blocks"


def test_an_open_interval_is_wider_than_any_other_and_the_first_of_equals_is_kept() -> None:
    first, second = interval(0.1, 0.2, 0.3).by("images"), interval(0.1, 0.2, 0.3).by("blocks")
    assert widest(first, second).method == "images"
    assert widest(first, UNKNOWN) == UNKNOWN


@pytest.mark.parametrize(("num", "num_errors"), [(6, 3), (7, 2), (8, 1), (9, 4)])
def test_the_p_value_of_the_runs_equals_an_enumeration_of_all_orders(num: int, num_errors: int) -> None:
    orders = [np.isin(np.arange(num), each) for each in itertools.combinations(range(num), num_errors)]
    runs = np.array([1 + (order[1:] != order[:-1]).sum() for order in orders])
    for order, found in zip(orders, map(count_runs, orders), strict=True):
        assert found["num_runs"] == 1 + sum(1 for _ in itertools.groupby(order)) - 1
        tail = min((runs <= found["num_runs"]).mean(), (runs >= found["num_runs"]).mean())
        assert found["p"] == pytest.approx(min(1, 2 * tail))
    assert np.mean(runs) == pytest.approx(count_runs(orders[0])["expected"])


@pytest.mark.parametrize("value", [True, False])
def test_a_sequence_of_one_value_shows_nothing(value: bool) -> None:
    assert count_runs(np.full(5, value)) == {
        **{"num": 5, "num_errors": 5 * value, "num_runs": 1, "expected": 1, "p": 1.0}
    }


def test_runs_are_counted_along_each_series_over_the_first_image_of_each_patient() -> None:
    table = make_numbered(12, 12)
    numbers = table["path"].map(parse_series).str[1].to_numpy()
    is_healthy = (table["label"] == 0).to_numpy()
    # Of NORMAL the first six are wrong, of PNEUMONIA every other one.
    is_wrong = np.where(is_healthy, numbers < 6, numbers % 2 == 0)
    decision = np.where(is_wrong, 1 - table["label"], table["label"]).astype(bool)
    again = pd.concat([table, table], ignore_index=True)
    again["path"] = again["path"].where(again.index < 24, again["path"].str.replace(".jpeg", "-z.jpeg"))
    for images, decided in ((table, decision), (again, np.append(decision, ~decision))):
        found = find_runs(images, decided)
        assert [(each.series, each.num, each.num_errors, each.num_runs) for each in found] == [
            ("IM", 12, 6, 2),
            ("person_virus", 12, 6, 12),
        ]
        assert [each.expected for each in found] == [7, 7]
        # 2 of the 924 orders have two runs, and 2 have twelve.
        assert [each.p for each in found] == pytest.approx([4 / 924] * 2)
        assert [each.p_holm for each in found] == pytest.approx([8 / 924] * 2)


def test_holms_correction_matches_a_textbook_example() -> None:
    assert correct_by_holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert correct_by_holm([0.4, 0.9]) == pytest.approx([0.8, 0.9])
    assert correct_by_holm([]) == []


def test_strata_of_a_series_are_blocks_of_consecutive_patients_of_one_class() -> None:
    table = make_numbered(12, 2).assign(probability=0.8)
    numbers = table["path"].map(parse_series).str[1].to_numpy()
    decision = (table["label"] == 1).to_numpy() | (numbers < 3)
    strata = stratify(table, decision, {}, 4, draw_resamples(table, 20, 1))
    found = {each.name: (each.tn, each.fp) for each in strata if each.by == "series"}
    assert found == {"IM 0-2": (0, 3), "IM 3-5": (3, 0), "IM 6-8": (3, 0), "IM 9-11": (3, 0)}
    assert all(each.auc.value is None and each.sensitivity.n == 0 for each in strata if each.by == "series")
