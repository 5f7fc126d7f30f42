"""Phantoms: synthetic radiographs of chests, to run the project without patient data, and of other body parts.

Phantoms of chests have several images per patient, and vary in size and contrast; metrics on them predict none on
radiographs. Body parts fit and test the input checks where no real radiographs of other parts or views are at hand: the
chord of a line through an ellipsoid has a closed form, so that one anatomy gives frontal, oblique and lateral views.
"""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from chest_xray.core.types import Array
from chest_xray.images.kermany import CLASSES

PATCHES = {"none": (0, 0.0, 0.0), "bacterial": (2, 0.22, 0.9), "viral": (9, 0.12, 0.5)}  # number, radius, density
Random = np.random.Generator
Point = tuple[float, float, float]  # right to left of the picture, front to back, bottom to top; a torso spans -1 to 1
AIR, SOFT, BONE = -0.85, 1.0, 1.6  # attenuation relative to water; that of air is added to the tissue around it


def draw_phantom(rng: Random, aetiology: str) -> Array:
    """Draw one phantom: uint8 of shape (height, width); width 150 to 260 pixels, width / height 1.0 to 1.5.

    The lungs have no opacities for "none", two dense ones for "bacterial" and nine faint ones for "viral".
    """
    width = int(rng.integers(150, 261))
    height = int(width / rng.uniform(1.0, 1.5))
    # The chest spans about -1 to 1, in a random pose.
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    angle, scale = np.radians(rng.uniform(-6, 6)), rng.uniform(0.9, 1.15)
    x, y = x * scale + rng.uniform(-0.08, 0.08), y * scale + rng.uniform(-0.08, 0.08)
    x, y = x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle)
    lungs = np.maximum(_blob(x, y, (-0.42, 0.0), (0.30, 0.62)), _blob(x, y, (0.42, 0.0), (0.28, 0.62)))
    lungs *= 1 / (1 + np.exp((y - 0.52 - 0.12 * np.cos(4 * x)) * 25))  # The diaphragm's two domes.
    ribs = np.clip(np.sin((y + 0.35 * x**2) * 24), 0, 1) ** 3
    heart = _blob(x, y, (0.14, 0.22), (0.26, 0.32))
    spine = np.exp(-((x / 0.09) ** 2))
    grey = 0.72 - 0.50 * lungs + 0.09 * ribs * lungs + 0.34 * heart * lungs + 0.14 * spine
    num_patches, radius, density = PATCHES[aetiology]
    opacities = np.zeros_like(x)  # from 0 (clear) to 1 (dense)
    for _ in range(num_patches):
        centre_x, centre_y = rng.choice([-1, 1]) * rng.uniform(0.25, 0.6), rng.uniform(-0.4, 0.45)
        squared = ((x - centre_x) ** 2 + (y - centre_y) ** 2) / (radius * rng.uniform(0.7, 1.3)) ** 2
        opacities += density * rng.uniform(0.5, 1.0) * np.exp(-squared)
    grey += 0.45 * np.clip(opacities, 0, 1) * lungs
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


def _blob(x: Array, y: Array, centre: tuple[float, float], radii: tuple[float, float]) -> Array:
    """Draw an ellipse with a soft edge, 1 inside and 0 outside."""
    distance = np.hypot((x - centre[0]) / radii[0], (y - centre[1]) / radii[1])
    return 1 / (1 + np.exp((distance - 1) * 14))


class Ellipsoid(NamedTuple):
    """An ellipsoid with its half axes along the coordinates, turned by `tilt` (radians) in the plane of the picture."""

    centre: Point
    radii: Point
    density: float
    tilt: float = 0.0


def draw_body_part(rng: Random, part: str, side: int) -> Array:
    """Draw a radiograph of one of `PARTS`, uint8 of shape (side, side); "chest" is frontal and upright."""
    body, angle = PARTS[part](rng)
    extent = rng.uniform(0.75, 1.15)
    centre = rng.uniform(-0.12, 0.12, 2)
    thickness = _project(body, angle, np.linspace(-extent, extent, side) + centre[0], centre[1] + extent, side)
    film = 1 - np.exp(-thickness * rng.uniform(0.4, 2.2))
    low = np.quantile(film[film > 0], rng.uniform(0, 0.2)) * rng.uniform(0.5, 1)  # of the body, as viewers do
    return np.asarray(255 * np.clip((film - low) / max(film.max() - low, 1e-3), 0, 1), np.uint8)


def _project(body: list[Ellipsoid], angle: float, x: Array, top: float, side: int) -> Array:
    """Sum the chords of parallel rays through a body turned by `angle` (radians) about its long axis, float64."""
    across, down = x[None, :], np.linspace(top, top - (x[-1] - x[0]), side)[:, None]
    thickness = np.zeros((side, side))
    for (cx, cy, cz), (rx, ry, rz), density, tilt in body:
        width = np.hypot(rx * np.cos(angle), ry * np.sin(angle))
        u, w = across - (cx * np.cos(angle) + cy * np.sin(angle)), down - cz
        if tilt:
            u, w = u * np.cos(tilt) + w * np.sin(tilt), w * np.cos(tilt) - u * np.sin(tilt)
        inside = 1 - np.square(u / width) - np.square(w / rz)
        thickness += density * 2 * rx * ry / width * np.sqrt(np.clip(inside, 0, None))
    return np.clip(thickness, 0, None)


def _build_chest(rng: Random) -> list[Ellipsoid]:
    """Build torso, lungs, heart, diaphragm, spine, ribs and shoulder girdle, all of varying size."""
    wide, deep, lung = rng.uniform(0.7, 0.95), rng.uniform(0.45, 0.8), rng.uniform(0.5, 0.8)
    heart, air = rng.uniform(0.22, 0.38), AIR * rng.uniform(0.7, 1)
    body = [Ellipsoid((0, 0, -0.5), (wide, deep, 2.2), SOFT), Ellipsoid((0, 0, 1.0), (0.3, 0.3, 0.6), SOFT)]
    for sign in (-1, 1):
        height = lung * rng.uniform(0.9, 1.1)
        body.append(Ellipsoid((sign * 0.48 * wide, 0, 0.1), (0.36 * wide, 0.75 * deep, height), air))
        dome = (sign * 0.48 * wide, 0, 0.1 - height - rng.uniform(0.0, 0.15))
        body.append(Ellipsoid(dome, (0.36 * wide, 0.7 * deep, 0.45 * height), -air * 0.9))
        body.append(Ellipsoid((sign * 0.42, -0.5 * deep, 0.72), (0.34, 0.04, 0.035), BONE, sign * rng.uniform(0, 0.3)))
        body.append(Ellipsoid((sign * wide, 0.3 * deep, 0.6), (0.16, 0.12, 0.3), 0.6 * BONE, sign * 0.4))
        body.append(Ellipsoid((sign * wide * 1.1, 0, 0.3), (0.2, 0.25, 0.5), SOFT * rng.uniform(0.3, 1)))
        body += _build_ribs(rng, sign, wide, deep)
    if rng.random() < 0.3:  # Arms raised, as infants and patients in a lateral view have them.
        for sign in (-1, 1):
            body += _build_long_bone(
                rng, (sign * rng.uniform(0.6, 0.9), -0.1, 1.0), 0.5, 0.15, -sign * rng.uniform(0, 0.7)
            )
    front, thick = -deep * rng.uniform(0, 0.4), deep * rng.uniform(0.25, 0.5)
    body.append(Ellipsoid((heart * 0.4, front, -0.2), (heart, thick, heart * rng.uniform(0.9, 1.4)), -air * 0.9, 0.5))
    body.append(Ellipsoid((0, front / 2, 0.4), (0.13, deep * rng.uniform(0.1, 0.5), 0.5), -air * rng.uniform(0.4, 0.9)))
    body += [Ellipsoid((sign * 0.16, 0, 0.1), (0.1, 0.12 * deep, 0.12), -air * rng.uniform(0, 1)) for sign in (-1, 1)]
    body += [Ellipsoid((0, 0.6 * deep, z), (0.1, 0.12, 0.055), BONE) for z in np.arange(-1.3, 1.2, 0.13)]
    return body


def _build_ribs(rng: Random, sign: int, wide: float, deep: float) -> Iterator[Ellipsoid]:
    slope, step, density = rng.uniform(0.15, 0.35), rng.uniform(0.12, 0.16), BONE * rng.uniform(0.1, 0.7)
    for level in np.arange(0.7, -0.6, -step):
        for turn in np.linspace(0.1, 2.6, 9):  # from the spine, round the side, to the front
            centre = (sign * 0.92 * wide * np.sin(turn), 0.85 * deep * np.cos(turn), level - slope * turn)
            yield Ellipsoid(centre, (0.1, 0.06, 0.022), density, sign * 0.25)


def _build_long_bone(rng: Random, middle: Point, half: float, flesh: float, tilt: float) -> Iterator[Ellipsoid]:
    """Build a limb of one shaft with thick ends; `half` is half its length, and a tilt of 0 is upright."""
    shaft = flesh * rng.uniform(0.2, 0.45)
    yield Ellipsoid(middle, (flesh, flesh, half * 1.3), SOFT * rng.uniform(0.4, 1.2), tilt)
    yield Ellipsoid(middle, (shaft, shaft, half * 1.05), BONE, tilt)
    yield Ellipsoid(middle, (shaft * 0.45, shaft * 0.45, half * 0.9), -BONE * 0.5, tilt)
    for end in (-1, 1):
        x, z = middle[0] - end * half * np.sin(tilt), middle[2] + end * half * np.cos(tilt)
        yield Ellipsoid((x, middle[1], z), (shaft * 1.7, shaft * 1.7, shaft * 1.3), BONE, tilt)


def _build_limb(rng: Random) -> tuple[list[Ellipsoid], float]:
    """Build one or two bones side by side, or two that meet in a joint."""
    tilt, flesh = rng.uniform(-1.6, 1.6), rng.uniform(0.15, 0.45)
    kind, bend = rng.integers(3), rng.uniform(-0.8, 0.8)
    if kind == 0:
        return list(_build_long_bone(rng, (0, 0, 0), rng.uniform(0.7, 1.3), flesh, tilt)), 0.0
    if kind == 1:
        x, z = flesh * 0.4 * np.cos(tilt), flesh * 0.4 * np.sin(tilt)
        bones = [_build_long_bone(rng, (s * x, 0, s * z), rng.uniform(0.7, 1.2), flesh * 0.7, tilt) for s in (-1, 1)]
        return [*bones[0], *bones[1]], 0.0
    joint = []
    for sign, turn in ((1, tilt), (-1, tilt + bend)):
        length = rng.uniform(0.5, 0.9)
        middle = (-sign * length * np.sin(turn), 0.0, sign * length * np.cos(turn))
        joint += list(_build_long_bone(rng, middle, length, flesh, turn))
    return joint, 0.0


def _build_hand(rng: Random) -> tuple[list[Ellipsoid], float]:
    """Build a hand or foot: five rays of four bones from a palm, its wrist, and often the other one beside it."""
    turn, size = rng.uniform(-3.2, 3.2), rng.uniform(0.6, 1.1)
    spread, thin = rng.uniform(0.05, 0.3), rng.uniform(0.035, 0.07)
    body = [Ellipsoid((0, 0, -0.2 * size), (0.33 * size, 0.1, 0.4 * size), 0.8)]
    body += [Ellipsoid((s * 0.13 * size, 0, -0.95 * size), (0.07, 0.07, 0.5 * size), BONE) for s in (-1, 1)]
    body.append(Ellipsoid((0, 0, -0.95 * size), (0.24 * size, 0.14, 0.6 * size), 0.8))
    for finger in range(-2, 3):
        lean, base_x, start = -finger * spread, finger * 0.12 * size, -0.4 * size
        for length in np.array([0.34, 0.24, 0.16, 0.11]) * size * (1 - 0.08 * finger**2):
            middle = start + length / 2
            centre = (base_x - middle * np.sin(lean), 0.0, middle * np.cos(lean))
            body.append(Ellipsoid(centre, (thin * size, thin, length * 0.47), BONE, lean))
            body.append(Ellipsoid(centre, (thin * 1.9 * size, thin * 1.6, length * 0.7), 0.7, lean))
            start += length * 1.08
    body += [Ellipsoid((x * size, 0, -0.48 * size), (0.05, 0.06, 0.05), BONE) for x in (-0.2, -0.07, 0.07, 0.2)]
    hand = [_move(part, turn) for part in body]
    if rng.random() < 0.3:
        return [_move(part, *pose) for part in hand for pose in ((0.0, 0.6, -0.45), (0.1, 0.6, 0.45))], 0.0
    return hand, 0.0


def _move(part: Ellipsoid, turn: float = 0.0, scale: float = 1.0, across: float = 0.0) -> Ellipsoid:
    """Turn a part in the plane of the picture by radians, then scale it but for its depth, then shift it."""
    (x, y, z), (a, b, c) = part.centre, part.radii
    x, z = x * np.cos(turn) - z * np.sin(turn), x * np.sin(turn) + z * np.cos(turn)
    return Ellipsoid(
        (x * scale + across, y * scale, z * scale), (a * scale, b, c * scale), part.density, part.tilt + turn
    )


def _build_abdomen(rng: Random) -> tuple[list[Ellipsoid], float]:
    """Build an abdomen with lumbar spine, iliac wings, hips and bowel gas."""
    wide = rng.uniform(0.7, 1.0)
    body = [Ellipsoid((0, 0, 0), (wide, 0.5, 2.5), SOFT)]
    body += [Ellipsoid((0, 0.2, z), (0.12, 0.12, 0.07), BONE) for z in np.arange(-0.3, 1.3, 0.17)]
    for sign in (-1, 1):
        body.append(Ellipsoid((sign * 0.42, 0, -0.45), (0.32, 0.06, 0.3), BONE, sign * 0.5))
        body.append(Ellipsoid((sign * 0.6, 0, -0.9), (0.13, 0.13, 0.13), BONE))
        body.append(Ellipsoid((sign * 0.7, 0, -1.4), (0.11, 0.11, 0.5), BONE, sign * 0.1))
    for _ in range(rng.integers(2, 14)):
        centre = (rng.uniform(-0.6, 0.6) * wide, -0.1, rng.uniform(-0.5, 0.9))
        body.append(Ellipsoid(centre, (*rng.uniform(0.05, 0.2, 2), rng.uniform(0.05, 0.16)), AIR, rng.uniform(-1, 1)))
    return body, rng.uniform(-0.2, 0.2)


def _build_skull(rng: Random) -> tuple[list[Ellipsoid], float]:
    """Build a skull with orbits, face and neck, from the front or the side."""
    a, b, c = rng.uniform(0.5, 0.65), rng.uniform(0.6, 0.8), rng.uniform(0.6, 0.75)
    thick = rng.uniform(0.04, 0.08)
    body = [Ellipsoid((0, 0, 0.3), (a, b, c), BONE), Ellipsoid((0, 0, 0.3), (a - thick, b - thick, c - thick), -0.8)]
    body += [Ellipsoid((s * 0.22, -0.5, 0.1), (0.14, 0.1, 0.12), AIR) for s in (-1, 1)]
    body.append(Ellipsoid((0, -0.4, -0.25), (0.32, 0.25, 0.3), BONE * 0.7))
    body.append(Ellipsoid((0, -0.5, -0.1), (0.1, 0.2, 0.2), AIR))
    body += [Ellipsoid((0, 0.2, z), (0.11, 0.12, 0.06), BONE) for z in np.arange(-1.3, -0.3, 0.14)]
    body.append(Ellipsoid((0, 0.1, -0.8), (0.3, 0.3, 0.7), SOFT * 0.6))
    return body, rng.choice([0, np.pi / 2, -np.pi / 2]) + rng.uniform(-0.2, 0.2)


PARTS: dict[str, Callable[[Random], tuple[list[Ellipsoid], float]]] = {
    "chest": lambda rng: (_build_chest(rng), rng.uniform(-0.12, 0.12)),
    # turned by 60 to 120 degrees to either side
    "lateral chest": lambda rng: (_build_chest(rng), rng.choice([-1, 1]) * rng.uniform(1.05, 2.1)),
    "limb": _build_limb,
    "hand": _build_hand,
    "abdomen": _build_abdomen,
    "skull": _build_skull,
}
