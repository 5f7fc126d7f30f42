"""The whole pipeline on phantoms: what it leaves behind, and that a second run decodes nothing."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.conftest import run_kedro

pytestmark = pytest.mark.xdist_group("whole_runs")


def run(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run_kedro(project, "run", "--env=test", "--pipelines=data_processing", *arguments)


def test_index_split_and_pixels_belong_together(prepared_project: Path) -> None:
    data = prepared_project / "data/test"
    split = pd.read_parquet(data / "03_primary/image_split.parquet")
    folder = data / "03_primary/prepared_images"
    pixels = np.load(folder / (folder / "current").read_text() / "array.npy")
    assert pixels.shape == (len(split), 32, 32) == (110, 32, 32)
    assert set(split["subset"]) == {"train", "validation", "test"}
    names = ["path", "bytes", "modified", "split", "label", "group", "aetiology", "width", "height", "mode", "subset"]
    assert split.columns.tolist() == names


def test_the_header_rule_is_kept_for_later_reports(prepared_project: Path) -> None:
    rules = json.loads((prepared_project / "data/test/08_reporting/header_rule.json").read_text())
    assert list(rules) == ["width", "height", "aspect", "bytes"]
    for rule in rules.values():
        assert {"threshold", "direction", "test"} <= set(rule)
        assert list(rule["test"]) == ["num", "accuracy", "sensitivity", "specificity", "auc"]
        assert rule["test"]["num"] == 26


def test_a_second_run_computes_nothing_and_leaves_the_same_split(prepared_project: Path) -> None:
    before = (prepared_project / "data/test/03_primary/image_split.parquet").read_bytes()
    second = run(prepared_project)
    assert "Preparing: nothing has changed, 110 rows stand as they are" in second.stderr
    assert "Hashing: nothing has changed, 110 rows stand as they are" in second.stderr
    assert (prepared_project / "data/test/03_primary/image_split.parquet").read_bytes() == before


def test_a_split_table_of_the_user_is_followed(prepared_project: Path, project: Path) -> None:
    shutil.copytree(prepared_project / "data", project / "data")
    own = pd.read_parquet(project / "data/test/03_primary/image_split.parquet")
    own["path"] = own["path"].str.replace(str(prepared_project), str(project))
    own["subset"] = own["subset"].replace("validation", "train").where(own["group"] != "IM-0003", "validation")
    own[["path", "subset"]].to_csv(project / "split.csv", index=False)
    followed = run(project, "--params=split_table=split.csv")
    assert followed.returncode == 0, followed.stderr
    split = pd.read_parquet(project / "data/test/03_primary/image_split.parquet")
    assert split.loc[split["subset"] == "validation", "group"].unique().tolist() == ["IM-0003"]
