"""Whatever a user names is listed: a file, a folder, a pattern, an archive; and nothing is unpacked elsewhere."""

import io
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kedro.io import DatasetError

from chest_xray.datasets import NewImagesDataset

LIMITS = {"max_gigabytes": 1, "max_files": 100, "max_ratio": 20}
FILES = {"b.dcm": b"2", "a.jpeg": b"1", "deep/er/c": b"33", ".DS_Store": b"x", "__MACOSX/a.jpeg": b"x"}


def listing(tmp_path: Path, path: Any, **limits: float) -> NewImagesDataset:
    return NewImagesDataset(path=path, unpacked=str(tmp_path / "unpacked"), limits={**LIMITS, **limits})


def names(tmp_path: Path, path: Any) -> list[str]:
    found = listing(tmp_path, str(path)).load()
    assert all(Path(file.path).read_bytes() in FILES.values() for file in found)
    return [file.name.removeprefix(f"{tmp_path}/") for file in found]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, data in FILES.items():
        (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "images" / name).write_bytes(data)
    return tmp_path / "images"


def pack(path: Path, files: dict[str, bytes]) -> Path:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in files.items():
                archive.writestr(name, data)
    else:
        with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as tar:
            for name, data in files.items():
                member = tarfile.TarInfo(name)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    return path


def test_a_folder_gives_all_files_below_it_in_order_but_junk(tmp_path: Path, folder: Path) -> None:
    assert names(tmp_path, folder) == ["images/a.jpeg", "images/b.dcm", "images/deep/er/c"]


def test_a_single_file_and_a_pattern_are_followed(tmp_path: Path, folder: Path) -> None:
    assert names(tmp_path, folder / "b.dcm") == ["images/b.dcm"]
    assert names(tmp_path, folder / "*.jpeg") == ["images/a.jpeg"]
    assert names(tmp_path, folder / "**/c") == ["images/deep/er/c"]


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "without_suffix"])
def test_an_archive_gives_what_is_in_it_under_its_own_name(tmp_path: Path, name: str) -> None:
    archive = pack(tmp_path / name, FILES)
    assert names(tmp_path, archive) == [f"{name}/a.jpeg", f"{name}/b.dcm", f"{name}/deep/er/c"]
    first = listing(tmp_path, str(archive)).load()
    assert listing(tmp_path, str(archive)).load() == first  # unpacked once


def test_another_archive_takes_the_place_of_the_last(tmp_path: Path) -> None:
    names(tmp_path, pack(tmp_path / "a.zip", FILES))
    names(tmp_path, pack(tmp_path / "b.tar", {"z.png": b"1"}))
    assert [each.name.split("-")[0] for each in (tmp_path / "unpacked").iterdir()] == ["b.tar"]


@pytest.mark.parametrize("name", ["a.zip", "a.tar"])
def test_an_archive_that_reaches_outside_is_refused(tmp_path: Path, name: str) -> None:
    archive = pack(tmp_path / name, {"../outside.png": b"1"})
    with pytest.raises(DatasetError, match="is refused"):
        listing(tmp_path, str(archive)).load()
    assert not (tmp_path / "outside.png").exists()
    assert not (tmp_path / "unpacked" / "outside.png").exists()


def test_a_link_in_a_tar_archive_is_refused(tmp_path: Path) -> None:
    link = tarfile.TarInfo("link")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.addfile(link)
    with pytest.raises(DatasetError, match="'link' is a link or a device"):
        listing(tmp_path, str(tmp_path / "a.tar")).load()


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz"])
def test_a_bomb_is_refused(tmp_path: Path, name: str) -> None:
    archive = pack(tmp_path / name, {"a.png": bytes(5_000_000)})
    with pytest.raises(DatasetError, match=r"raise unpacking.max_ratio from 20 \(for prediction, the limits of new_im"):
        listing(tmp_path, str(archive)).load()


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    whole = pack(tmp_path / "a.tar.gz", {"a.png": np.random.default_rng(0).bytes(9000)}).read_bytes()
    (tmp_path / "b.tar.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DatasetError, match="is no sound tar archive"):
        listing(tmp_path, str(tmp_path / "b.tar.gz")).load()


@pytest.mark.parametrize("path", [None, "", "none.png", "empty", "none/*.png"])
def test_where_nothing_is_the_command_is_told(tmp_path: Path, path: str | None) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match=r"kedro run --pipelines=prediction --params images=PATH"):
        listing(tmp_path, str(tmp_path / path) if path else path).load()


def test_images_are_never_written(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="NewImagesDataset is read-only"):
        listing(tmp_path, "a").save(1)  # type: ignore[arg-type]
