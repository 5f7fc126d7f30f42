"""DICOM files are read as their own window shows them, or not at all and with a reason."""

import io
import struct
import tracemalloc
import warnings
import zlib
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from PIL.Image import new
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate, generate_frames
from pydicom.pixels.processing import convert_color_space
from pydicom.uid import JPEG2000, DeflatedExplicitVRLittleEndian, JPEGBaseline8Bit, RLELossless

from chest_xray.core.types import Array
from chest_xray.images.dicom import read_dicom
from chest_xray.images.dicom_display import EDGES, UnsupportedDicomError, lay_out, render_grey
from chest_xray.images.dicom_streams import (
    JPEG_2000,
    read_stream_header,
    refuse_stream,
    require_sound_header,
    require_sound_segments,
    require_whole_stream,
)
from chest_xray.images.header import ImageError, is_dicom
from tests.builders import encode
from tests.dicom_files import compress, make_dataset, ramp, write
from tests.images.unusual_files import transcode


def grey(dataset: Dataset | bytes) -> Array:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Of pydicom, about values in its own samples.
        image = read_dicom(dataset if isinstance(dataset, bytes) else write(dataset), 10)
    assert image.mode == "L"
    return np.asarray(image)


def local_file(name: str) -> bytes:
    path = get_testdata_file(name, download=False)
    assert isinstance(path, str)
    with open(path, "rb") as file:  # noqa: PTH123
        return file.read()


def test_eight_bits_without_a_window_stay_as_they_are() -> None:
    np.testing.assert_array_equal(grey(make_dataset(ramp(np.uint8, 30, 200))), ramp(np.uint8, 30, 200))


def test_monochrome1_is_inverted() -> None:
    dataset = make_dataset(ramp(np.uint8, 30, 200), PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_array_equal(grey(dataset), 255 - ramp(np.uint8, 30, 200))


@pytest.mark.parametrize(
    ("pixels", "bits"),
    [(ramp(np.uint16, 0, 4095), 12), (ramp(np.uint16, 7, 65535), 16), (ramp(np.int16, -900, 70), 16)],
)
def test_deeper_values_without_a_window_are_stretched_to_the_full_range(pixels: Array, bits: int) -> None:
    found = grey(make_dataset(pixels, bits=bits))
    expected = (pixels.astype(float) - pixels.min()) / np.ptp(pixels.astype(float)) * 255
    assert np.abs(found - expected).max() <= 0.5
    assert (found.min(), found.max()) == (0, 255)


def test_a_window_is_applied_as_the_dicom_standard_defines_it() -> None:
    dataset = make_dataset(ramp(np.uint16, 0, 4095), bits=12, WindowCenter=2048, WindowWidth=1024)
    values = ramp(np.uint16, 0, 4095).astype(float)
    # PS3.3, C.11.2.1.2.1, from 0 to 255.
    expected = np.clip(((values - (2048 - 0.5)) / (1024 - 1) + 0.5) * 255, 0, 255)
    assert np.abs(grey(dataset) - expected).max() <= 0.51


@pytest.mark.parametrize("function", ["LINEAR_EXACT", "SIGMOID"])
def test_the_other_functions_of_a_window_reach_over_the_full_range(function: str) -> None:
    dataset = make_dataset(
        ramp(np.uint16, 0, 4095), bits=12, WindowCenter=2048, WindowWidth=600, VOILUTFunction=function
    )
    found = grey(dataset)
    assert (found[0, 0], found[0, -1]) == (0, 255)
    assert (np.diff(found[0].astype(int)) >= 0).all()


def test_values_are_rescaled_before_the_window() -> None:
    scaled = make_dataset(
        *(ramp(np.int16, -1000, 1000),), RescaleSlope=2, RescaleIntercept=100, WindowCenter=100, WindowWidth=4001
    )
    assert grey(scaled)[0, [0, 30, -1]].tolist() == [0, 130, 255]  # -1900, 134 and 2100 between -1900 and 2100


def test_a_lookup_table_goes_before_a_window() -> None:
    table = Dataset()
    table.LUTDescriptor = [256, 0, 12]
    table["LUTDescriptor"].VR = "US"
    table.LUTData = np.linspace(4095, 0, 256).astype("<u2").tobytes()
    table["LUTData"].VR = "OW"
    dataset = make_dataset(ramp(np.uint8, 0, 255), VOILUTSequence=[table], WindowCenter=10, WindowWidth=2)
    assert grey(dataset)[0, [0, -1]].tolist() == [255, 0]


def test_a_lookup_table_of_eight_bits_is_applied() -> None:
    table = Dataset()
    table.LUTDescriptor = [256, 0, 8]
    table["LUTDescriptor"].VR = "US"
    table.LUTData = np.arange(255, -1, -1).astype("<u2").tobytes()
    table["LUTData"].VR = "OW"
    dataset = make_dataset(ramp(np.uint8, 0, 255), VOILUTSequence=[table])
    np.testing.assert_array_equal(grey(dataset), 255 - ramp(np.uint8, 0, 255))


@pytest.mark.parametrize(("dtype", "high"), [(np.uint8, 255), (np.uint16, 4095)])
def test_lossless_compression_changes_nothing(dtype: Any, high: int) -> None:
    bits = 8 if dtype is np.uint8 else 12
    plain, packed = (make_dataset(ramp(dtype, 0, high), bits=bits) for _ in range(2))
    compress(packed, RLELossless)
    np.testing.assert_array_equal(grey(packed), grey(plain))


@pytest.mark.parametrize(("syntax", "kind"), [(JPEGBaseline8Bit, "JPEG"), (JPEG2000, "JPEG2000")])
def test_lossy_compression_is_read(syntax: Any, kind: str) -> None:
    dataset = make_dataset(ramp(np.uint8, 0, 255))
    dataset.PixelData = encapsulate([encode(ramp(np.uint8, 0, 255), kind)])
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
    dataset.file_meta.TransferSyntaxUID = syntax
    assert np.abs(grey(dataset).astype(int) - ramp(np.uint8, 0, 255)).max() < 12


@pytest.mark.parametrize(
    "name",
    [
        *("CT_small.dcm", "MR_small.dcm", "MR_small_RLE.dcm", "MR_small_jp2klossless.dcm", "MR_small_bigendian.dcm"),
        *("MR_small_jpeg_ls_lossless.dcm", "MR_small_expb.dcm", "MR_small_implicit.dcm"),
        "image_dfl.dcm",
    ],
)
def test_files_of_others_agree_with_the_pipeline_of_pydicom(name: str) -> None:
    from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = dcmread(io.BytesIO(local_file(name)))
        shown = apply_voi_lut(apply_modality_lut(dataset.pixel_array, dataset), dataset).astype(float)
        found = grey(local_file(name)).astype(float)
    assert found.shape == (dataset.Rows, dataset.Columns)
    # The two are the same but for a line between their ends.
    slope, offset = np.polyfit(shown.ravel(), found.ravel(), 1)
    assert slope > 0
    assert np.abs(slope * shown + offset - found).max() <= 0.75


def test_colours_stay_for_the_check_of_colour_to_see() -> None:
    image = read_dicom(local_file("SC_rgb_rle.dcm"), 10)
    assert image.mode == "RGB"
    assert np.ptp(np.asarray(image), axis=2).max() == 255


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (lambda: local_file("SC_rgb_rle_2frame.dcm"), "2 frames; expected one"),
        (lambda: local_file("rtplan.dcm"), "an object of modality RTPLAN without integer pixels"),
        (lambda: local_file("examples_palette.dcm"), "photometric interpretation PALETTE COLOR; expected MONOCHROME1"),
        (
            lambda: write(make_dataset(np.zeros((4, 4), np.uint8), Rows=60000, Columns=60000)),
            "60000 x 60000 pixels; at most 10 megapixels are read",
        ),
    ],
)
def test_what_is_no_single_image_is_refused(data: Any, message: str) -> None:
    with pytest.raises(UnsupportedDicomError, match=message):
        read_dicom(data(), 10)


def test_a_deflated_bomb_is_refused_before_it_is_inflated() -> None:
    dataset = make_dataset(np.zeros((4, 4), np.uint8))
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    whole = write(dataset)
    start = whole.rindex(zlib_start(whole))
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    bomb = whole[:start] + packer.compress(bytes(90_000_000)) + packer.flush()
    assert len(bomb) < 100_000
    tracemalloc.start()
    with pytest.raises(UnsupportedDicomError, match="inflates to more than 80 MB"):
        read_dicom(bomb, 10)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 20_000_000


def pack_stream(stream: bytes, rows: int, columns: int, syntax: Any) -> bytes:
    dataset = make_dataset(np.zeros((4, 4), np.uint8), Rows=rows, Columns=columns)
    dataset.PixelData = encapsulate([stream])
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
    dataset.file_meta.TransferSyntaxUID = syntax
    return write(dataset)


@pytest.mark.parametrize(("syntax", "kind"), [(JPEGBaseline8Bit, "JPEG"), (JPEG2000, "JPEG2000")])
def test_a_compressed_image_larger_than_declared_is_refused_before_it_is_decoded(syntax: Any, kind: str) -> None:
    stream = encode(ramp(np.uint8, 0, 255, (300, 500)), kind)
    assert (read_stream_header(stream) or ())[:2] == (500, 300)
    data = pack_stream(stream, 40, 60, syntax)
    with pytest.raises(UnsupportedDicomError, match=r"image of 500 x 300 pixels of 1 .* declares 60 x 40 of 1"):
        read_dicom(data, 10)


def test_an_image_that_a_few_bytes_unfold_to_is_refused() -> None:
    file = encode(np.zeros((40, 60), np.uint8), "JPEG2000")
    stream = bytearray(file[file.index(JPEG_2000) :])
    for at, value in ((8, 9_000), (12, 9_000), (24, 9_000), (28, 9_000)):  # extent of the image, and of a tile
        stream[at : at + 4] = value.to_bytes(4, "big")
    data = pack_stream(bytes(stream), 9_000, 9_000, JPEG2000)
    assert len(data) < 2_000
    with pytest.raises(UnsupportedDicomError, match=r"9000 x 9000 pixels in \d+ bytes; at most 2000 pixels a byte"):
        read_dicom(data, 100)


@pytest.mark.parametrize("kind", ["JPEG", "JPEG2000"])
def test_the_header_of_a_stream_that_is_cut_anywhere_is_read_or_unknown(kind: str) -> None:
    stream = encode(ramp(np.uint8, 0, 255), kind)
    for length in range(24, 400):
        with suppress(ImageError):
            assert read_stream_header(stream[:length]) in (None, (60, 40, 1, 8))


def test_pixels_that_are_not_even_announced_may_be_none() -> None:
    whole = write(make_dataset(ramp(np.uint8, 0, 255)))
    with pytest.raises(ImageError, match="ends before its pixels do; "):
        read_dicom(whole[:-1], 10)
    pixels_and_length = 40 * 60 + 12
    with pytest.raises(ImageError, match="ends before its pixels do, or has none; "):
        read_dicom(whole[:-pixels_and_length], 10)


def test_colours_without_a_statement_of_their_sign_have_none() -> None:
    dataset = dcmread(io.BytesIO(pack_stream(encode(GREY_RAMP, "JPEG"), 40, 60, JPEGBaseline8Bit)))
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 3, "YBR_FULL_422"
    del dataset.PixelRepresentation
    assert np.abs(np.asarray(read_dicom(write(dataset), 10)).astype(int) - GREY_RAMP).max() < 12


def zlib_start(whole: bytes) -> bytes:
    """What follows the file's meta information, the length of which is its first element."""
    length = int.from_bytes(whole[140:144], "little")
    return whole[144 + length :]


def test_a_dicom_file_is_recognised_by_its_prefix() -> None:
    assert is_dicom(write(make_dataset(np.zeros((4, 4), np.uint8))))
    assert not is_dicom(b"DICM" + bytes(200))


def test_twelve_bits_of_jpeg_extended_which_no_decoder_here_reads_are_refused_and_not_guessed() -> None:
    message = r"12 bits in the transfer syntax JPEG Extended .*\(1\.2\.840\.10008\.1\.2\.4\.51\); .*`dcmdjpeg IN OUT`"
    with pytest.raises(ImageError, match=message):
        grey(local_file("JPGExtended.dcm"))


def frame_header(marker: int, rows: int, columns: int) -> bytes:
    """A JPEG segment of 17 bytes after its marker: length, bits, rows, columns, and three components."""
    return bytes([0xFF, marker, 0, 17, 8]) + rows.to_bytes(2, "big") + columns.to_bytes(2, "big") + b"\3" + bytes(9)


FRAMES = (0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF, 0xF7)


@pytest.mark.parametrize("marker", FRAMES)
def test_the_size_of_every_kind_of_jpeg_is_read_from_its_frame_header(marker: int) -> None:
    assert read_stream_header(b"\xff\xd8" + frame_header(marker, 300, 500)) == (500, 300, 3, 8)


@pytest.mark.parametrize("marker", [0xBF, 0xC4, 0xC8, 0xCC, 0xD0, 0xDB, 0xE0, 0xF6, 0xF8, 0xFE])
def test_a_segment_of_another_kind_before_the_frame_header_is_passed_over(marker: int) -> None:
    stream = b"\xff\xd8" + frame_header(marker, 7, 9) + frame_header(0xC0, 300, 500)
    assert (read_stream_header(stream) or ())[:2] == (500, 300)


def test_fill_bytes_before_a_marker_are_passed_over() -> None:
    assert read_stream_header(b"\xff\xd8\xff\xff\xff" + frame_header(0xC0, 300, 500)) == (500, 300, 3, 8)


def test_a_header_is_read_as_soon_as_it_is_whole() -> None:
    jpeg = b"\xff\xd8" + frame_header(0xC0, 300, 500)
    assert read_stream_header(jpeg) == (500, 300, 3, 8)
    with pytest.raises(ImageError, match="ends before its pixels"):
        read_stream_header(jpeg[:-1])
    # SOC, then SIZ with length and capabilities; the image from (100, 50) to (700, 500), tiles, 3 samples of 12 bits.
    extent = b"".join(each.to_bytes(4, "big") for each in (700, 500, 100, 50))
    jpeg_2000 = JPEG_2000 + bytes(4) + extent + bytes(16) + b"\0\3\x8b"
    assert read_stream_header(jpeg_2000) == (600, 450, 3, 12)
    assert read_stream_header(jpeg_2000[:-1]) is None
    boxes = bytes(4) + b"jP  " + bytes(9)  # as a JP2 file begins
    assert read_stream_header(boxes + jpeg_2000) == (600, 450, 3, 12)
    assert read_stream_header(bytes(17) + jpeg_2000) is None
    assert read_stream_header(bytes(100)) is None


@pytest.mark.parametrize(("low", "high"), [(0, 200), (30, 255), (0, 255)])
def test_eight_bits_stay_as_they_are_up_to_both_ends(low: int, high: int) -> None:
    np.testing.assert_array_equal(grey(make_dataset(ramp(np.uint8, low, high))), ramp(np.uint8, low, high))


@pytest.mark.parametrize(("slope", "intercept"), [(2, 0), (1, -100), (0.0001, -1), (2, 1)])
def test_eight_bits_stay_as_they_are_after_any_rescaling(slope: float, intercept: float) -> None:
    found = grey(make_dataset(ramp(np.uint8, 0, 200), RescaleSlope=slope, RescaleIntercept=intercept))
    np.testing.assert_array_equal(found, ramp(np.uint8, 0, 200))


def test_a_deflated_file_that_is_cut_ends_in_an_error() -> None:
    dataset = make_dataset(ramp(np.uint8, 0, 255))
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    with pytest.raises(ImageError, match="ends before its data do"):
        read_dicom(write(dataset)[:-20], 10)


def test_an_image_of_one_deep_value_is_black() -> None:
    assert not grey(make_dataset(np.full((4, 4), 900, np.uint16), bits=12)).any()


@pytest.mark.parametrize("half", [{"WindowWidth": 50}, {"WindowCenter": 100}])
def test_half_a_window_is_none(half: dict[str, int]) -> None:
    np.testing.assert_array_equal(grey(make_dataset(ramp(np.uint8, 30, 200), **half)), ramp(np.uint8, 30, 200))


@pytest.mark.parametrize(("bits", "shown"), [(16, 0xAB), (12, 0xAB), (8, 0xAB)])
def test_deep_colours_keep_their_eight_most_significant_bits(bits: int, shown: int) -> None:
    value = 0xABCD >> (16 - bits)
    pixels = np.full((4, 4, 3), value, np.uint8 if bits == 8 else np.uint16)
    settings = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0}
    image = read_dicom(write(make_dataset(pixels, bits=bits, **settings)), 10)
    assert image.mode == "RGB"
    assert (np.asarray(image) == shown).all()


def test_a_dicom_image_of_exactly_as_many_pixels_as_are_allowed_is_read() -> None:
    data = write(make_dataset(ramp(np.uint8, 0, 255, (100, 100)), NumberOfFrames=1))
    assert read_dicom(data, 0.01).size == (100, 100)
    with pytest.raises(UnsupportedDicomError, match=r"100 x 100 pixels; at most 0\.0099 megapixels are read"):
        read_dicom(data, 0.0099)


def test_a_compressed_image_may_have_2000_pixels_a_byte() -> None:
    refused = "at most 2000 pixels a byte are read"
    for rows, columns, message in ((1000, 1000, "damaged pixels"), (1125, 889, refused), (889, 1125, refused)):
        # After 500 bytes of which the header is sound, the decoder is asked for the first picture and not the second.
        frame = b"\xff\xc0\0\x0b\x08" + rows.to_bytes(2, "big") + columns.to_bytes(2, "big") + b"\1\1\x11\0"
        scan = b"\xff\xda\0\x08\1\1\0\0\x3f\0"
        stream = (b"\xff\xd8" + frame + scan).ljust(498, b"\0") + b"\xff\xd9"
        with pytest.raises((ImageError, UnsupportedDicomError), match=message):
            read_dicom(pack_stream(stream, rows, columns, JPEGBaseline8Bit), 10)


def test_a_deflated_file_may_inflate_to_eight_bytes_a_pixel() -> None:
    dataset = make_dataset(ramp(np.uint8, 0, 255, (100, 100)))
    header = dataset.private_block(0x0009, "a test", create=True)
    header.add_new(1, "OB", b"")
    missing = 80_000 - len(zlib_start(write(dataset)))
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    header[1].value = bytes(missing)
    assert read_dicom(write(dataset), 0.01).size == (100, 100)
    header[1].value = bytes(missing + 2)
    with pytest.raises(UnsupportedDicomError, match="inflates to more than 0 MB"):
        read_dicom(write(dataset), 0.01)


@pytest.mark.parametrize("blank", [b"", b"  "])
def test_a_window_of_blank_bytes_is_none(blank: bytes) -> None:
    dataset = make_dataset(ramp(np.uint8, 30, 200), WindowCenter=100)
    dataset.add_new("WindowWidth", "OB", blank)
    np.testing.assert_array_equal(grey(dataset), ramp(np.uint8, 30, 200))


def test_padding_above_zero_is_found_among_signed_values() -> None:
    dataset = make_dataset(np.array([[-100, 20, 100, 2000]], np.int16))
    dataset.add_new("PixelPaddingValue", "SS", 2000)
    assert grey(dataset).tolist() == [[0, 153, 255, 0]]  # 120 of 200 is 153 of 255


def make_table(descriptor: list[int], data: bytes) -> Dataset:
    table = Dataset()
    table.add_new("LUTDescriptor", "US", descriptor)
    table.add_new("LUTData", "OW", data)
    return table


def test_two_entries_in_each_word_are_of_eight_bits_at_most() -> None:
    packed = np.arange(255, -1, -1).astype(np.uint8).tobytes()
    dataset = make_dataset(ramp(np.uint8, 0, 255), VOILUTSequence=[make_table([256, 0, 8], packed)])
    np.testing.assert_array_equal(grey(dataset), 255 - ramp(np.uint8, 0, 255))
    dataset.VOILUTSequence = [make_table([256, 0, 9], packed)]
    with pytest.raises(UnsupportedDicomError, match="a lookup table of 256 entries that holds 128"):
        grey(dataset)


def test_a_lookup_table_of_empty_text_is_none() -> None:
    table = Dataset()
    table.add_new("LUTDescriptor", "LO", "")
    table.add_new("LUTData", "LO", "")
    dataset = make_dataset(ramp(np.uint8, 30, 200), VOILUTSequence=[table])
    np.testing.assert_array_equal(grey(dataset), ramp(np.uint8, 30, 200))


def test_half_a_word_at_the_end_of_a_lookup_table_is_left_out() -> None:
    data = np.arange(255, -1, -1).astype("<u2").tobytes() + b"\1"
    dataset = make_dataset(ramp(np.uint8, 0, 255), VOILUTSequence=[make_table([256, 0, 8], data)])
    np.testing.assert_array_equal(render_grey(ramp(np.uint8, 0, 255), dataset), 255 - ramp(np.uint8, 0, 255))


def test_the_end_marker_of_a_jpeg_is_looked_for_in_its_last_sixteen_bytes() -> None:
    require_whole_stream(b"\xff\xd8 pixels \xff\xd9" + b"x" * 14)
    require_whole_stream(b"\xff\xd8 pixels \xff\xd9" + bytes(100))
    for end in (b"", b"\xff", b"\xff\xd9" + b"x" * 15):
        with pytest.raises(ImageError, match="a JPEG in a DICOM file that ends without its end marker"):
            require_whole_stream(b"\xff\xd8 pixels " + end)


def test_bytes_between_the_segments_of_a_lossless_jpeg_are_counted() -> None:
    with pytest.raises(ImageError, match="a JPEG in a DICOM file with 3 bytes between segments"):
        require_sound_header(b"\xff\xd8" + bytes(3) + b"\xff\xc4\0\2")


def test_a_tile_part_without_a_length_reaches_to_the_end_marker() -> None:
    stream = JPEG_2000 + b"\xff\x90\0\x0a" + bytes(6) + b"pixels"
    require_whole_stream(stream + b"\xff\xd9")
    with pytest.raises(ImageError, match="a JPEG 2000 image in a DICOM file that ends before its last tile does"):
        require_whole_stream(stream)


def test_bytes_after_the_end_marker_of_jpeg_2000_do_not_count() -> None:
    tile_part = b"\xff\x90\0\x0a\0\0" + (16).to_bytes(4, "big") + b"pixels"
    require_whole_stream(JPEG_2000 + tile_part * 2 + b"\xff\xd9" + b"more")


def make_elements(rows: int, columns: int) -> Dataset:
    dataset = Dataset()
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel, dataset.BitsAllocated = rows, columns, 1, 8
    return dataset


def test_a_jpeg_2000_image_has_two_bits_or_more() -> None:
    extent = b"".join(each.to_bytes(4, "big") for each in (60, 40, 0, 0))
    stream = JPEG_2000 + bytes(4) + extent + bytes(16) + b"\0\1"
    refuse_stream(stream + b"\1", make_elements(40, 60))
    with pytest.raises(UnsupportedDicomError, match="image of 1 bits in a file of 8; expected 2 to 8"):
        refuse_stream(stream + b"\0", make_elements(40, 60))


def test_a_code_of_rle_without_effect_is_passed_over() -> None:
    require_sound_segments(struct.pack("<16I", 1, 64, *[0] * 14) + b"\x80\x01ab", make_elements(1, 2))


@pytest.mark.parametrize(("value", "shade"), [(-70_000, 0), (0, 0), (0x8080, 128), (65_535, 255), (70_000, 255)])
def test_a_shutter_has_the_stated_shade_or_the_nearest_of_eight_bits(value: int, shade: int) -> None:
    dataset = Dataset()
    dataset.ShutterShape = "RECTANGULAR"
    for edge, place in zip(EDGES, (2, 4, 1, 3), strict=True):
        setattr(dataset, f"Shutter{edge}Edge", place)
    dataset.add_new("ShutterPresentationValue", "SL", value)
    assert np.asarray(lay_out(new("L", (4, 3), 7), dataset)).tolist() == [[shade, 7, 7, 7]] * 3


GREY_RAMP = np.stack([ramp(np.uint8, 0, 255)] * 3, axis=-1)


@pytest.mark.parametrize("planar", [0, 1])
@pytest.mark.parametrize("syntax", ["JPEGLosslessProcess14", "JPEGLosslessProcess14_1", "JPEGLSLossless"])
@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL"])
def test_lossless_colours_are_those_declared_pixel_by_pixel_whatever_planar_configuration_is_stated(
    photometric: str, syntax: str, planar: int
) -> None:
    pixels = GREY_RAMP if photometric == "RGB" else convert_color_space(GREY_RAMP, "RGB", "YBR_FULL")
    colours: dict[str, Any] = {"SamplesPerPixel": 3, "PlanarConfiguration": 0, "PhotometricInterpretation": photometric}
    dataset = dcmread(io.BytesIO(transcode(write(make_dataset(pixels, **colours)), syntax)))
    dataset.PlanarConfiguration = planar
    np.testing.assert_allclose(np.asarray(read_dicom(write(dataset), 10)), GREY_RAMP, atol=1)


@pytest.mark.parametrize(("transformation", "is_known"), [(0, True), (1, True), (2, False), (9, False)])
def test_an_unknown_transformation_of_adobe_does_not_end_the_process(transformation: int, is_known: bool) -> None:
    pixels = convert_color_space(GREY_RAMP, "RGB", "YBR_FULL")
    colours: dict[str, Any] = {"SamplesPerPixel": 3, "PlanarConfiguration": 0, "PhotometricInterpretation": "YBR_FULL"}
    data = transcode(write(make_dataset(pixels, **colours)), "JPEGLosslessProcess14_1")
    dataset = dcmread(io.BytesIO(data))
    stream = next(generate_frames(dataset.PixelData, number_of_frames=1))
    marked = stream[:2] + b"\xff\xee\0\x0eAdobe\0\x64" + bytes([0, 0, 0, 0, transformation]) + stream[2:]
    dataset.PixelData = encapsulate([marked + bytes(len(marked) % 2)])
    if is_known:
        np.testing.assert_allclose(np.asarray(read_dicom(write(dataset), 10)), GREY_RAMP, atol=1)
    else:
        with pytest.raises(ImageError, match=f"Adobe's colour transformation {transformation}; expected 0 or 1"):
            read_dicom(write(dataset), 10)


def test_bits_of_colours_in_jpeg_2000_beyond_those_stored_are_refused_and_not_cleared() -> None:
    colours: dict[str, Any] = {"SamplesPerPixel": 3, "PlanarConfiguration": 0, "PhotometricInterpretation": "RGB"}
    dataset = dcmread(io.BytesIO(transcode(write(make_dataset(GREY_RAMP, **colours)), "JPEG2000Lossless")))
    dataset.BitsStored, dataset.HighBit = 7, 6
    with pytest.raises(UnsupportedDicomError, match="pixels use bits that BitsStored 7 and HighBit 6 leave out"):
        read_dicom(write(dataset), 10)
