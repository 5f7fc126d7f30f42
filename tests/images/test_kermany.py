"""From any folder to an index and a quarantine; patients are parsed from names, patterns and tables."""

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
from chest_xray.images.kermany import (
    PUBLISHED,
    Integrity,
    Patients,
    Published,
    compare_with_published,
    find_misplacement,
    look_up_patients,
    parse_name,
)
from chest_xray.pipelines.data_processing.nodes import drop_unreadable, index_images
from tests.image_folders import draw_image_folders, process


@pytest.mark.parametrize(
    ("path", "group", "aetiology"),
    [
        ("train/PNEUMONIA/person12_virus_46.jpeg", "person12_virus", "viral"),
        ("train/PNEUMONIA/person12_bacteria_46.jpeg", "person12_bacteria", "bacterial"),
        ("train/PNEUMONIA/person1_virus_7_2.jpeg", "person1_virus", "viral"),
        ("train/NORMAL/IM-0115-0001.jpeg", "IM-0115", "none"),
        ("train/NORMAL/NORMAL2-IM-0115-0001-0002.jpeg", "NORMAL2-IM-0115", "none"),
        ("train/Normal/снимок 1.jpeg", "Normal/снимок 1.jpeg", "none"),
        ("train/PNEUMONIA/scan.jpeg", "PNEUMONIA/scan.jpeg", "unknown"),
        ("train/PNEUMONIA/BACTERIA-7422-0001.jpeg", "BACTERIA-7422", "bacterial"),
        ("train/PNEUMONIA/VIRUS-7422-0002.jpeg", "VIRUS-7422", "viral"),
        ("test/NORMAL/NORMAL-28501-0001.jpeg", "NORMAL-28501", "none"),
        ("test/NORMAL/NORMAL-28501.jpeg", "NORMAL/NORMAL-28501.jpeg", "none"),
    ],
)
def test_patient_and_aetiology_are_parsed_from_the_name(path: str, group: str, aetiology: str) -> None:
    assert parse_name(path) == (group, aetiology)


@pytest.mark.parametrize(
    ("pattern", "path", "group", "aetiology"),
    [
        (r"/(?P<patient>P\d+)_", "train/PNEUMONIA/P07_2.png", "P07", "unknown"),
        (
            r"/(?P<patient>P\d+)_(?P<aetiology>[a-z]+)",
            "train/PNEUMONIA/P07_Viral_2.png",
            "PNEUMONIA/P07_Viral_2.png",
            "unknown",
        ),
        (r"(?i)/(?P<patient>P\d+)_(?P<aetiology>[a-z]+)", "train/PNEUMONIA/P07_Viral_2.png", "P07", "viral"),
        (r"/(?P<patient>P\d+)_(?P<aetiology>[a-z]+)", "train/PNEUMONIA/P07_bacterial.png", "P07", "bacterial"),
        (r"/(?P<patient>P\d+)", "train/PNEUMONIA/person1_virus_1.jpeg", "PNEUMONIA/person1_virus_1.jpeg", "unknown"),
        (r"/(?P<patient>P?)", "train/NORMAL/a.png", "NORMAL/a.png", "none"),
    ],
)
def test_a_pattern_finds_patients_of_another_naming(pattern: str, path: str, group: str, aetiology: str) -> None:
    assert parse_name(path, Patients(pattern=pattern)) == (group, aetiology)


@pytest.mark.parametrize(
    ("pattern", "message"), [("(", "is no regular expression"), (r"P\d+", "has no group `patient`")]
)
def test_a_pattern_that_cannot_serve_is_refused(pattern: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Patients.model_validate({"pattern": pattern})


PATHS = pd.Series(["/a/train/NORMAL/1.png", "/a/train/NORMAL/2.png", "/a/test/NORMAL/1.png"])


def test_a_table_names_patients_wherever_the_data_are() -> None:
    table = pd.DataFrame({"path": ["/b/train/NORMAL/1.png", "test/NORMAL/1.png"], "patient": ["007", "8"]})
    assert look_up_patients(PATHS, table).fillna("unknown").tolist() == ["007", "unknown", "8"]


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (["train/NORMAL/1.png", "train/NORMAL/1.png"], "1 images several patients; first: train/NORMAL/1.png"),
        (["x.png", "y.png"], "no row for any of the 3 images"),
    ],
)
def test_a_table_that_cannot_serve_is_refused(paths: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        look_up_patients(PATHS, pd.DataFrame({"path": paths, "patient": ["7", "8"]}))


def test_a_damaged_file_is_an_input_error_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "a.jpeg").write_bytes(b"\xff\xd8\xff no jpeg")
    with pytest.raises(InputError, match=r"cannot decode .*a\.jpeg: .* Replace the file or remove it"):
        read_pixels(str(tmp_path / "a.jpeg"), 16, 16)


def list_published(scale: float, factor: int) -> pd.DataFrame:
    rows = [(f"/data/{name}", round(width * scale), size * factor) for name, (width, size) in PUBLISHED.items()]
    return pd.DataFrame([*rows, ("/data/train/NORMAL/other.jpeg", 7, 7)], columns=["path", "width", "bytes"])


def test_files_are_as_published_where_every_known_one_has_its_number_of_bytes() -> None:
    table = list_published(1, 1)
    assert compare_with_published(table) == Published(as_published=True, scale=1.0)
    table["bytes"] = [table["bytes"].iloc[0] + 1, *table["bytes"].iloc[1:]]
    assert compare_with_published(table) == Published(as_published=False, scale=1.0)


def test_a_reduced_copy_is_recognised_with_its_scale() -> None:
    found = compare_with_published(list_published(0.25, 2))
    assert not found.as_published
    assert found.scale == pytest.approx(0.25, rel=0.01)


def test_of_other_files_nothing_is_known() -> None:
    table = list_published(1, 1).tail(1)
    assert compare_with_published(table) == Published(as_published=False, scale=None)


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


@pytest.mark.parametrize(
    "path", ["NORMAL/.DS_Store", "NORMAL/Thumbs.db", "__MACOSX/NORMAL/IM-1.jpeg", "NORMAL/._IM-1.jpeg"]
)
def test_what_operating_systems_leave_behind_is_junk(path: str) -> None:
    assert find_misplacement(f"/data/train/{path}") == ("junk", "left behind by an operating system")


def test_an_unknown_class_folder_is_named_with_what_was_expected() -> None:
    refusal = find_misplacement("/data/train/COVID/a.jpeg")
    assert refusal == ("unknown class folder", "is in COVID/; expected NORMAL or PNEUMONIA")


def test_class_folders_may_be_written_in_any_case() -> None:
    assert find_misplacement("/data/train/Normal/a.jpeg") is None


def test_the_folder_that_counts_is_the_one_above_the_file() -> None:
    assert find_misplacement("NORMAL/a.jpeg") is None
    assert find_misplacement("NORMAL/other/a.jpeg") == (
        "unknown class folder",
        "is in other/; expected NORMAL or PNEUMONIA",
    )
    assert find_misplacement("a.jpeg") == ("unknown class folder", "is in /; expected NORMAL or PNEUMONIA")
