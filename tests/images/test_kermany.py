"""Patient and aetiology are parsed from names, patterns and tables."""

from pathlib import Path

import pandas as pd
import pytest

from chest_xray.core.types import InputError
from chest_xray.images.decoding import read_pixels
from chest_xray.images.kermany import (
    PUBLISHED,
    Patients,
    Published,
    compare_with_published,
    look_up_patients,
    parse_name,
)


@pytest.mark.parametrize(
    ("path", "group", "aetiology"),
    [
        ("train/PNEUMONIA/person12_virus_46.jpeg", "person12_virus", "viral"),
        ("train/PNEUMONIA/person12_bacteria_46.jpeg", "person12_bacteria", "bacterial"),
        ("train/PNEUMONIA/person1_virus_7_2.jpeg", "person1_virus", "viral"),
        ("train/NORMAL/IM-0115-0001.jpeg", "IM-0115", "none"),
        ("train/NORMAL/NORMAL2-IM-0115-0001-0002.jpeg", "NORMAL2-IM-0115", "none"),
        ("train/Normal/снимок 1.jpeg", "Normal/снимок 1.jpeg", "none"),
        ("train/PNEUMONIA/scan.jpeg", "PNEUMONIA/scan.jpeg", "unknown"),
        ("train/PNEUMONIA/BACTERIA-7422-0001.jpeg", "BACTERIA-7422", "bacterial"),
        ("train/PNEUMONIA/VIRUS-7422-0002.jpeg", "VIRUS-7422", "viral"),
        ("test/NORMAL/NORMAL-28501-0001.jpeg", "NORMAL-28501", "none"),
        ("test/NORMAL/NORMAL-28501.jpeg", "NORMAL/NORMAL-28501.jpeg", "none"),
    ],
)
def test_patient_and_aetiology_are_parsed_from_the_name(path: str, group: str, aetiology: str) -> None:
    assert parse_name(path) == (group, aetiology)


@pytest.mark.parametrize(
    ("pattern", "path", "group", "aetiology"),
    [
        (r"/(?P<patient>P\d+)_", "train/PNEUMONIA/P07_2.png", "P07", "unknown"),
        (
            r"/(?P<patient>P\d+)_(?P<aetiology>[a-z]+)",
            "train/PNEUMONIA/P07_Viral_2.png",
            "PNEUMONIA/P07_Viral_2.png",
            "unknown",
        ),
        (r"(?i)/(?P<patient>P\d+)_(?P<aetiology>[a-z]+)", "train/PNEUMONIA/P07_Viral_2.png", "P07", "viral"),
        (r"/(?P<patient>P\d+)_(?P<aetiology>[a-z]+)", "train/PNEUMONIA/P07_bacterial.png", "P07", "bacterial"),
        (r"/(?P<patient>P\d+)", "train/PNEUMONIA/person1_virus_1.jpeg", "PNEUMONIA/person1_virus_1.jpeg", "unknown"),
        (r"/(?P<patient>P?)", "train/NORMAL/a.png", "NORMAL/a.png", "none"),
    ],
)
def test_a_pattern_finds_patients_of_another_naming(pattern: str, path: str, group: str, aetiology: str) -> None:
    assert parse_name(path, Patients(pattern=pattern)) == (group, aetiology)


@pytest.mark.parametrize(
    ("pattern", "message"), [("(", "is no regular expression"), (r"P\d+", "has no group `patient`")]
)
def test_a_pattern_that_cannot_serve_is_refused(pattern: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Patients.model_validate({"pattern": pattern})


PATHS = pd.Series(["/a/train/NORMAL/1.png", "/a/train/NORMAL/2.png", "/a/test/NORMAL/1.png"])


def test_a_table_names_patients_wherever_the_data_are() -> None:
    table = pd.DataFrame({"path": ["/b/train/NORMAL/1.png", "test/NORMAL/1.png"], "patient": ["007", "8"]})
    assert look_up_patients(PATHS, table).fillna("unknown").tolist() == ["007", "unknown", "8"]


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (["train/NORMAL/1.png", "train/NORMAL/1.png"], "1 images several patients; first: train/NORMAL/1.png"),
        (["x.png", "y.png"], "no row for any of the 3 images"),
    ],
)
def test_a_table_that_cannot_serve_is_refused(paths: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        look_up_patients(PATHS, pd.DataFrame({"path": paths, "patient": ["7", "8"]}))


def test_a_damaged_file_is_an_input_error_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "a.jpeg").write_bytes(b"\xff\xd8\xff no jpeg")
    with pytest.raises(InputError, match=r"cannot decode .*a\.jpeg: .* Replace the file or remove it"):
        read_pixels(str(tmp_path / "a.jpeg"), 16, 16)


def list_published(scale: float, factor: int) -> pd.DataFrame:
    rows = [(f"/data/{name}", round(width * scale), size * factor) for name, (width, size) in PUBLISHED.items()]
    return pd.DataFrame([*rows, ("/data/train/NORMAL/other.jpeg", 7, 7)], columns=["path", "width", "bytes"])


def test_files_are_as_published_where_every_known_one_has_its_number_of_bytes() -> None:
    table = list_published(1, 1)
    assert compare_with_published(table) == Published(as_published=True, scale=1.0)
    table["bytes"] = [table["bytes"].iloc[0] + 1, *table["bytes"].iloc[1:]]
    assert compare_with_published(table) == Published(as_published=False, scale=1.0)


def test_a_reduced_copy_is_recognised_with_its_scale() -> None:
    found = compare_with_published(list_published(0.25, 2))
    assert not found.as_published
    assert found.scale == pytest.approx(0.25, rel=0.01)


def test_of_other_files_nothing_is_known() -> None:
    table = list_published(1, 1).tail(1)
    assert compare_with_published(table) == Published(as_published=False, scale=None)
