"""Every file is listed, wherever the folder is, and excluded files are explained."""

import os
import subprocess
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.local import LocalFileSystem
from kedro.io import DatasetError

from chest_xray.datasets import ImageFolderDataset


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"12345")


def names(dataset: ImageFolderDataset, root: Path) -> list[str]:
    return [path.removeprefix(f"{root}/") for path in dataset.load()["path"]]


def test_files_of_every_type_are_listed(tmp_path: Path) -> None:
    touch(tmp_path, "train/NORMAL/b.JPEG", "train/NORMAL/a b.png", "train/NORMAL/.DS_Store", "train/notes.txt")
    files = ImageFolderDataset(path=str(tmp_path / "train")).load()
    assert [path.rsplit("/", 1)[1] for path in files["path"]] == [".DS_Store", "a b.png", "b.JPEG", "notes.txt"]
    assert files["bytes"].tolist() == [5] * 4
    assert (files["modified"] != "").all()
    assert (files["problem"] == "").all()


def test_a_broken_link_is_listed(tmp_path: Path) -> None:
    touch(tmp_path, "train/NORMAL/a.jpeg")
    (tmp_path / "train/NORMAL/b.jpeg").symlink_to(tmp_path / "gone")
    assert len(ImageFolderDataset(path=str(tmp_path / "train")).load()) == 2


def test_a_link_to_a_folder_of_a_class_is_followed_once(tmp_path: Path) -> None:
    touch(tmp_path, "elsewhere/a.jpeg", "train/PNEUMONIA/b.jpeg")
    (tmp_path / "train/NORMAL").symlink_to(tmp_path / "elsewhere")
    for name, target in (("again", "elsewhere"), ("same", "train/PNEUMONIA"), ("itself", "train"), ("above", "")):
        (tmp_path / "train" / name).symlink_to(tmp_path / target)
    files = ImageFolderDataset(path=str(tmp_path / "train")).load()
    short = files["path"].str.removeprefix(f"{tmp_path}/train/")
    problems = dict(zip(short, files["problem"], strict=True))
    listed = [path for path, problem in problems.items() if not problem]
    assert listed in (["NORMAL/a.jpeg", "PNEUMONIA/b.jpeg"], ["PNEUMONIA/b.jpeg", "again/a.jpeg"])
    assert sorted(problems.values())[2:] == ["link to a folder that is listed already"] * 4


def test_brackets_in_the_path_of_a_nested_split_are_no_pattern(tmp_path: Path) -> None:
    touch(tmp_path, "data [v2]/chest_xray/train/NORMAL/a.jpeg")
    dataset = ImageFolderDataset(path=str(tmp_path / "data [v2]/train"))
    assert names(dataset, tmp_path) == ["data [v2]/chest_xray/train/NORMAL/a.jpeg"]


def test_a_pipe_is_listed_as_not_regular_and_never_opened(tmp_path: Path) -> None:
    touch(tmp_path, "train/NORMAL/a.jpeg")
    os.mkfifo(tmp_path / "train/NORMAL/b.jpeg")
    assert ImageFolderDataset(path=str(tmp_path / "train")).load()["problem"].tolist() == ["", "not a regular file"]


class GuardedFileSystem(LocalFileSystem):
    """A folder that cannot be listed, which root cannot make on a disk."""

    protocol = "guarded"

    def ls(self, path: str, detail: bool = False, **settings: object) -> object:
        """Refuse what is secret."""
        if "secret" in path:
            raise PermissionError(13, "Permission denied", path)
        return super().ls(path, detail, **settings)


def test_a_folder_without_permission_gets_a_row(tmp_path: Path) -> None:
    fsspec.register_implementation("guarded", GuardedFileSystem, clobber=True)
    touch(tmp_path, "train/NORMAL/a.jpeg", "train/secret/b.jpeg")
    files = ImageFolderDataset(path=f"guarded://{tmp_path}/train").load()
    assert files["problem"].tolist() == ["", "no permission"]
    assert files["path"].iloc[1].endswith("train/secret")


@pytest.mark.parametrize("nested", ["chest_xray", "archive/chest_xray"])
def test_a_split_in_a_nested_folder_is_found(tmp_path: Path, nested: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    touch(tmp_path, f"{nested}/train/NORMAL/a.jpeg", f"__MACOSX/{nested}/train/NORMAL/._a.jpeg")
    assert names(ImageFolderDataset(path=str(tmp_path / "train")), tmp_path) == [f"{nested}/train/NORMAL/a.jpeg"]
    assert f"{nested}/train is read, since there is no" in caplog.text


def test_the_second_copy_and_the_val_of_the_kaggle_mirror_are_explained(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    touch(
        tmp_path, "train/NORMAL/a.jpeg", "chest_xray/train/NORMAL/a.jpeg", "val/NORMAL/1.jpeg", "val/PNEUMONIA/2.jpeg"
    )
    assert names(ImageFolderDataset(path=str(tmp_path / "train")), tmp_path) == ["train/NORMAL/a.jpeg"]
    assert "chest_xray/train is left out: the archive of the Kaggle mirror holds the set twice" in caplog.text
    assert "val (2 files) is left out: the 16 images that the Kaggle mirror puts there" in caplog.text


def test_two_nested_splits_are_refused_as_ambiguous(tmp_path: Path) -> None:
    touch(tmp_path, "old/train/NORMAL/a.jpeg", "new/train/NORMAL/a.jpeg")
    with pytest.raises(DatasetError, match=r"no image folder at .*train, but several below: .*new/train, .*old/train"):
        ImageFolderDataset(path=str(tmp_path / "train")).load()


def test_a_missing_folder_names_the_ways_to_get_data(tmp_path: Path) -> None:
    with pytest.raises(
        DatasetError, match=r"no image folder at .*train\. Expected .* --pipelines=download.* --env=demo"
    ):
        ImageFolderDataset(path=str(tmp_path / "train")).load()


@pytest.mark.parametrize("named", ["chest xray.zip", "."])
def test_an_archive_that_is_not_unpacked_is_named(tmp_path: Path, named: str) -> None:
    archive = tmp_path / "chest xray.zip"
    archive.write_bytes(b"PK")
    with pytest.raises(DatasetError, match=r'train\. .*zip is not unpacked: .* download\.source=".*chest xray\.zip"'):
        ImageFolderDataset(path=str(tmp_path / named / "train")).load()


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    with pytest.raises(DatasetError, match=r"train holds no files"):
        ImageFolderDataset(path=str(tmp_path / "train")).load()


def test_raw_images_are_never_written(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="ImageFolderDataset is read-only"):
        ImageFolderDataset(path=str(tmp_path)).save("pixels")  # type: ignore[arg-type]


def test_folders_over_a_thousand_deep_are_listed(tmp_path: Path) -> None:
    folder = tmp_path / "train"
    folder.mkdir()
    at = os.open(folder, os.O_RDONLY)
    for _ in range(1_200):  # One at a time, because the full path would be too long for one call.
        os.mkdir("a", dir_fd=at)
        deeper = os.open("a", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = deeper
    os.close(os.open("1.jpeg", os.O_CREAT, dir_fd=at))
    os.close(at)
    files = ImageFolderDataset(path=str(folder)).load()
    subprocess.run(["rm", "-rf", folder], check=True)  # The cleanup of pytest is recursive.
    assert len(files) == 1
    assert files["path"][0].count("/a") == 1_200


def test_a_name_that_is_not_utf_8_is_excluded_and_shown_with_escapes(tmp_path: Path) -> None:
    (tmp_path / "train/NORMAL").mkdir(parents=True)
    (tmp_path / "train/NORMAL" / os.fsdecode(b"1\xff.jpeg")).write_bytes(b"x")
    files = ImageFolderDataset(path=str(tmp_path / "train")).load()
    assert files["path"].tolist() == [f"{tmp_path}/train/NORMAL/1\\xff.jpeg"]
    assert files["problem"].tolist() == ["name is not UTF-8"]
