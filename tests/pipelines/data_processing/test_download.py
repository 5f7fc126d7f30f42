"""From a URL to image folders, as the pipeline does it."""

import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from kedro.io import DataCatalog, DatasetError, MemoryDataset
from kedro.runner import SequentialRunner

from chest_xray.core.types import InputError
from chest_xray.datasets import FolderDataset
from chest_xray.datasets.atomic import JSONDataset
from chest_xray.images.archives import Download, UnpackingLimits
from chest_xray.pipelines.data_processing import create_download
from chest_xray.pipelines.data_processing.nodes import download_archive, locate_archive
from tests.http_server import Served, serve

PARAMETERS = yaml.safe_load(Path("conf/base/parameters_download.yml").read_text("utf-8"))


def read_options(**changes: Any) -> Download:
    return Download.model_validate({**PARAMETERS["download"], **changes})


def test_the_name_of_a_preset_resolves_to_its_url() -> None:
    source = locate_archive(read_options(source="mendeley"))
    assert source.source.startswith("https://data.mendeley.com/public-files/datasets/rscbjbr9sj/files/")
    assert locate_archive(read_options(source="kaggle")).source.endswith("paultimothymooney/chest-xray-pneumonia")
    assert locate_archive(read_options(source="yandex")).source == "https://disk.yandex.ru/d/VEIy4pYytapT3A"


def test_any_other_source_is_used_unchanged() -> None:
    assert locate_archive(read_options(source="/data/mine.zip", sha256="a" * 64)).source == "/data/mine.zip"


def test_a_given_checksum_overrides_the_preset() -> None:
    preset = {"mine": {"url": "https://example.org/a.zip", "sha256": "b" * 64}}
    assert locate_archive(read_options(source="mine", presets=preset)).sha256 == "b" * 64
    assert locate_archive(read_options(source="mine", presets=preset, sha256="a" * 64)).sha256 == "a" * 64


def test_a_checksum_of_the_wrong_length_stops_the_run() -> None:
    with pytest.raises(InputError, match=r"sha256: received 'abc', but String should match pattern"):
        read_options(sha256="abc")


def test_a_broken_download_resumes_and_is_unpacked_to_image_folders(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "served.zip", "w") as archive:
        for split in ("train", "test"):
            archive.writestr(f"chest_xray/{split}/NORMAL/1.jpeg", bytes(range(256)) * 400)
    with serve(Served((tmp_path / "served.zip").read_bytes(), breaks=[50_000])) as served:
        catalog = DataCatalog(
            {
                "params:download": MemoryDataset(read_options(source=served.url, wait=0)),
                "params:unpacking": MemoryDataset(UnpackingLimits(**PARAMETERS["unpacking"])),
                "download_folder": FolderDataset(path=str(tmp_path / "download")),
                "image_archive": JSONDataset(filepath=str(tmp_path / "download/archive.json")),
                "image_folder": FolderDataset(path=str(tmp_path / "chest_xray")),
                "unpacked_archive": JSONDataset(filepath=str(tmp_path / "download/unpacked.json")),
            }
        )
        SequentialRunner().run(create_download(), catalog)
    assert len(served.requests) == 2
    assert catalog["unpacked_archive"].load()["folder"] == str(tmp_path / "chest_xray")
    assert (tmp_path / "chest_xray/test/NORMAL/1.jpeg").read_bytes() == bytes(range(256)) * 400


def test_a_full_disk_gives_an_error_that_names_the_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    source = locate_archive(read_options(source="http://localhost:9/a.zip"))
    with pytest.raises(DatasetError, match=r"cannot write into .*file/download: .*Make it writable or make room"):
        download_archive(source, tmp_path / "file/download")


def test_a_remote_folder_is_refused() -> None:
    with pytest.raises(DatasetError, match=r"received 's3://bucket/a'; expected a local path"):
        FolderDataset(path="s3://bucket/a")


def test_a_folder_dataset_cannot_be_saved(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="received str to save, but FolderDataset is read-only"):
        FolderDataset(path=str(tmp_path)).save("files")  # type: ignore[arg-type]
