"""Every file gets one row, in order; a killed run resumes, and a cluster returns the same rows."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from chest_xray.core.files import Shard, ShardOrder
from chest_xray.core.types import InputError
from chest_xray.datasets import FinishedShardsDataset, NewImagesDataset, ShardedTableDataset
from chest_xray.models.batch import score_shard
from chest_xray.pipelines.deployment.nodes import Scoring, predict_images
from tests import commands
from tests.builders import encode, make_packaged, make_pixels
from tests.dicom_files import make_dataset, write

COLUMNS = [
    *("path", "probability", "decision", "refer", "model", "threshold", "expected_prevalence", "intended_use"),
    *("ood_score", "brightness", "grey_deviation", "sharpness", "width", "height", "reason", "detail", "warnings"),
]


@pytest.fixture(scope="module")
def packaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_packaged(tmp_path_factory.mktemp("model") / "packaged.keras")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Create twelve radiographs, one of them DICOM, and other files that are common in folders."""
    folder = tmp_path_factory.mktemp("images")
    for number, pixels in enumerate(make_pixels(11, 80, 60)):
        (folder / f"{number:02d}.jpeg").write_bytes(encode(pixels, "JPEG"))
    (folder / "12").write_bytes(write(make_dataset(make_pixels(1, 80, 60)[0])))
    (folder / "13.png").write_bytes(b"no image")
    (folder / "14.png").symlink_to(folder / "none")
    (folder / os.fsdecode(b"15\xff.png")).write_bytes(b"")
    return folder


def list_images(folder: Path) -> Any:
    limits: dict[str, float] = {"max_gigabytes": 1, "max_files": 9, "max_ratio": 9}
    return NewImagesDataset(path=str(folder), unpacked={"path": str(folder / "unpacked")}, limits=limits).load()


def predict(images: Path, packaged: Path, output: Path, **changes: Any) -> pd.DataFrame:
    scoring = Scoring.model_validate({"shard": 4, "max_megabytes": 100, "engine": "local", **changes})
    store = ShardedTableDataset(filepath=str(output), retry={"column": "reason", "value": "unreadable"})
    finished = FinishedShardsDataset(filepath=str(output)).load()
    for each in predict_images(list_images(images), packaged.read_bytes(), scoring, finished):
        store.save(each)
    return store.load()


def list_keys(files: Any, packaged: bytes, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys of the shards, none of which is scored."""
    with monkeypatch.context() as patch:
        patch.setattr("chest_xray.pipelines.deployment.nodes.score_locally", lambda *_: iter(()))
        scoring = Scoring(shard=4, max_megabytes=100, engine="local")
        (order,) = predict_images(files, packaged, scoring, frozenset())
    assert isinstance(order, ShardOrder)
    return order.keys


def test_every_file_has_a_row_with_a_prediction_or_a_reason(images: Path, packaged: Path, tmp_path: Path) -> None:
    table = predict(images, packaged, tmp_path)
    assert table.columns.tolist() == COLUMNS
    assert [path.rsplit("/", 1)[1] for path in table["path"]][11:] == ["12", "13.png", "14.png", "15\\udcff.png"]
    assert table["reason"].fillna("").tolist() == [""] * 12 + ["not_an_image", "unreadable", "empty"]
    assert table["probability"].notna().tolist() == [True] * 12 + [False] * 3
    assert set(table["decision"].dropna()) <= {"NORMAL", "PNEUMONIA"}
    assert table["model"].nunique() == 1
    assert pd.read_csv(tmp_path / "all.csv", dtype={"model": str})["detail"].notna().sum() == 3


def test_pipes_devices_and_files_above_the_limit_are_refused_unread(packaged: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    os.mkfifo(tmp_path / "in/pipe.png")
    (tmp_path / "in/to_pipe.png").symlink_to("pipe.png")
    (tmp_path / "in/to_zero.png").symlink_to("/dev/zero")
    with (tmp_path / "in/vast.png").open("wb") as file:
        file.truncate(2_000_000)
    table = predict(tmp_path / "in", packaged, tmp_path / "out", max_megabytes=1)
    assert table["reason"].tolist() == ["unreadable"] * 3 + ["too_large"]
    assert table["detail"].str.contains("regular").tolist() == [True] * 3 + [False]
    assert table["detail"].iloc[3] == "2 MB; files of at most 1 MB are opened"


@pytest.mark.parametrize("shard", [1, 7, 100])
def test_the_shard_size_does_not_change_the_rows(images: Path, packaged: Path, tmp_path: Path, shard: int) -> None:
    pd.testing.assert_frame_equal(
        predict(images, packaged, tmp_path / "a", shard=shard), predict(images, packaged, tmp_path / "b"), rtol=1e-5
    )


def test_a_changed_file_or_another_network_is_predicted_again(
    images: Path, packaged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, network = list_images(images), packaged.read_bytes()
    before = list_keys(files, network, monkeypatch)
    assert list_keys(files, network, monkeypatch) == before
    other = list_keys(files, b"another", monkeypatch)
    assert [a != b for a, b in zip(other, before, strict=True)] == [True] * 4
    files[5] = files[5]._replace(size=1)
    again = list_keys(files, network, monkeypatch)
    assert [a != b for a, b in zip(again, before, strict=True)] == [False, True, False, False]


@pytest.mark.parametrize("engine", ["dask", "remote"])
def test_an_unknown_engine_stops_the_run(engine: str) -> None:
    with pytest.raises(InputError, match=f"engine: received '{engine}', but String should match pattern"):
        Scoring.model_validate({"shard": 4, "max_megabytes": 100, "engine": engine})


SLOW_RUN = """
import sys, time
from pathlib import Path
from chest_xray.models import batch
from tests.pipelines.deployment.test_prediction import predict
score = batch.score_shard
def slowly(*given):
    table = score(*given)
    print(len(given[0]), flush=True)
    time.sleep(1)
    return table
batch.score_shard = slowly
predict(*map(Path, sys.argv[1:]))
"""


@pytest.mark.slow
def test_a_killed_run_resumes_with_the_unfinished_shards(
    images: Path, packaged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [sys.executable, "-c", SLOW_RUN, str(images), str(packaged), str(tmp_path / "killed")]
    path = {**os.environ, "PYTHONPATH": "src:."}
    with commands.start(command, stdout=subprocess.PIPE, env=path) as run:
        assert run.stdout is not None
        for _ in range(2):
            run.stdout.readline()  # The second shard is scored, the first is on disk.
        time.sleep(0.1)
        os.kill(run.pid, signal.SIGKILL)
    done = len(list((tmp_path / "killed/shards").glob("*.parquet")))
    assert 1 <= done < 4
    scored = []

    def count(files: Any, *others: Any) -> Any:
        scored.append(files)
        return score_shard(files, *others)

    monkeypatch.setattr("chest_xray.models.batch.score_shard", count)
    table = predict(images, packaged, tmp_path / "killed")
    assert len(scored) == 4 - done
    pd.testing.assert_frame_equal(table, predict(images, packaged, tmp_path / "undisturbed"))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Of the cluster, about a worker that it lost.
def test_a_cluster_that_loses_a_worker_returns_the_same_rows(
    images: Path, packaged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dask
    from distributed import LocalCluster

    # Else every worker would import TensorFlow for itself.
    multiprocessing.set_forkserver_preload(["distributed", "tensorflow", "keras", "chest_xray.models.batch"])
    monkeypatch.setattr("distributed.utils._forkserver_preload_set", True)
    with (
        dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"}),
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
    ):
        save = ShardedTableDataset.save
        lost: list[int] = []

        def kill_and_save(self: ShardedTableDataset, data: Any) -> None:
            if isinstance(data, Shard) and not lost:  # the first of fifteen
                lost.append(cluster.workers[0].pid)
                os.kill(lost[0], signal.SIGKILL)
            save(self, data)

        monkeypatch.setattr(ShardedTableDataset, "save", kill_and_save)
        table = predict(images, packaged, tmp_path / "cluster", shard=1, engine=cluster.scheduler_address)
        assert lost
    pd.testing.assert_frame_equal(table, predict(images, packaged, tmp_path / "local", shard=1))
