"""Mutate headers of DICOM, JPEG and PNG files, and compare every answer with that of another strict reader.

    PYTHONPATH=src python benchmarks/mutations.py [--number 2000] [--seed 2018]

The readers compared with are Pillow, which by default refuses what is cut off, and pydicom with the formulas of PS3.3,
C.11, implemented here independently. Exits with 1 where an exception is not caught or an image differs.
"""

import argparse
import io
import sys
import warnings
import zlib
from collections import Counter
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageOps
from pydicom import Dataset, dcmread
from pydicom.uid import JPEGBaseline8Bit, RLELossless
from tests.dicom_files import compress, make_dataset, write
from tests.images.unusual_files import BASE, CASES, GREY_PALETTE, RECTANGLE, chunk, exif, write_png

from chest_xray.core.types import Array
from chest_xray.images.dicom_display import EDGES
from chest_xray.images.preprocessing import Preparation, PreparedImage, preprocess_file
from chest_xray.images.validation import InputChecks

HEIGHT, WIDTH = BASE.shape
PREPARATION = Preparation(width=WIDTH, height=HEIGHT)
LIMITS = InputChecks(  # as wide as possible, so that files are decoded
    max_megapixels=10,
    min_side=1,
    max_aspect=1000,
    max_chroma=255,
    min_contrast=0,
    border_tolerance=0,
    min_border=0.499,
    max_age=150,
    answer_adults=True,
    max_ood_score=1,
    turn_upright=False,
)
HEADERS = {"DICOM": 700, "JPEG": 700, "PNG": 150}  # bytes in which files are changed
LARGEST_DIFFERENCE = 3  # of 255, on average: decoders of JPEG, and scaling, round differently
SPECIAL = (0, 1, 0x7F, 0x80, 0xFF, 0x20, 0x2D, 0x30, 0x39)


def mutate(data: bytes, header: int, rng: np.random.Generator) -> bytes:
    """Change, insert, remove or repeat one to four times in the header, or cut the file."""
    changed = bytearray(data)
    for _ in range(int(rng.integers(1, 5))):
        at = int(rng.integers(0, min(header, len(changed))))
        match int(rng.integers(0, 8)):
            case 0:
                changed[at] = int(rng.integers(0, 256))
            case 1:
                changed[at] = int(rng.choice(SPECIAL))
            case 2:
                changed[at] ^= 1 << int(rng.integers(0, 8))
            case 3:
                del changed[at : at + int(rng.integers(1, 5))]
            case 4:
                changed[at:at] = rng.bytes(int(rng.integers(1, 5)))
            case 5:
                length = int(rng.integers(1, 40))
                changed[at:at] = changed[at : at + length]
            case 6:
                changed[at : at + 2] = int(rng.integers(0, 65536)).to_bytes(2, "big")
            case _ if rng.random() < 0.2:
                del changed[int(rng.integers(1, len(changed))) :]
    return bytes(changed)


def mend_checksums(data: bytes) -> bytes:
    """Write the right checksums into a PNG, so that mutations reach what is behind them."""
    changed, at = bytearray(data), 8
    while at + 12 <= len(changed):
        length = int.from_bytes(changed[at : at + 4], "big")
        end = at + 8 + length
        if end + 4 > len(changed):
            break
        changed[end : end + 4] = zlib.crc32(changed[at + 4 : end]).to_bytes(4, "big")
        at = end + 4
    return bytes(changed)


def read_by_pillow(data: bytes) -> Array | None:
    """Grey of a JPEG or PNG, 8 bits; None where Pillow refuses it or reads it by another rule than this project."""
    with Image.open(io.BytesIO(data), formats=("JPEG", "PNG")) as image:
        if image.format == "PNG" and data[24] == 16:
            return read_deep(data, image)
        image.draft("L", image.size)  # The luma itself: of colours out of range it is another.
        ImageOps.exif_transpose(image, in_place=True)
        image.load()
        if "transparency" in image.info or image.mode in ("LA", "RGBA", "PA"):
            if image.mode == "L" and data[24] < 8:
                return None  # Pillow compares the transparent value with scaled ones.
            layered = image.convert("RGBA")
            return np.asarray(
                Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), layered).convert("L")
            )
        return np.asarray(image.convert("L"))


def read_deep(data: bytes, image: Image.Image) -> Array | None:
    """Grey of a 16-bit PNG without opacity; of others Pillow has the upper byte alone."""
    if data[25] != 0 or "transparency" in image.info:
        return None
    values = np.asarray(image)
    return (values >> max(int(values.max()).bit_length() - 8, 0)).astype(np.uint8)


def read_by_pydicom(data: bytes) -> Array | None:
    """Grey of a DICOM file by its window, or stretched; None for what the formulas written here do not cover."""
    dataset = dcmread(io.BytesIO(data))
    if dataset.file_meta.TransferSyntaxUID == JPEGBaseline8Bit:  # On some damaged ones GDCM ends the process.
        dataset.pixel_array_options(decoding_plugin="pillow")
    pixels = dataset.pixel_array.astype(float)
    if dataset.PhotometricInterpretation not in ("MONOCHROME1", "MONOCHROME2") or "PixelPaddingValue" in dataset:
        return None
    if "VOILUTSequence" in dataset or "ModalityLUTSequence" in dataset or dataset.HighBit != dataset.BitsStored - 1:
        return None
    slope, intercept = dataset.get("RescaleSlope"), dataset.get("RescaleIntercept")
    values = pixels * float(1 if slope is None else slope) + float(intercept or 0)
    centre, width = dataset.get("WindowCenter"), dataset.get("WindowWidth")
    if centre is None or width is None:
        return None
    centre, width = float(np.ravel(centre)[0]), float(np.ravel(width)[0])
    if not width >= 1 or (dataset.get("VOILUTFunction") or "LINEAR") != "LINEAR":
        return None
    shown = np.where(values > centre - 0.5, 1.0, 0.0)
    if width > 1:
        shown = np.clip((values - (centre - 0.5)) / (width - 1) + 0.5, 0, 1)
    grey = np.rint(shown * 255).astype(np.uint8)
    return lay_out(255 - grey if dataset.PhotometricInterpretation == "MONOCHROME1" else grey, dataset)


def lay_out(grey: Array, dataset: Dataset) -> Array | None:
    """Close a rectangular shutter (PS3.3, C.7.6.11), and let the patient face the viewer; None for other shutters."""
    if shape := dataset.get("ShutterShape"):
        if str(shape).strip().upper() != "RECTANGULAR":
            return None
        places = (int(dataset[f"Shutter{edge}Edge"].value) for edge in EDGES)
        left, right, upper, lower = (max(place, 0) for place in places)
        inside = np.zeros(grey.shape, bool)
        inside[max(upper - 1, 0) : lower, max(left - 1, 0) : right] = True
        grey = np.where(inside, grey, np.uint8(round(int(dataset.get("ShutterPresentationValue") or 0) / 257)))
    towards = [str(each).strip().upper()[:1] for each in np.ravel(dataset.get("PatientOrientation") or "")]
    return grey[:, ::-1] if towards == ["R", "F"] else grey


def list_originals() -> dict[str, list[bytes]]:
    """Sound files of each kind."""
    from tests.builders import encode

    deep = np.asarray(np.round(BASE / 255 * 4095), np.uint16)
    window = {"WindowCenter": 2048, "WindowWidth": 4096, "RescaleSlope": 1, "RescaleIntercept": 0}
    plain = make_dataset(deep, bits=12, **window)
    layout = {"ShutterShape": "RECTANGULAR", **RECTANGLE, "PatientOrientation": ["R", "F"], "PixelSpacing": [0.2, 0.1]}
    dicoms = [write(make_dataset(deep, bits=12, **window, **layout))]
    dicoms += [write(plain), write(compress(make_dataset(deep, bits=12, **window), RLELossless))]
    dicoms += [case.build() for case in CASES if case.name in ("JPEG whole", "Implicit VR Little Endian")]
    grey = BASE[..., None]
    pngs = [encode(BASE), encode(np.stack([BASE] * 3, axis=-1)), encode(deep), write_png(grey, 8, 0, 1)]
    pngs += [
        write_png(np.round(grey / 17), 4, 0),
        encode(np.stack([BASE, BASE, BASE, np.full_like(BASE, 255)], axis=-1)),
    ]
    extra = chunk(b"gAMA", bytes(4)) + chunk(b"tEXt", b"text") + chunk(b"tRNS", b"\0\7") + chunk(b"eXIf", exif(1))
    pngs += [write_png(grey, 8, 0, before=extra), write_png(deep[..., None], 16, 0, before=extra)]
    pngs.append(write_png(grey, 8, 3, before=chunk(b"PLTE", GREY_PALETTE) + chunk(b"tRNS", b"\xff\xff\0")))
    jpegs = [
        encode(BASE, "JPEG", quality=95, **each)
        for each in ({}, {"progressive": True}, {"exif": b"Exif\0\0" + exif(1)})
    ]
    jpegs.append(encode(np.stack([BASE] * 3, axis=-1), "JPEG", quality=95))
    return {"DICOM": dicoms, "JPEG": jpegs, "PNG": pngs}


def check(data: bytes, reader: Callable[[bytes], Array | None]) -> str:
    """Say how the answer for a file compares with that of another reader."""
    found = preprocess_file(data, PREPARATION, LIMITS)
    if not isinstance(found, PreparedImage):
        return "refused"
    try:
        reference = reader(data)
    except Exception:  # Whatever that reader raises.
        return "answered, where the other reader refuses"
    if reference is None or found.warnings:  # Of a damaged picture, what looks like a border is cut off.
        return "answered, not compared"
    scaled = np.asarray(Image.fromarray(reference).resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR)).astype(float)
    return "equal" if np.abs(found.pixels - scaled).mean() <= LARGEST_DIFFERENCE else "DIFFERENT"


def run(number: int, seed: int) -> Counter[tuple[str, str]]:
    """Count outcomes by kind."""
    counts: Counter[tuple[str, str]] = Counter()
    for kind, originals in list_originals().items():
        rng = np.random.default_rng([seed, len(kind)])
        for index in range(number):
            data = mutate(originals[index % len(originals)], HEADERS[kind], rng)
            if kind == "PNG" and index % 2:
                data = mend_checksums(data)
            try:
                outcome = check(data, read_by_pydicom if kind == "DICOM" else read_by_pillow)
            except Exception as error:  # None may leave `preprocess_file`.
                outcome = f"EXCEPTION {type(error).__name__}: {error}"
            counts[kind, outcome] += 1
            if outcome.isupper() or outcome.startswith("EXCEPTION"):
                print(kind, index, outcome, data[:120])
    return counts


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--number", type=int, default=2000, help="mutated files of each kind")
    parser.add_argument("--seed", type=int, default=2018)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    outcomes = run(options.number, options.seed)
    for (kind, outcome), count in sorted(outcomes.items()):
        print(f"{kind:6} {outcome:45} {count:6}")
    sys.exit(any(outcome.startswith(("DIFFERENT", "EXCEPTION")) for _, outcome in outcomes))
