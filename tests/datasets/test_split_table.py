"""The user's own split can be a CSV or a Parquet file."""

from pathlib import Path

import pandas as pd
import pytest
from kedro.io import DatasetError

from chest_xray.datasets import SplitTableDataset

TABLE = pd.DataFrame({"path": ["train/NORMAL/a.jpeg"], "subset": ["validation"], "note": [1]})


def test_without_a_file_there_are_no_rows() -> None:
    table = SplitTableDataset(filepath=None).load()
    assert table.columns.tolist() == ["path", "subset"]
    assert len(table) == 0


def test_csv_and_parquet_give_the_same_rows(tmp_path: Path) -> None:
    TABLE.to_csv(tmp_path / "split.csv", index=False)
    TABLE.to_parquet(tmp_path / "split.parquet")
    for name in ("split.csv", "split.parquet"):
        table = SplitTableDataset(filepath=str(tmp_path / name)).load()
        assert table.to_dict("records") == [{"path": "train/NORMAL/a.jpeg", "subset": "validation"}]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no split table at .*split\.csv; name another"):
        SplitTableDataset(filepath=str(tmp_path / "split.csv")).load()


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    TABLE.drop(columns="subset").to_csv(tmp_path / "split.csv", index=False)
    with pytest.raises(DatasetError, match=r"has the columns path, note; expected path and subset"):
        SplitTableDataset(filepath=str(tmp_path / "split.csv")).load()


def test_the_split_table_of_the_user_is_never_overwritten() -> None:
    with pytest.raises(DatasetError, match="SplitTableDataset is read-only"):
        SplitTableDataset(filepath=None).save(TABLE)  # type: ignore[arg-type]


def test_patients_are_text_even_where_they_are_numbers(tmp_path: Path) -> None:
    (tmp_path / "patients.csv").write_text("path,patient,age\na.png,007,4\nb.png,,3\n")
    table = SplitTableDataset(filepath=str(tmp_path / "patients.csv"), column="patient").load()
    assert table.to_numpy().tolist() == [["a.png", "007"]]


def test_a_missing_table_of_patients_names_its_parameter(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no patient table at .*; name another with --params patient_table=FILE"):
        SplitTableDataset(filepath=str(tmp_path / "patients.csv"), column="patient").load()
