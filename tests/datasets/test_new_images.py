"""A file, a folder, a pattern or an archive is listed, and nothing is unpacked outside its folder."""

import io
import os
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
    return NewImagesDataset(path=path, unpacked={"path": str(tmp_path / "unpacked")}, limits={**LIMITS, **limits})


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


def test_a_folder_lists_all_files_in_order_except_system_files(tmp_path: Path, folder: Path) -> None:
    assert names(tmp_path, folder) == ["images/a.jpeg", "images/b.dcm", "images/deep/er/c"]


def test_a_single_file_or_a_pattern_can_be_given(tmp_path: Path, folder: Path) -> None:
    assert names(tmp_path, folder / "b.dcm") == ["images/b.dcm"]
    assert names(tmp_path, folder / "*.jpeg") == ["images/a.jpeg"]
    assert names(tmp_path, folder / "**/c") == ["images/deep/er/c"]


def test_brackets_in_the_names_of_folders_are_no_pattern(tmp_path: Path) -> None:
    (tmp_path / "chest [1]").mkdir()
    (tmp_path / "chest [1]/a.jpeg").write_bytes(b"1")
    for path in ("chest [1]", "chest [1]/a.jpeg", "chest [1]/*.jpeg", "*/a.*", "chest [[]1]/a.jpeg"):
        assert names(tmp_path, tmp_path / path) == ["chest [1]/a.jpeg"]


def test_a_file_of_zeros_is_a_file_and_no_empty_archive(tmp_path: Path) -> None:
    (tmp_path / "a.jpeg").write_bytes(bytes(20_000))
    assert [file.size for file in listing(tmp_path, str(tmp_path / "a.jpeg")).load()] == [20_000]


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "without_suffix"])
def test_files_of_an_archive_are_listed_below_the_archive_name(tmp_path: Path, name: str) -> None:
    archive = pack(tmp_path / name, FILES)
    assert names(tmp_path, archive) == [f"{name}/a.jpeg", f"{name}/b.dcm", f"{name}/deep/er/c"]
    first = listing(tmp_path, str(archive)).load()
    assert listing(tmp_path, str(archive)).load() == first  # unpacked once


def test_archives_with_equal_name_size_and_time_are_distinguished(tmp_path: Path) -> None:
    for folder, data in (("x", b"1"), ("y", b"2")):
        (tmp_path / folder).mkdir()
        os.utime(pack(tmp_path / folder / "a.tar", {"z.png": data}), (1e9, 1e9))
    first, second = (listing(tmp_path, str(tmp_path / folder / "a.tar")).load()[0] for folder in "xy")
    assert (first.size, second.size) == (1, 1)
    assert [Path(each.path).read_bytes() for each in (first, second)] == [b"1", b"2"]
    assert first.modified != second.modified


def test_files_of_another_archive_are_kept_while_a_run_may_read_them(tmp_path: Path) -> None:
    (first,) = listing(tmp_path, str(pack(tmp_path / "a.zip", {"a.png": b"1"}))).load()
    listing(tmp_path, str(pack(tmp_path / "b.zip", {"b.png": b"2"}))).load()
    assert Path(first.path).read_bytes() == b"1"


def test_a_tar_archive_that_ends_in_a_zip_is_a_tar_archive(tmp_path: Path) -> None:
    inner = pack(tmp_path / "inner.zip", {"inside.png": b"3"}).read_bytes()
    archive = pack(tmp_path / "a.tar", {"a.png": b"1", "z.zip": inner})
    assert [Path(file.path).name for file in listing(tmp_path, str(archive)).load()] == ["a.png", "z.zip"]


@pytest.mark.parametrize("part", ["[Content_Types].xml", "META-INF/manifest.xml", "META-INF/MANIFEST.MF"])
def test_a_document_is_not_opened_as_an_archive(tmp_path: Path, part: str) -> None:
    document = pack(tmp_path / "letter.zip", {part: b"<xml/>", "word/media/image1.png": b"1"})
    with pytest.raises(DatasetError, match=r"letter\.zip is a document or a program .* expected a zip or tar archive"):
        listing(tmp_path, str(document)).load()


def test_a_refused_archive_leaves_nothing_behind(tmp_path: Path) -> None:
    archive = pack(tmp_path / "a.tar", {"a.png": b"1", "../b.png": b"2"})
    with pytest.raises(DatasetError, match="is refused"):
        listing(tmp_path, str(archive)).load()
    assert [each.name for each in (tmp_path / "unpacked").iterdir() if not each.name.endswith(".lock")] == []


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
def test_a_decompression_bomb_is_refused(tmp_path: Path, name: str) -> None:
    archive = pack(tmp_path / name, {"a.png": bytes(5_000_000)})
    with pytest.raises(DatasetError, match=r"raise unpacking.max_ratio from 20 \(for prediction, the limits of new_im"):
        listing(tmp_path, str(archive)).load()


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    whole = pack(tmp_path / "a.tar.gz", {"a.png": np.random.default_rng(0).bytes(9000)}).read_bytes()
    (tmp_path / "b.tar.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DatasetError, match="is not a valid tar archive"):
        listing(tmp_path, str(tmp_path / "b.tar.gz")).load()


@pytest.mark.parametrize("path", [None, "", "none.png", "empty", "none/*.png"])
def test_a_missing_path_gives_an_error_with_the_command(tmp_path: Path, path: str | None) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match=r"kedro run --pipelines=prediction --params images=PATH"):
        listing(tmp_path, str(tmp_path / path) if path else path).load()


def test_images_are_never_written(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="NewImagesDataset is read-only"):
        listing(tmp_path, "a").save(1)  # type: ignore[arg-type]
