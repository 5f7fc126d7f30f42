"""Counts, patients, duplicates and distribution shift are those worked by hand."""

from typing import Any

import pandas as pd
import pytest

from chest_xray.images.audit import Audit, AuditSummary
from chest_xray.pipelines.data_processing.nodes import audit_images, count_classes, tabulate_headers
from chest_xray.reporting.data_figures import draw_headers
from chest_xray.reporting.style import Labels

IMAGES = pd.DataFrame(
    [
        ("train", "train", 0, "a", "none", 100, 100),
        ("train", "train", 0, "a", "none", 120, 100),
        ("train", "validation", 1, "b", "viral", 150, 100),
        ("train", "train", 1, "c", "bacterial", 140, 100),
        ("test", "test", 0, "d", "none", 160, 100),
        ("test", "test", 0, "e", "none", 110, 100),
        ("test", "test", 1, "f", "viral", 200, 100),
    ],
    columns=["split", "subset", "label", "group", "aetiology", "width", "height"],
).assign(bytes=1000, mode="L", path=[f"train/NORMAL/{name}" for name in "1234567"])
DUPLICATES = pd.DataFrame(
    [
        ("1", "2", "exact", True, True, True),
        ("1", "3", "exact", False, True, False),
        ("4", "5", "near", True, False, False),
    ],
    columns=["first", "second", "kind", "same_split", "same_label", "same_group"],
)
QUARANTINE = pd.DataFrame({"path": ["x", "y", "z"], "reason": ["empty", "junk", "empty"], "detail": ""})


@pytest.fixture(scope="module")
def audit() -> AuditSummary:
    return audit_images(IMAGES, DUPLICATES, QUARANTINE, Audit(wide_aspect=1.5))


def test_images_and_groups_are_counted_by_subset_class_and_aetiology() -> None:
    counts = count_classes(IMAGES)
    assert counts["subset"].tolist() == ["train", "train", "validation", "test", "test"]
    assert counts["images"].tolist() == [2, 1, 1, 2, 1]
    assert counts["groups"].tolist() == [1, 1, 1, 2, 1]
    assert counts["share"].tolist() == [0.6667, 0.3333, 1.0, 0.6667, 0.3333]


def test_patients_with_several_images_are_counted(audit: AuditSummary) -> None:
    assert audit.groups["train"].model_dump() == {
        "groups": 2,
        "largest": 2,
        "groups_of_several": 1,
        "images_in_groups_of_several": 2,
    }
    assert audit.groups["test"].groups_of_several == 0


def test_images_without_a_known_patient_are_counted() -> None:
    images = IMAGES.assign(group=["NORMAL/1", "NORMAL/2", *IMAGES["group"][2:]])
    found = audit_images(images, DUPLICATES, QUARANTINE, Audit(wide_aspect=1.5))
    assert found.unknown_patients.model_dump() == {"images": 2, "share": pytest.approx(2 / 7)}


def test_duplicates_are_counted_across_splits_classes_and_groups(audit: AuditSummary) -> None:
    exact = {"pairs": 2, "pictures": 1, "across_splits": 1, "across_classes": 0, "across_groups": 1}
    near = {"pairs": 1, "pictures": 1, "across_splits": 0, "across_classes": 1, "across_groups": 1}
    assert audit.duplicates.model_dump() == {"exact": exact, "near": near}


def test_modes_and_quarantine_are_counted(audit: AuditSummary) -> None:
    assert audit.modes["train/NORMAL"] == {"L": 2}
    assert audit.quarantine.model_dump() == {"files": 3, "reasons": {"empty": 2, "junk": 1}}


def test_the_shift_is_the_largest_distance_of_the_cumulative_shares(audit: AuditSummary) -> None:
    normal = audit.shift["NORMAL"]
    assert normal.width_distance == pytest.approx(0.5)  # At 100: 1/2 of train, none of test.
    assert normal.height_distance == 0
    assert (normal.wide_train, normal.wide_test) == (0, 0.5)
    assert audit.shift["PNEUMONIA"].width_distance == 1


def test_the_header_table_has_a_row_a_feature_split_and_class() -> None:
    table = tabulate_headers(IMAGES)
    assert len(table) == 16
    assert table.iloc[0].tolist() == ["width", "train", "NORMAL", 2, 100, 101, 110, 119, 120]
    aspect = table[(table["feature"] == "aspect") & (table["split"] == "test") & (table["class"] == "PNEUMONIA")]
    assert aspect["median"].tolist() == [2]


def test_the_figure_has_a_plot_a_feature_and_names_its_data() -> None:
    figure: Any = draw_headers(IMAGES, Labels("phantoms"))
    assert [axes.get_title() for axes in figure.axes] == ["width", "height", "width over height", "bytes"]
    assert len(figure.axes[0].lines) == 4
    assert figure.get_supxlabel() == "Data: phantoms"
