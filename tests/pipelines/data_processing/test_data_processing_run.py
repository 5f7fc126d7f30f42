"""The whole pipeline on phantoms: what it leaves behind, and that a second run decodes nothing."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

PROJECT = Path(__file__).parents[3]


def run(conf: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "kedro",
        "run",
        f"--conf-source={conf}",
        "--env=test",
        "--pipelines=data_processing",
    ]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT / "src")}
    return subprocess.run(
        [*command, *arguments], cwd=PROJECT, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def conf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's configuration, with a data folder of its own, after one run."""
    root = tmp_path_factory.mktemp("project")
    shutil.copytree(PROJECT / "conf", root / "conf")
    (root / "conf/test/globals.yml").write_text(f"data_dir: {root / 'data'}\n", "utf-8")
    first = run(root / "conf")
    assert first.returncode == 0, first.stderr
    return root / "conf"


def test_index_split_and_pixels_belong_together(conf: Path) -> None:
    data = conf.parent / "data"
    split = pd.read_parquet(data / "03_primary/image_split.parquet")
    folder = data / "03_primary/prepared_images"
    pixels = np.load(folder / (folder / "current").read_text() / "array.npy")
    assert pixels.shape == (len(split), 32, 32) == (110, 32, 32)
    assert set(split["subset"]) == {"train", "validation", "test"}
    names = ["path", "bytes", "modified", "split", "label", "group", "aetiology", "width", "height", "mode", "subset"]
    assert split.columns.tolist() == names


def test_the_header_rule_is_kept_for_later_reports(conf: Path) -> None:
    rules = json.loads((conf.parent / "data/08_reporting/header_rule.json").read_text())
    assert list(rules) == ["width", "height", "aspect", "bytes"]
    for rule in rules.values():
        assert {"threshold", "direction", "test"} <= set(rule)
        assert list(rule["test"]) == ["num", "accuracy", "sensitivity", "specificity", "auc"]
        assert rule["test"]["num"] == 26


def test_a_second_run_computes_nothing_and_leaves_the_same_split(conf: Path) -> None:
    before = (conf.parent / "data/03_primary/image_split.parquet").read_bytes()
    second = run(conf)
    assert "Preparing: nothing has changed, 110 rows stand as they are" in second.stderr
    assert "Hashing: nothing has changed, 110 rows stand as they are" in second.stderr
    assert (conf.parent / "data/03_primary/image_split.parquet").read_bytes() == before


def test_a_split_table_of_the_user_is_followed(conf: Path) -> None:
    own = pd.read_parquet(conf.parent / "data/03_primary/image_split.parquet")
    own["subset"] = own["subset"].replace("validation", "train").where(own["group"] != "IM-0003", "validation")
    own[["path", "subset"]].to_csv(conf.parent / "split.csv", index=False)
    followed = run(conf, "--params", f"split_table={conf.parent / 'split.csv'}")
    assert followed.returncode == 0, followed.stderr
    split = pd.read_parquet(conf.parent / "data/03_primary/image_split.parquet")
    assert split.loc[split["subset"] == "validation", "group"].unique().tolist() == ["IM-0003"]


def test_a_wrong_parameter_stops_before_the_first_node(conf: Path) -> None:
    stopped = run(conf, "--params", "hold_out.share=0.9")
    assert stopped.returncode != 0
    assert "share: received 0.9, but Input should be less than or equal to 0.5" in stopped.stderr
