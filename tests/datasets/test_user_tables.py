"""The tables of a user, of the split and of patients, can be CSV or Parquet files."""

from pathlib import Path

import pandas as pd
import pytest
from kedro.io import DatasetError

from chest_xray.datasets import UserTablesDataset

TABLE = pd.DataFrame({"path": ["train/NORMAL/a.jpeg"], "subset": ["validation"], "note": [1]})


def test_without_a_file_there_are_no_rows() -> None:
    table = UserTablesDataset().load()["split"]
    assert table.columns.tolist() == ["path", "subset"]
    assert len(table) == 0


def test_csv_and_parquet_give_the_same_rows(tmp_path: Path) -> None:
    TABLE.to_csv(tmp_path / "split.csv", index=False)
    TABLE.to_parquet(tmp_path / "split.parquet")
    for name in ("split.csv", "split.parquet"):
        table = UserTablesDataset(split={"path": str(tmp_path / name)}).load()["split"]
        assert table.to_dict("records") == [{"path": "train/NORMAL/a.jpeg", "subset": "validation"}]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no split table at .*split\.csv; name another"):
        UserTablesDataset(split={"path": str(tmp_path / "split.csv")}).load()["split"]


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    TABLE.drop(columns="subset").to_csv(tmp_path / "split.csv", index=False)
    with pytest.raises(DatasetError, match=r"has the columns path, note; expected path and subset"):
        UserTablesDataset(split={"path": str(tmp_path / "split.csv")}).load()["split"]


def test_the_tables_of_the_user_are_never_overwritten() -> None:
    with pytest.raises(DatasetError, match="UserTablesDataset is read-only"):
        UserTablesDataset().save(TABLE)  # type: ignore[arg-type]


def test_patients_are_text_even_where_they_are_numbers(tmp_path: Path) -> None:
    (tmp_path / "patients.csv").write_text("path,patient,age\na.png,007,4\nb.png,,3\n")
    table = UserTablesDataset(patients={"path": str(tmp_path / "patients.csv")}).load()["patients"]
    assert table.to_numpy().tolist() == [["a.png", "007"]]


def test_a_missing_table_of_patients_names_its_parameter(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no patient table at .*; name another with --params patient_table=FILE"):
        UserTablesDataset(patients={"path": str(tmp_path / "patients.csv")}).load()["patients"]
