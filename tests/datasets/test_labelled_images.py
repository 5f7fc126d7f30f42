"""Labels are read from folders in any usual spelling, or from a table."""

import logging
from pathlib import Path

import pandas as pd
import pytest
from kedro.io import DatasetError

from chest_xray.datasets import LabelledImagesDataset
from chest_xray.datasets.labelled_images import read_label


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"picture")


@pytest.mark.parametrize(
    ("text", "label"),
    [
        *(
            (each, 0)
            for each in ("NORMAL", "normal", "Normals", "healthy", "No Finding", "no-pneumonia", "0", "negative")
        ),
        *((each, 1) for each in ("PNEUMONIA", "Pneumonia", "Bacterial Pneumonia", "viral_pneumonia", "bacteria", "1")),
        *((each, None) for each in ("tuberculosis", "images", "abnormal", "pneumothorax", "", "10", "covid")),
    ],
)
def test_usual_spellings_are_known_and_others_are_not(text: str, label: int | None) -> None:
    assert read_label(text) == label


def test_the_nearest_class_folder_gives_the_label_and_the_name_gives_the_patient(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "normal/site"  # Folders above the root do not count.
    touch(
        root / "Healthy/IM-0001-0001.jpeg", root / "healthy/2.png", root / "pneumonia/bacterial/person1_bacteria_1.jpeg"
    )
    touch(root / "pneumonia/bacterial/person1_bacteria_2.jpeg", root / "readme.txt", root / "healthy/Thumbs.db")
    with caplog.at_level(logging.WARNING):
        files = LabelledImagesDataset(path=str(root)).load()
    assert dict(zip(files["name"].str.removeprefix(f"{root}/"), files["label"].fillna(9), strict=True)) == {
        "Healthy/IM-0001-0001.jpeg": 0,
        "healthy/2.png": 0,
        "pneumonia/bacterial/person1_bacteria_1.jpeg": 1,
        "pneumonia/bacterial/person1_bacteria_2.jpeg": 1,
        "readme.txt": 9,
    }
    assert files["group"].nunique() == 4
    assert "1 of 5 files have no known label" in caplog.text


def test_a_table_names_files_from_its_folder_with_labels_and_patients(tmp_path: Path) -> None:
    touch(tmp_path / "set/a.png", tmp_path / "b.png")
    rows = {"path": ["a.png", str(tmp_path / "b.png"), "none.png"], "label": ["1", "Normal", "healthy"]}
    pd.DataFrame({**rows, "patient": ["007", None, "8"]}).to_csv(tmp_path / "set/table.csv", index=False)
    files = LabelledImagesDataset(path=str(tmp_path / "set/table.csv")).load()
    assert files["label"].tolist() == [1, 0, 0]
    assert files["group"].tolist() == ["007", str(tmp_path / "b.png"), "8"]
    assert files["problem"].tolist() == ["", "", "no such file"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no labelled images are named"),
        ("none.csv", "no table at .*none.csv"),
        ("empty", r"none of 1 files at .*empty has a label\. Expected folders named NORMAL"),
        ("odd.csv", "has the columns file, label; expected path and label"),
    ],
)
def test_what_cannot_be_read_is_refused_with_what_was_expected(
    content: str | None, message: str, tmp_path: Path
) -> None:
    touch(tmp_path / "empty/a.png")
    pd.DataFrame({"file": ["a"], "label": [1]}).to_csv(tmp_path / "odd.csv", index=False)
    with pytest.raises(DatasetError, match=message):
        LabelledImagesDataset(path=content and str(tmp_path / content)).load()
