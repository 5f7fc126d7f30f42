"""Synthetic chest phantoms with lungs, ribs, heart and diaphragm, to run the project without patient data.

They have several images per patient, and sizes and contrasts that vary; metrics on them predict none on radiographs.
"""

import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from chest_xray.core.types import Array
from chest_xray.images.kermany import CLASSES

PATCHES = {"none": (0, 0.0, 0.0), "bacterial": (2, 0.22, 0.9), "viral": (9, 0.12, 0.5)}  # number, radius, density


def draw_phantom(rng: np.random.Generator, aetiology: str) -> Array:
    """Draw one phantom: uint8 of shape (height, width); width 150 to 260 pixels, width / height 1.0 to 1.5.

    The lungs have no opacities for "none", two dense ones for "bacterial" and nine faint ones for "viral".
    """
    width = int(rng.integers(150, 261))
    height = int(width / rng.uniform(1.0, 1.5))
    x, y = _posed_grid(rng, width, height)
    lungs = np.maximum(_blob(x, y, (-0.42, 0.0), (0.30, 0.62)), _blob(x, y, (0.42, 0.0), (0.28, 0.62)))
    lungs *= 1 / (1 + np.exp((y - 0.52 - 0.12 * np.cos(4 * x)) * 25))  # The diaphragm's two domes.
    ribs = np.clip(np.sin((y + 0.35 * x**2) * 24), 0, 1) ** 3
    heart = _blob(x, y, (0.14, 0.22), (0.26, 0.32))
    spine = np.exp(-((x / 0.09) ** 2))
    grey = 0.72 - 0.50 * lungs + 0.09 * ribs * lungs + 0.34 * heart * lungs + 0.14 * spine
    grey += 0.45 * _opacities(rng, x, y, aetiology) * lungs
    grey *= _blob(x, y, (0.0, 0.1), (1.05, 1.25))
    grey = rng.uniform(0.75, 1.1) * np.clip(grey, 0, 1) ** rng.uniform(0.8, 1.3) + rng.normal(0, 0.025, grey.shape)
    return (255 * np.clip(grey, 0, 1)).astype(np.uint8)


def draw_phantom_folder(folder: Path, num_images: dict[str, int], seed: int) -> None:
    """Create a folder of phantoms, with `num_images` of each class and names of the Kermany set, whole or not at all.

    The name of the folder (`train`, `test`) enters the seed, so that splits differ.
    """
    first_patient = 6001 if folder.name == "test" else 1  # Nobody is in both splits, as in the Kermany set.
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".part-") as part:
        for label, name in enumerate(CLASSES):
            rng = np.random.default_rng([seed, label, *folder.name.encode()])
            (Path(part) / name).mkdir()
            for number in range(num_images[name]):
                patient = first_patient + number // 2
                if label == 0:
                    file, aetiology = f"IM-{patient:04d}-{number:04d}.jpeg", "none"
                elif patient % 3:
                    file, aetiology = f"person{patient}_bacteria_{number}.jpeg", "bacterial"
                else:
                    file, aetiology = f"person{patient}_virus_{number}.jpeg", "viral"
                phantom = Image.fromarray(draw_phantom(rng, aetiology))
                phantom.save(Path(part, name, file), quality=88, comment=b"synthetic phantom")
        Path(part).rename(folder)


def _posed_grid(rng: np.random.Generator, width: int, height: int) -> tuple[Array, Array]:
    """Return coordinates of every pixel in a chest that spans about -1 to 1, with a random pose."""
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    angle = np.radians(rng.uniform(-6, 6))
    scale = rng.uniform(0.9, 1.15)
    x, y = x * scale + rng.uniform(-0.08, 0.08), y * scale + rng.uniform(-0.08, 0.08)
    return x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle)


def _blob(x: Array, y: Array, centre: tuple[float, float], radii: tuple[float, float]) -> Array:
    """Draw an ellipse with a soft edge, 1 inside and 0 outside."""
    distance = np.hypot((x - centre[0]) / radii[0], (y - centre[1]) / radii[1])
    return 1 / (1 + np.exp((distance - 1) * 14))


def _opacities(rng: np.random.Generator, x: Array, y: Array, aetiology: str) -> Array:
    """Draw soft patches inside the lungs, 0 (clear) to 1 (dense)."""
    num_patches, radius, density = PATCHES[aetiology]
    patches = np.zeros_like(x)
    for _ in range(num_patches):
        centre_x, centre_y = rng.choice([-1, 1]) * rng.uniform(0.25, 0.6), rng.uniform(-0.4, 0.45)
        squared = ((x - centre_x) ** 2 + (y - centre_y) ** 2) / (radius * rng.uniform(0.7, 1.3)) ** 2
        patches += density * rng.uniform(0.5, 1.0) * np.exp(-squared)
    return np.clip(patches, 0, 1)
