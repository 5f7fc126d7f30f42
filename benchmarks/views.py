"""Measure the input checks on radiographs and on pictures of other kinds, with 95% Wilson intervals.

    python benchmarks/views.py fit DATA FOLDER                   # the shipped network, with a detector fitted anew
    python benchmarks/views.py measure DATA FOLDER [--others PICTURES]

DATA is `train` of the Kermany data set; test is not opened. `fit` leaves out 30% of the patients, of whom `measure`
takes half: as they are, turned, mirrored, cropped, inverted and with borders. The other half served for choices.
PICTURES holds one folder of PNG or JPEG files for each further kind. Phantoms are drawn anew.
"""

import argparse
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import yaml
from PIL import Image, ImageOps
from scipy.stats import binomtest

from chest_xray.images.decoding import read_pixels
from chest_xray.images.kermany import parse_name
from chest_xray.images.phantoms import PARTS, draw_body_part
from chest_xray.images.validation import InputChecks
from chest_xray.models.contract import CONTRACT, OOD_DETECTOR
from chest_xray.models.inference import Prediction, Predictor
from chest_xray.models.shipping import SHIPPED
from chest_xray.models.views import ViewTraining, fit_view_classifier
from chest_xray.serving.page_contents import encode_png

SHARE_OUT, SHARE_MEASURED, SEED = 0.3, 0.15, 7  # fractions of the patients
NUM_CHANGED = 300  # radiographs for each change
NUM_PHANTOMS = 100  # of each body part
PARAMETERS = Path(__file__).parents[1] / "conf/base/parameters_export.yml"
MAX_MEGAPIXELS = 200


def split_patients(data: Path) -> tuple[list[Path], list[Path]]:
    """Return the files of train for fitting, and those to measure on, whole patients each; the rest served choices."""
    files = sorted(data.glob("*/*.jpeg"))
    groups = [parse_name(path.as_posix()).group for path in files]
    names = np.unique(groups)
    drawn = dict(zip(names.tolist(), np.random.default_rng(SEED).random(len(names)), strict=True))
    places = [drawn[group] for group in groups]
    fitted = [file for file, place in zip(files, places, strict=True) if place >= SHARE_OUT]
    return fitted, [file for file, place in zip(files, places, strict=True) if place < SHARE_MEASURED]


def fit(data: Path, folder: Path) -> None:
    """Write the shipped network with the detector and the limits of conf/base to a folder."""
    parameters = yaml.safe_load(PARAMETERS.read_text())
    parameters["input_checks"]["max_megapixels"] = MAX_MEGAPIXELS
    limits = InputChecks.model_validate(parameters["input_checks"])
    pixels = np.stack([read_pixels(str(path), 96, 96) for path in split_patients(data)[0]])
    detector = fit_view_classifier(pixels, ViewTraining.model_validate(parameters["view_training"]))
    shutil.copytree(SHIPPED, folder, dirs_exist_ok=True)
    np.savez(folder / OOD_DETECTOR, **detector)  # type: ignore[arg-type]
    contract = json.loads((SHIPPED / CONTRACT).read_text())
    contract["input_checks"] = {"limits": limits.model_dump(), "refused": {}}
    (folder / CONTRACT).write_text(json.dumps(contract, indent=2))


def add_border(share: float, grey: int, *, is_frame: bool = True) -> Callable[[Image.Image], Image.Image]:
    """Return a function that adds a border of a fraction of each side, or of the left and right alone."""
    return lambda image: ImageOps.expand(
        image, (round(share * image.width), is_frame * round(share * image.height)), fill=grey
    )


def crop(share: float) -> Callable[[Image.Image], Image.Image]:
    """Return a function that cuts a fraction off each side."""
    return lambda image: image.crop(
        (
            int(share * image.width),
            int(share * image.height),
            int((1 - share) * image.width),
            int((1 - share) * image.height),
        )
    )


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "upside down": lambda image: image.transpose(Image.Transpose.ROTATE_180),
    "mirrored top to bottom": lambda image: image.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
    "turned by 90 degrees": lambda image: image.transpose(Image.Transpose.ROTATE_90),
    "turned by 270 degrees": lambda image: image.transpose(Image.Transpose.ROTATE_270),
    "inverted": ImageOps.invert,
    "10% cut off each side": crop(0.1),
    "20% cut off each side": crop(0.2),
    "30% cut off each side": crop(0.3),
    "upper left quarter": lambda image: image.crop((0, 0, image.width // 2, image.height // 2)),
    "lower right quarter": lambda image: image.crop((image.width // 2, image.height // 2, *image.size)),
    "mirrored left to right": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    **{
        f"border {share:.0%}, grey {grey}": add_border(share, grey)
        for share in (0.05, 0.1, 0.2)
        for grey in (0, 255, 90)
    },
    **{f"black {share:.1%} at left and right": add_border(share, 0, is_frame=False) for share in (0.05, 0.075, 0.09)},
    "padded to a square": lambda image: ImageOps.pad(image, (max(image.size),) * 2),
}


def measure(data: Path, folder: Path, others: Path | None) -> None:
    """Print the share of answers for each kind, its reasons, and for borders the share of equal decisions."""
    predictor = Predictor.load(folder)
    files = split_patients(data)[1]
    plain = predictor.predict([str(path) for path in files])
    report("left out, as they are", plain)
    chosen = np.random.default_rng(SEED).permutation(len(files))[:NUM_CHANGED]
    for name, change in CHANGES.items():
        changed = [encode_png(np.asarray(change(Image.open(files[row]).convert("L")))) for row in chosen]
        report(name, predictor.predict(changed), [plain[row] for row in chosen])
    rng = np.random.default_rng(SEED)
    for part in PARTS:
        drawn = [encode_png(draw_body_part(rng, part, 256)) for _ in range(NUM_PHANTOMS)]
        report(f"phantom: {part}", predictor.predict(drawn))
    for kind in sorted(others.iterdir()) if others else ():
        report(kind.name, predictor.predict([str(path) for path in sorted(kind.iterdir())]))


def report(name: str, found: list[Prediction], plain: list[Prediction] | None = None) -> None:
    """Print a row."""
    reasons = [each.reason for each in found]
    text = f"{name:28} answered {describe(reasons.count(None), len(found))}"
    pairs = [(a.decision, b.decision) for a, b in zip(found, plain or found, strict=True) if b.decision]
    if plain:
        text += f"; of those answered unchanged, same decision {describe(sum(a == b for a, b in pairs), len(pairs))}"
    counts = {reason: reasons.count(reason) for reason in sorted({each for each in reasons if each})}
    print(f"{text} {counts}", flush=True)


def describe(number: int, total: int) -> str:
    """Return counts with their interval."""
    interval = binomtest(number, total).proportion_ci(method="wilson")
    return f"{number} of {total} ({number / total:.1%}; {interval.low:.1%} to {interval.high:.1%})"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=("fit", "measure"))
    parser.add_argument("data", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--others", type=Path)
    given = parser.parse_args()
    if given.step == "fit":
        fit(given.data, given.folder)
    else:
        measure(given.data, given.folder, given.others)
