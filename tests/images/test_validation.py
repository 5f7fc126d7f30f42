"""One test for each kind of bad file that a header reveals, and for unusual ones that are accepted."""

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

from chest_xray.core.types import Array, InputError
from chest_xray.images.phantoms import draw_phantom
from chest_xray.images.validation import (
    Refusal,
    check_colour,
    check_contrast,
    check_header,
    describe_image,
    is_grey_mode,
    read_header,
)
from tests.builders import make_acceptance

STANDARD = make_acceptance()


def encode(kind: str = "JPEG", size: tuple[int, int] = (48, 32), mode: str = "L", **settings: Any) -> bytes:
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0]), np.uint8)
    Image.fromarray(noise).convert(mode).save(buffer, kind, **settings)
    return buffer.getvalue()


def read(folder: Path, data: bytes, name: str = "image.jpeg") -> dict[str, Any]:
    (folder / name).write_bytes(data)
    return read_header(str(folder / name), max_megapixels=1)._asdict()


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
def test_the_size_is_measured_after_turning_upright(tmp_path: Path, kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    # 1 to 4 are upright or upside down, 5 to 8 are quarter turns, each with and without a reflection.
    width, height = (48, 32) if orientation <= 4 else (32, 48)
    assert read(tmp_path, encode(kind, exif=exif.tobytes())) == {"width": width, "height": height, "mode": "L"}


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_truncated_file_is_recognised_by_its_missing_end(tmp_path: Path, kind: str) -> None:
    refusal = read(tmp_path, encode(kind)[:-40])
    assert refusal == {
        "reason": "truncated",
        "detail": f"a {kind} that ends without its end marker; copy or export the file again",
    }


def test_bytes_after_the_end_marker_do_not_make_a_file_truncated(tmp_path: Path) -> None:
    assert read(tmp_path, encode() + b"\0" * 5000)["width"] == 48


def test_an_empty_file_is_reported_as_empty(tmp_path: Path) -> None:
    assert read(tmp_path, b"") == {"reason": "empty", "detail": "zero bytes"}


@pytest.mark.parametrize("name", ["notes.txt", "IM-0001.jpeg"])
def test_text_with_an_image_suffix_is_refused(tmp_path: Path, name: str) -> None:
    refusal = read(tmp_path, b"Patient was seen on Monday.", name)
    assert refusal == {"reason": "not an image", "detail": "begins with b'Patient '; expected JPEG, PNG or DICOM"}


def test_a_header_that_breaks_off_is_truncated(tmp_path: Path) -> None:
    refusal = read(tmp_path, encode()[:12] + b"\xff\xc0\x00\x03\x08")
    assert refusal == {
        "reason": "truncated",
        "detail": "a JPEG that ends before its pixels; copy or export the file again",
    }


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


def test_a_broken_link_is_reported_as_broken(tmp_path: Path) -> None:
    (tmp_path / "link.jpeg").symlink_to(tmp_path / "gone.jpeg")
    assert read_header(str(tmp_path / "link.jpeg"), 1)[0] == "broken link"


class LockedFileSystem(MemoryFileSystem):
    """Files that are there and cannot be opened, which root cannot make on a disk."""

    protocol = "locked"

    def _open(self, path: str, *_: Any, **__: Any) -> Any:
        raise PermissionError(13, "Permission denied", path)


def test_a_file_without_read_permission_is_reported_as_such() -> None:
    fsspec.register_implementation("locked", LockedFileSystem, clobber=True)
    refusal = read_header("locked://train/NORMAL/a.jpeg", 1)
    assert refusal == ("no permission", "Permission denied; change its mode or its owner")


class BrokenFileSystem(MemoryFileSystem):
    """A storage that fails."""

    protocol = "broken"

    def _open(self, path: str, *_: Any, **__: Any) -> Any:
        raise OSError(f"no route to {path}")


def test_the_error_of_a_storage_is_reported() -> None:
    fsspec.register_implementation("broken", BrokenFileSystem, clobber=True)
    refusal = read_header("broken://train/NORMAL/a.jpeg", 1)
    assert isinstance(refusal, Refusal)
    assert refusal.reason == "not an image"
    assert refusal.detail.startswith("OSError: no route to ")


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("TIFF", "a TIFF image"),
        ("GIF", "a GIF image"),
        ("BMP", "a BMP image"),
        ("ICO", "an icon"),
        ("EPS", "PostScript"),
    ],
)
def test_other_kinds_of_image_are_refused_by_their_name(tmp_path: Path, kind: str, name: str) -> None:
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


def test_a_progressive_jpeg_of_as_many_scans_as_are_allowed_is_read(tmp_path: Path) -> None:
    small, large = (encode(size=(side, side), progressive=True) for side in (200, 1000))
    for whole, allowed in ((small, 100), (large, 20)):  # 20 scans of a megapixel are all the work that is allowed
        scan, scans = whole[whole.rindex(b"\xff\xda") : -2], whole.count(b"\xff\xda")
        most = whole[:-2] + (allowed - scans) * scan + whole[-2:]
        assert "width" in read(tmp_path, most)
        assert read(tmp_path, most[:-2] + scan + whole[-2:])["reason"] == "too large"


def test_an_image_of_exactly_as_many_pixels_as_are_allowed_is_read(tmp_path: Path) -> None:
    assert read(tmp_path, encode(size=(1000, 1000)))["width"] == 1000
    assert read(tmp_path, encode(size=(1001, 1000)))["reason"] == "too large"


def test_an_open_file_is_identified_by_its_beginning_at_any_position() -> None:
    file = io.BytesIO(b"%PDF-1.7 and more")
    refusal = describe_image(file, 1)
    assert isinstance(refusal, Refusal)
    assert refusal.detail.startswith("begins with b'%PDF-1.7' (a PDF document); expected")


LIMITS = make_acceptance(min_side=32, max_aspect=2.5, max_chroma=20, min_contrast=1)


@pytest.mark.parametrize(
    ("size", "reason"),
    [
        *(((32, 32), None), ((32, 80), None), ((80, 32), None)),
        *(((31, 32), "too_small"), ((32, 31), "too_small"), ((31, 400), "too_small")),
        *(((32, 81), "extreme_aspect"), ((81, 32), "extreme_aspect")),
    ],
)
def test_an_image_is_refused_below_the_least_side_and_above_the_longest_shape(
    size: tuple[int, int], reason: str | None
) -> None:
    refusal = check_header(size, LIMITS)
    assert (refusal and refusal[0]) == reason


def test_an_image_is_refused_above_the_chroma_that_is_allowed() -> None:
    # Largest less smallest: 20 everywhere; then 21 in the upper half and 20 in the lower.
    tinted = Image.new("RGB", (64, 64), (30, 10, 20))
    assert check_colour(tinted, LIMITS) is None
    tinted.paste((31, 10, 20), (0, 0, 64, 32))
    refusal = check_colour(tinted, LIMITS)
    assert refusal is not None
    assert refusal[0] == "colour"
    assert check_colour(tinted, make_acceptance(max_chroma=20.5)) is None
    assert check_colour(tinted.convert("L"), LIMITS) is None


def test_modes_without_colours_are_grey() -> None:
    assert all(is_grey_mode(mode) for mode in ("L", "LA", "La", "1", "F", "I", "I;16", "I;16B"))
    assert not any(is_grey_mode(mode) for mode in ("RGB", "RGBA", "P", "CMYK", "YCbCr", "HSV"))


def test_an_image_is_refused_below_the_minimum_contrast() -> None:
    # Half 0 and half 2 deviate by 1, half 0 and half 1 by a half.
    assert check_contrast(np.array([[0, 2]], np.uint8), LIMITS) is None
    assert check_contrast(np.array([[0, 1]], np.uint8), LIMITS) == (
        *("blank", "grey values deviate by 0.5 of 255; expected at least 1"),
    )


@pytest.mark.parametrize(
    ("name", "allowed", "refused"),
    [
        ("max_megapixels", (0.001, 0.5, 1000), (0, 1000.5)),
        ("min_side", (1, 2), (0,)),
        ("max_aspect", (1, 1.5), (0.5, 0)),
        ("max_chroma", (0, 0.5, 255), (-0.5, 255.5)),
        ("min_contrast", (0, 0.5, 127), (-0.5, 127.5)),
        ("border_tolerance", (0, 127), (-1, 128)),
        ("min_border", (0.001, 0.499), (0, 0.5)),
        ("max_age", (0, 150), (-1, 151)),
        ("max_ood_score", (0.001, 1), (0, 1.001)),
    ],
)
def test_a_check_of_input_takes_what_lies_within_its_limits(
    name: str, allowed: tuple[float, ...], refused: tuple[float, ...]
) -> None:
    for value in allowed:
        assert getattr(make_acceptance(**{name: value}), name) == value
    for value in refused:
        with pytest.raises(InputError, match=f"{name}: received {value}"):
            make_acceptance(**{name: value})


def phantom() -> Array:
    return draw_phantom(np.random.default_rng(0), "none")


def save(image: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def test_colour_images_are_refused_but_grey_images_stored_as_rgb_are_not() -> None:
    grey = Image.fromarray(phantom())
    red = Image.merge("RGB", (grey, grey.point(lambda value: value // 2), grey.point(lambda value: value // 2)))
    for kind in ("PNG", "JPEG"):
        assert check_colour(Image.open(io.BytesIO(save(grey.convert("RGB"), kind))), LIMITS) is None
        refusal = check_colour(Image.open(io.BytesIO(save(red, kind))), LIMITS)
        assert refusal is not None
        assert refusal[0] == "colour"


@pytest.mark.parametrize(
    ("size", "reason"),
    [((31, 40), "too_small"), ((32, 128), None), ((32, 129), "extreme_aspect"), ((400, 90), "extreme_aspect")],
)
def test_small_and_elongated_images_are_refused(size: tuple[int, int], reason: str | None) -> None:
    assert (check_header(size, STANDARD) or (None,))[0] == reason


def test_a_blank_image_is_refused() -> None:
    refusal = check_contrast(np.full((32, 32), 200, np.uint8), STANDARD)
    assert refusal == ("blank", "grey values deviate by 0.0 of 255; expected at least 10")
    assert check_contrast(phantom(), STANDARD) is None
