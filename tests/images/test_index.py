"""From a folder with anything in it to an index, a quarantine and pixels that belong together."""

import io
import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from chest_xray.core.types import InputError
from chest_xray.datasets import ImageFolderDataset, UserTablesDataset
from chest_xray.images.decoding import read_pixels
from chest_xray.images.index import Integrity
from chest_xray.images.kermany import Patients
from chest_xray.pipelines.data_processing.nodes import drop_unreadable, index_images
from tests.image_folders import draw_image_folders, process

NO_TABLE = UserTablesDataset().load()["patients"]
INTEGRITY = Integrity(max_megabytes=100, max_megapixels=1, max_refused_files=0)


@pytest.fixture
def image_root(tmp_path: Path) -> Path:
    draw_image_folders(tmp_path / "chest_xray")
    return tmp_path / "chest_xray"


def jpeg(size: tuple[int, int] = (48, 40), mode: str = "L", kind: str = "JPEG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    noise = np.random.default_rng(7).integers(0, 256, (size[1], size[0]), np.uint8)
    Image.fromarray(noise).convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


def damage_inside(data: bytes) -> bytes:
    """Sound header, sound end, nonsense between."""
    middle = len(data) // 2
    return data[:middle] + b"\xff\xc4\x00\x05\xff" + data[middle + 5 :]


def test_one_row_an_image_with_the_facts_of_name_and_header(image_root: Path) -> None:
    index, quarantine, pixels = process(image_root)
    row = index.iloc[0].to_dict()
    assert len(index) == len(pixels) == 8
    assert len(quarantine) == 0
    assert row.pop("path").endswith("chest_xray/train/NORMAL/IM-0001-0001.jpeg")
    assert row.pop("modified") != ""
    assert row.pop("bytes") > 100
    header = {"width": 48, "height": 40, "mode": "L"}
    assert row == {"split": "train", "label": 0, "group": "IM-0001", "aetiology": "none", **header}
    assert index["split"].tolist() == ["train"] * 4 + ["test"] * 4
    assert index["label"].tolist() == [0, 0, 1, 1] * 2


BAD = {
    "truncated": ("NORMAL/a.jpeg", jpeg()[:-60]),
    "empty": ("NORMAL/a.jpeg", b""),
    "not an image": ("NORMAL/a.jpeg", b"<html>404</html>"),
    "too large": ("NORMAL/a.png", jpeg((2000, 600), kind="PNG")),
    "junk": ("NORMAL/.DS_Store", b"\0\0\0\1Bud1"),
    "unknown class folder": ("COVID/a.jpeg", jpeg()),
    "undecodable": ("NORMAL/a.jpeg", damage_inside(jpeg())),
}


@pytest.mark.parametrize("reason", BAD)
def test_a_bad_file_is_set_aside_with_its_reason(image_root: Path, reason: str) -> None:
    name, data = BAD[reason]
    (image_root / "train" / name).parent.mkdir(exist_ok=True)
    (image_root / "train" / name).write_bytes(data)
    index, quarantine, pixels = process(image_root)
    assert quarantine["reason"].tolist() == [reason]
    assert quarantine["path"].iloc[0].endswith(name)
    assert len(index) == len(pixels) == 8


def test_a_broken_link_is_set_aside(image_root: Path) -> None:
    (image_root / "train/NORMAL/a.jpeg").symlink_to("gone.jpeg")
    assert process(image_root)[1]["reason"].tolist() == ["broken link"]


def test_a_pipe_is_set_aside_without_being_opened(image_root: Path) -> None:
    os.mkfifo(image_root / "train/NORMAL/a.jpeg")
    assert process(image_root)[1]["reason"].tolist() == ["not a regular file"]


GOOD = {
    "CMYK": ("a.jpeg", jpeg(mode="CMYK")),
    "palette": ("a.png", jpeg(mode="P", kind="PNG")),
    "16-bit": ("a.png", jpeg(mode="I;16", kind="PNG")),
    "alpha": ("a.png", jpeg(mode="RGBA", kind="PNG")),
    "rotated": ("a.jpeg", jpeg(exif=b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0")),
    "wrong suffix": ("a.dcm", jpeg()),
    "no suffix": ("a", jpeg()),
    "upper case": ("A.JPEG", jpeg()),
    "spaces": ("chest film 1 (copy).jpeg", jpeg()),
    "Cyrillic": ("снимок №1.jpeg", jpeg()),
}


@pytest.mark.parametrize("kind", GOOD)
def test_an_unusual_image_gets_its_row_and_its_pixels(image_root: Path, kind: str) -> None:
    name, data = GOOD[kind]
    (image_root / "train/NORMAL" / name).write_bytes(data)
    index, quarantine, pixels = process(image_root)
    assert len(quarantine) == 0
    row = index.index[index["path"].str.endswith(f"NORMAL/{name}")].item()
    assert (pixels[row] == read_pixels(index["path"][row], 16, 16)).all()
    assert (index["width"][row], index["height"][row]) == ((40, 48) if kind == "rotated" else (48, 40))


def test_rows_stay_with_their_images_when_one_cannot_be_decoded(image_root: Path) -> None:
    (image_root / "train/NORMAL/IM-0001-0001.jpeg").write_bytes(damage_inside(jpeg()))
    index, quarantine, pixels = process(image_root)
    assert quarantine["reason"].tolist() == ["undecodable"]
    assert len(index) == len(pixels) == 7
    for row, path in enumerate(index["path"]):
        assert (pixels[row] == read_pixels(path, 16, 16)).all()


def test_more_bad_files_than_tolerated_stop_the_run(image_root: Path) -> None:
    for number in range(3):
        (image_root / f"train/NORMAL/bad{number}.jpeg").write_bytes(b"")
    (image_root / "train/NORMAL/Thumbs.db").write_bytes(b"junk is not counted")
    assert len(process(image_root, max_refused_files=3)[1]) == 4
    message = (
        r"3 files are set aside \(3 empty \('bad0.jpeg', 'bad1.jpeg', 'bad2.jpeg'\)\); at most 2 are allowed\. "
        r"Correct or remove them .* or raise integrity\.max_refused_files"
    )
    with pytest.raises(InputError, match=message):
        process(image_root, max_refused_files=2)


def test_what_is_set_aside_is_printed(image_root: Path, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(5):
        (image_root / f"train/NORMAL/bad{number}.jpeg").write_bytes(b"")
    process(image_root)
    assert "set aside: 5 empty ('bad0.jpeg', 'bad1.jpeg', 'bad2.jpeg', ...)" in caplog.text


def test_a_class_without_images_stops_the_run(image_root: Path) -> None:
    (image_root / "test/NORMAL").rename(image_root / "test/healthy")
    message = (
        r"no readable image of class NORMAL in the test split: found 2 of PNEUMONIA, set aside 2 unknown class "
        r"folder \('IM-0500-0001.jpeg', 'IM-0501-0001.jpeg'\); expected NORMAL/ and PNEUMONIA/"
    )
    with pytest.raises(InputError, match=message):
        process(image_root)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.binary(max_size=400),
    start=st.sampled_from([b"", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"II*\0", b"BM"]),
)
def test_random_bytes_never_crash_the_run(image_root: Path, data: bytes, start: bytes) -> None:
    (image_root / "train/NORMAL/random.jpeg").write_bytes(start + data)
    index, quarantine, pixels = process(image_root)
    assert len(index) + len(quarantine) == 9
    assert len(pixels) == len(index)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**6), number=st.integers(1, 30), kind=st.sampled_from(["JPEG", "PNG"]))
def test_random_damage_to_a_sound_image_never_crashes_the_run(
    image_root: Path, seed: int, number: int, kind: str
) -> None:
    rng, data = random.Random(seed), bytearray(jpeg(kind=kind))
    for _ in range(number):
        data[rng.randrange(len(data))] = rng.randrange(256)
    (image_root / "train/NORMAL/damaged.jpeg").write_bytes(data)
    index, quarantine, pixels = process(image_root)
    assert len(index) + len(quarantine) == 9
    assert len(pixels) == len(index)


def list_files(*names: str) -> pd.DataFrame:
    return pd.DataFrame({"path": names, "bytes": 1, "modified": "1", "problem": ""})


def test_a_folder_that_cannot_be_listed_is_set_aside() -> None:
    files = list_files("/d/train/NORMAL").assign(problem="no permission")
    index, refused = index_images(files, files.iloc[:0], {"patients": NO_TABLE}, INTEGRITY, Patients())
    assert len(index) == 0
    assert refused["reason"].tolist() == ["no permission"]
    with pytest.raises(InputError, match=r"1 files are set aside \(1 no permission \('NORMAL'\)\); at most 0"):
        drop_unreadable(index, refused, INTEGRITY)


def test_links_to_pipes_and_files_above_the_limit_are_refused_unread(tmp_path: Path) -> None:
    folder = tmp_path / "train/NORMAL"
    folder.mkdir(parents=True)
    os.mkfifo(tmp_path / "pipe")
    (folder / "1.jpeg").symlink_to(tmp_path / "pipe")
    (folder / "2.jpeg").symlink_to("/dev/zero")
    with (folder / "3.jpeg").open("wb") as file:
        file.truncate(101_000_000)
    files = ImageFolderDataset(path=str(tmp_path / "train")).load()
    _, refused = index_images(files, files.iloc[:0], {"patients": NO_TABLE}, INTEGRITY, Patients())
    assert refused["reason"].tolist() == ["not a regular file"] * 2 + ["too large"]
    assert refused["detail"].iloc[2] == "101 MB; files of at most 100 MB are opened"
