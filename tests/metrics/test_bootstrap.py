"""Intervals over patients, who are drawn whole, and over blocks of patients; runs of errors."""

import itertools

import numpy as np
import pandas as pd
import pytest

from chest_xray.images.kermany import parse_series
from chest_xray.metrics.binary import weighted_auc
from chest_xray.metrics.bootstrap import (
    MIN_BLOCKS,
    NUM_RESAMPLES,
    correct_by_holm,
    count_runs,
    draw_patient_resamples,
    draw_resamples,
    find_runs,
    find_widest,
    interval,
    resample_blocks,
    resample_weights,
    widest,
)
from chest_xray.metrics.results import UNKNOWN, Interval, Method
from chest_xray.metrics.subgroups import stratify
from chest_xray.metrics.summary import bootstrap_auc
from tests.builders import make_predictions

LABELS = [0, 0, 0, 0, 1, 1, 1, 1]
PROBABILITIES = [0.1, 0.3, 0.35, 0.8, 0.2, 0.6, 0.7, 0.9]


def auc_over_patients(table: pd.DataFrame, seed: int = 1) -> Interval:
    found = bootstrap_auc(table, {"patients": draw_patient_resamples(table["group"].to_numpy(), seed)})
    assert found.n == len(table)
    return Interval(**found.model_dump(exclude={"n"}))


def test_the_auc_does_not_depend_on_the_order_of_images_nor_on_a_monotone_change_of_scores() -> None:
    plain = dict(auc_over_patients(make_predictions(LABELS, PROBABILITIES)))
    assert dict(auc_over_patients(make_predictions(LABELS, PROBABILITIES).iloc[::-1])) == pytest.approx(plain)
    assert dict(auc_over_patients(make_predictions(LABELS, [p**3 / 2 for p in PROBABILITIES]))) == pytest.approx(plain)


def test_every_resample_draws_as_many_patients_as_there_are_and_each_whole() -> None:
    groups = np.array(["b", "a", "b", "c", "b"])
    weights = resample_weights(groups, 1)
    assert weights.shape == (NUM_RESAMPLES, 5)
    np.testing.assert_array_equal(weights[:, 0], weights[:, 2])
    np.testing.assert_array_equal(weights[:, 0], weights[:, 4])
    np.testing.assert_array_equal(weights[:, [0, 1, 3]].sum(axis=1), 3)
    assert weights[:, 1].mean() == pytest.approx(1, abs=0.05)


def test_resamples_come_from_the_seed() -> None:
    groups = np.arange(6)
    np.testing.assert_array_equal(resample_weights(groups, 1), resample_weights(groups, 1))
    assert (resample_weights(groups, 1) != resample_weights(groups, 2)).any()


def test_the_interval_of_an_auc_uses_every_resample_but_not_the_original_sample(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("chest_xray.metrics.bootstrap.NUM_RESAMPLES", 3)
    table = make_predictions(LABELS, PROBABILITIES)
    areas = weighted_auc(np.array(LABELS), np.array(PROBABILITIES), resample_weights(table["group"].to_numpy(), 1))
    assert len(set(areas)) == 3
    # Pairs: 0.2: 1, 0.6 and 0.7: 3, 0.9: 4 of 4.
    assert auc_over_patients(table) == interval(11 / 16, areas).with_method("patients")


def test_more_images_of_the_same_patients_do_not_narrow_the_interval() -> None:
    rng = np.random.default_rng(0)
    labels = [0, 1] * 20
    probabilities = rng.normal(np.array(labels) * 0.2 + 0.4, 0.2).clip(0, 1).tolist()
    patients = [f"patient {number:02d}" for number in range(40)]
    once = dict(auc_over_patients(make_predictions(labels, probabilities, patients)))
    fourfold = dict(auc_over_patients(make_predictions(labels * 4, probabilities * 4, patients * 4)))
    assert fourfold == pytest.approx(once)
    # Counted as patients of their own, the same images would seem four times as much evidence: half the width.
    naive = dict(auc_over_patients(make_predictions(labels * 4, probabilities * 4, [str(n) for n in range(160)])))
    assert naive["value"] == pytest.approx(once["value"])
    ratio = (naive["high"] - naive["low"]) / (once["high"] - once["low"])
    assert ratio == pytest.approx(0.5, abs=0.1)


def test_an_interval_leaves_out_a_fortieth_on_either_side() -> None:
    resampled = np.arange(41) / 40  # 2.5% and 97.5% are the second and the last but one
    found = interval(0.5, resampled).model_dump()
    assert found == {"value": 0.5, "low": pytest.approx(0.025), "high": pytest.approx(0.975), "method": None}


def test_a_resample_without_a_value_does_not_count() -> None:
    resampled = np.append(np.arange(41) / 40, np.nan)
    assert interval(0.5, resampled).low == pytest.approx(0.025)


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
    first, second = (Interval(value=0.2, low=0.1, high=0.3).with_method(each) for each in ("images", "blocks"))
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


def test_runs_are_counted_in_series_of_ten_patients_and_more() -> None:
    found = find_runs(make_numbered(2 * MIN_BLOCKS, 2 * MIN_BLOCKS - 1), np.arange(4 * MIN_BLOCKS - 1) % 2 == 0)
    assert [each.series for each in found] == ["IM"]


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
