"""One test for each kind of bad file that a header tells, and for the odd ones that are fine."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from PIL import Image

from chest_xray.images.validation import find_misplacement, read_header


def encode(kind: str = "JPEG", size: tuple[int, int] = (48, 32), mode: str = "L", **settings: Any) -> bytes:
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0]), np.uint8)
    Image.fromarray(noise).convert(mode).save(buffer, kind, **settings)
    return buffer.getvalue()


def read(folder: Path, data: bytes, name: str = "image.jpeg") -> dict[str, Any]:
    (folder / name).write_bytes(data)
    return read_header(str(folder / name), max_megapixels=1)


def test_a_sound_image_gives_its_size_and_mode(tmp_path: Path) -> None:
    assert read(tmp_path, encode()) == {"width": 48, "height": 32, "mode": "L"}


@pytest.mark.parametrize(("kind", "mode"), [("JPEG", "CMYK"), ("PNG", "P"), ("PNG", "I;16"), ("PNG", "RGBA")])
def test_unusual_colour_modes_are_accepted_and_named(tmp_path: Path, kind: str, mode: str) -> None:
    assert read(tmp_path, encode(kind, mode=mode))["mode"] == mode


@pytest.mark.parametrize("name", ["IM-0001.PNG", "IM-0001.dcm", "IM-0001", "снимок грудной клетки 1.jpeg", "a b.JPG"])
def test_the_name_does_not_decide_what_an_image_is(tmp_path: Path, name: str) -> None:
    assert read(tmp_path, encode(), name)["width"] == 48


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_the_size_is_that_of_the_upright_image(tmp_path: Path, kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    # 1 to 4 are upright or upside down, 5 to 8 are quarter turns, each with and without a reflection.
    width, height = (48, 32) if orientation <= 4 else (32, 48)
    assert read(tmp_path, encode(kind, exif=exif.tobytes())) == {"width": width, "height": height, "mode": "L"}


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_truncated_file_is_told_by_its_missing_end(tmp_path: Path, kind: str) -> None:
    refusal = read(tmp_path, encode(kind)[:-40])
    assert refusal == {"reason": "truncated", "detail": f"a {kind} that ends without its end marker"}


def test_bytes_after_the_end_marker_do_not_make_a_file_truncated(tmp_path: Path) -> None:
    assert read(tmp_path, encode() + b"\0" * 5000)["width"] == 48


def test_an_empty_file_is_named_so(tmp_path: Path) -> None:
    assert read(tmp_path, b"") == {"reason": "empty", "detail": "zero bytes"}


@pytest.mark.parametrize("name", ["notes.txt", "IM-0001.jpeg"])
def test_text_is_no_image_whatever_its_suffix(tmp_path: Path, name: str) -> None:
    refusal = read(tmp_path, b"Patient was seen on Monday.", name)
    assert refusal == {"reason": "not an image", "detail": "begins with b'Patient '; expected JPEG, PNG or DICOM"}


def test_a_header_that_breaks_off_is_truncated(tmp_path: Path) -> None:
    refusal = read(tmp_path, encode()[:12] + b"\xff\xc0\x00\x03\x08")
    assert refusal == {"reason": "truncated", "detail": "a JPEG that ends before its pixels"}


def test_a_large_image_is_refused_by_its_header(tmp_path: Path) -> None:
    refusal = read(tmp_path, encode(size=(2000, 600)))
    assert refusal["reason"] == "too large"
    assert refusal["detail"] == "2000 x 600 pixels; at most 1 megapixels are read"


def test_a_decompression_bomb_is_refused_by_its_header(tmp_path: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 200_000, 200_000, 8, 0, 0, 0, 0))
    bomb = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    refusal = read(tmp_path, bomb)
    assert refusal["reason"] == "too large"
    assert refusal["detail"] == "200000 x 200000 pixels; at most 1 megapixels are read"


def test_a_broken_link_is_named_so(tmp_path: Path) -> None:
    (tmp_path / "link.jpeg").symlink_to(tmp_path / "gone.jpeg")
    assert read_header(str(tmp_path / "link.jpeg"), 1)["reason"] == "broken link"


class LockedFileSystem(MemoryFileSystem):
    """Files that are there and cannot be opened, which root cannot make on a disk."""

    protocol = "locked"

    def _open(self, path: str, *_: Any, **__: Any) -> Any:
        raise PermissionError(13, "Permission denied", path)


def test_a_file_without_permission_is_named_so() -> None:
    fsspec.register_implementation("locked", LockedFileSystem, clobber=True)
    refusal = read_header("locked://train/NORMAL/a.jpeg", 1)
    assert refusal == {"reason": "no permission", "detail": "Permission denied; change its mode or its owner"}


@pytest.mark.parametrize(
    "path", ["NORMAL/.DS_Store", "NORMAL/Thumbs.db", "__MACOSX/NORMAL/IM-1.jpeg", "NORMAL/._IM-1.jpeg"]
)
def test_what_operating_systems_leave_behind_is_junk(path: str) -> None:
    assert find_misplacement(f"/data/train/{path}") == {
        "reason": "junk",
        "detail": "left behind by an operating system",
    }


def test_an_unknown_class_folder_is_named_with_what_was_expected() -> None:
    refusal = find_misplacement("/data/train/COVID/a.jpeg")
    assert refusal == {"reason": "unknown class folder", "detail": "is in COVID/; expected NORMAL or PNEUMONIA"}


def test_class_folders_may_be_written_in_any_case() -> None:
    assert find_misplacement("/data/train/Normal/a.jpeg") is None


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("TIFF", "a TIFF picture"),
        ("GIF", "a GIF picture"),
        ("BMP", "a BMP picture"),
        ("ICO", "an icon"),
        ("EPS", "PostScript"),
    ],
)
def test_other_kinds_of_picture_are_refused_by_their_name(tmp_path: Path, kind: str, name: str) -> None:
    refusal = read(tmp_path, encode(kind))
    assert refusal["reason"] == "not an image"
    assert name in refusal["detail"]
    assert refusal["detail"].endswith("; expected JPEG, PNG or DICOM")


def test_a_progressive_jpeg_of_many_scans_is_refused_by_its_markers(tmp_path: Path) -> None:
    whole = encode(size=(200, 200), progressive=True)
    assert read(tmp_path, whole)["width"] == 200
    scan = whole[whole.rindex(b"\xff\xda") : -2]
    refusal = read(tmp_path, whole[:-2] + 95 * scan + whole[-2:])
    assert refusal["reason"] == "too large"
    assert (
        "a progressive JPEG of 101 scans of 200 x 200 pixels; at most 100 scans and 20 megapixels" in refusal["detail"]
    )


def test_few_scans_of_a_large_progressive_jpeg_count_as_much_as_many_of_a_small_one(tmp_path: Path) -> None:
    whole = encode(size=(990, 990), progressive=True)
    scan = whole[whole.rindex(b"\xff\xda") : -2]
    assert read(tmp_path, whole)["width"] == 990
    assert "progressive JPEG of 26 scans" in read(tmp_path, whole[:-2] + 20 * scan + whole[-2:])["detail"]
