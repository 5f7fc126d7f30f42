"""Archives are unpacked whole, in place, and never beyond it."""

import io
import stat
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from kedro.io import DatasetError

from chest_xray.images.archives import Unpacking, extract_tar, unpack

FILES = {f"{split}/{name}/1.jpeg": b"12345" for split in ("train", "test") for name in ("NORMAL", "PNEUMONIA")}


def pack(path: Path, files: dict[str, bytes], prefix: str = "chest_xray/") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(prefix + name, data)
    return path


def plan(path: Path, **limits: Any) -> Unpacking:
    archive = {"path": str(path), "sha256": "0" * 64, "source": "here"}
    return Unpacking(archive, **{"max_gigabytes": 1, "max_files": 100, "max_ratio": 20, **limits})


def listing(folder: Path) -> list[str]:
    return sorted(str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file())


@pytest.mark.parametrize("prefix", ["", "chest_xray/", "archive/chest_xray/"])
def test_train_and_test_come_to_the_target_wherever_they_lie(tmp_path: Path, prefix: str) -> None:
    unpack(plan(pack(tmp_path / "a.zip", FILES, prefix)), tmp_path / "data/chest_xray")
    assert listing(tmp_path / "data") == sorted(["chest_xray/.source.json", *(f"chest_xray/{name}" for name in FILES)])
    assert (tmp_path / "data/chest_xray/train/NORMAL/1.jpeg").read_bytes() == b"12345"


def test_backslashes_between_folders_are_read_as_slashes(tmp_path: Path) -> None:
    files = {name.replace("/", "\\"): data for name, data in FILES.items()} | {"train\\Thumbs.db": b"x"}
    unpack(plan(pack(tmp_path / "a.zip", files, "chest_xray\\")), tmp_path / "data")
    assert listing(tmp_path / "data") == sorted([".source.json", *FILES])


def test_backslashes_do_not_lead_outside(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="points outside of the folder"):
        unpack(plan(pack(tmp_path / "a.zip", FILES, "..\\..\\")), tmp_path / "data")


def test_a_method_of_compression_that_python_lacks_is_named(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.zip", FILES)
    data = path.read_bytes()
    local, central = b"PK\3\4\x14\0\0\0\x08\0", b"PK\1\2\x14\3\x14\0\0\0\x08\0"
    assert local in data
    assert central in data
    path.write_bytes(data.replace(local, local[:-2] + b"\x09\0").replace(central, central[:-2] + b"\x09\0"))
    with pytest.raises(DatasetError, match=r"is compressed by Deflate64\. Windows does so with large files"):
        unpack(plan(path), tmp_path / "data")


def test_junk_is_left_in_the_archive(tmp_path: Path) -> None:
    junk = {".DS_Store": b"x", "__MACOSX/chest_xray/._train": b"x", "train/NORMAL/Thumbs.db": b"x"}
    unpack(plan(pack(tmp_path / "a.zip", FILES | junk)), tmp_path / "data")
    assert listing(tmp_path / "data") == sorted([".source.json", *FILES])


def test_the_kaggle_archive_with_its_second_copy_gives_the_first(tmp_path: Path) -> None:
    twice = FILES | {f"chest_xray/{name}": data for name, data in FILES.items()} | {"val/NORMAL/2.jpeg": b"2"}
    unpack(plan(pack(tmp_path / "a.zip", twice)), tmp_path / "data")
    assert {each.name for each in (tmp_path / "data").iterdir()} == {
        ".source.json",
        "chest_xray",
        "test",
        "train",
        "val",
    }


def test_the_same_archive_is_not_unpacked_twice(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    path = pack(tmp_path / "a.zip", FILES)
    unpack(plan(path), tmp_path / "data")
    (tmp_path / "data/train/NORMAL/1.jpeg").write_bytes(b"touched")
    unpack(plan(path), tmp_path / "data")
    assert "nothing to unpack" in caplog.text
    assert (tmp_path / "data/train/NORMAL/1.jpeg").read_bytes() == b"touched"


def test_other_files_in_the_target_are_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "data/train").mkdir(parents=True)
    with pytest.raises(DatasetError, match=r"data is not empty, and its files are not from .*a\.zip\. Move them away"):
        unpack(plan(pack(tmp_path / "a.zip", FILES)), tmp_path / "data")


def test_what_a_killed_run_left_is_cleared(tmp_path: Path) -> None:
    (tmp_path / ".part-data/train").mkdir(parents=True)
    (tmp_path / "data").mkdir()
    unpack(plan(pack(tmp_path / "a.zip", FILES)), tmp_path / "data")
    assert not (tmp_path / ".part-data").exists()


@pytest.mark.parametrize(
    "name", ["../outside.jpeg", "/etc/outside.jpeg", "..\\outside.jpeg", "C:/outside.jpeg", "a/../../b"]
)
def test_a_path_outside_refuses_the_whole_archive(tmp_path: Path, name: str) -> None:
    path = pack(tmp_path / "a.zip", FILES | {name: b"x"}, prefix="")
    with pytest.raises(DatasetError, match=r"is refused: .* points outside of the folder it is unpacked to"):
        unpack(plan(path), tmp_path / "data")
    assert [each.name for each in tmp_path.iterdir()] == ["a.zip"]


def test_a_link_refuses_the_whole_archive(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.zip", FILES)
    with zipfile.ZipFile(path, "a") as archive:
        link = zipfile.ZipInfo("chest_xray/train/NORMAL/link.jpeg")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(DatasetError, match=r"link\.jpeg' is a link"):
        unpack(plan(path), tmp_path / "data")


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        ({"max_files": 3}, r"4 files of .* raise unpacking\.max_files from 3"),
        ({"max_gigabytes": 1e-9}, r"raise unpacking\.max_gigabytes from 1e-09"),
        ({"max_ratio": 1}, r"times its size\. If you trust it, raise unpacking\.max_ratio from 1"),
    ],
)
def test_a_bomb_is_refused_by_number_size_and_ratio(tmp_path: Path, limit: dict[str, float], message: str) -> None:
    path = pack(tmp_path / "a.zip", {name: bytes(50_000) for name in FILES})
    with pytest.raises(DatasetError, match=message):
        unpack(plan(path, **{"max_ratio": 10_000, **limit}), tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_a_size_that_lies_is_found_out(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.zip", {**FILES, "train/NORMAL/big.jpeg": bytes(90_000)})
    true, false = (90_000).to_bytes(4, "little"), (90).to_bytes(4, "little")
    path.write_bytes(path.read_bytes().replace(true, false))
    with pytest.raises(DatasetError, match="is not a valid zip archive: Bad CRC-32"):
        unpack(plan(path, max_ratio=10_000), tmp_path / "data")
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("damage", [b"", b"no zip at all"])
def test_a_file_that_is_no_archive_is_reported_as_such(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "a.zip").write_bytes(damage)
    with pytest.raises(DatasetError, match=r"a\.zip is not a valid zip archive: File is not a zip file\. Get it again"):
        unpack(plan(tmp_path / "a.zip"), tmp_path / "data")


def test_an_archive_without_train_and_test_reports_what_it_has(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.zip", {"images/1.jpeg": b"1", "labels.csv": b"2"}, prefix="")
    with pytest.raises(DatasetError, match=r"holds images, labels\.csv; expected a folder with `train` and `test`"):
        unpack(plan(path), tmp_path / "data")


def test_an_entry_that_names_the_folder_itself_is_accepted(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.zip", {"./": b"", **FILES}, prefix="")
    unpack(plan(path), tmp_path / "data")
    assert (tmp_path / "data/train").is_dir()


def test_folders_a_thousand_deep_refuse_the_archive(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.zip", FILES | {"a/" * 1200 + "1.jpeg": b"x"}, prefix="")
    with pytest.raises(DatasetError, match="is more than 100 folders deep"):
        unpack(plan(path), tmp_path / "data")
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("a/" * 1200 + "1.jpeg"), io.BytesIO())
    with pytest.raises(DatasetError, match="is more than 100 folders deep"):
        extract_tar(plan(tmp_path / "a.tar"), tmp_path)


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE])
def test_a_tar_archive_with_a_name_of_a_gigabyte_is_refused_unread(tmp_path: Path, kind: bytes) -> None:
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = kind, 1 << 30
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        archive.fileobj.write(header.tobuf(tarfile.GNU_FORMAT))
        archive.fileobj.write(bytes(1 << 20))
    with pytest.raises(DatasetError, match="holds a name of 1,073,741,824 bytes; expected at most 65,536"):
        extract_tar(plan(tmp_path / "a.tar.gz"), tmp_path)
