"""Synthetic radiographs of body parts, projected from ellipsoids: examples of what is no upright frontal chest.

They fit and test the input checks where no real radiographs of other parts or views are at hand. The chord of a line
through an ellipsoid has a closed form, so that one anatomy gives frontal, oblique and lateral views.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from chest_xray.core.types import Array

Random = np.random.Generator
Point = tuple[float, float, float]  # right to left of the picture, front to back, bottom to top; a torso spans -1 to 1
AIR, SOFT, BONE = -0.85, 1.0, 1.6  # attenuation relative to water; that of air is added to the tissue around it
RIB_STEPS = 9


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
        for turn in np.linspace(0.1, 2.6, RIB_STEPS):  # from the spine, round the side, to the front
            centre = (sign * 0.92 * wide * np.sin(turn), 0.85 * deep * np.cos(turn), level - slope * turn)
            yield Ellipsoid(centre, (0.1, 0.06, 0.022), density, sign * 0.25)


def _build_frontal_chest(rng: Random) -> tuple[list[Ellipsoid], float]:
    return _build_chest(rng), rng.uniform(-0.12, 0.12)


def _build_lateral_chest(rng: Random) -> tuple[list[Ellipsoid], float]:
    """Turn the chest by 60 to 120 degrees to either side."""
    return _build_chest(rng), rng.choice([-1, 1]) * rng.uniform(1.05, 2.1)


def _build_long_bone(rng: Random, at: Point, length: float, flesh: float, tilt: float) -> Iterator[Ellipsoid]:
    """Build a limb of one shaft with thick ends; `at` is its middle, `length` half of it, a tilt of 0 is upright."""
    shaft = flesh * rng.uniform(0.2, 0.45)
    yield Ellipsoid(at, (flesh, flesh, length * 1.3), SOFT * rng.uniform(0.4, 1.2), tilt)
    yield Ellipsoid(at, (shaft, shaft, length * 1.05), BONE, tilt)
    yield Ellipsoid(at, (shaft * 0.45, shaft * 0.45, length * 0.9), -BONE * 0.5, tilt)
    for end in (-1, 1):
        x, z = at[0] - end * length * np.sin(tilt), at[2] + end * length * np.cos(tilt)
        yield Ellipsoid((x, at[1], z), (shaft * 1.7, shaft * 1.7, shaft * 1.3), BONE, tilt)


def _build_limb(rng: Random) -> tuple[list[Ellipsoid], float]:
    """Build one or two bones side by side, or two that meet in a joint."""
    tilt, flesh = rng.uniform(-1.6, 1.6), rng.uniform(0.15, 0.45)
    kind, bend = rng.integers(3), rng.uniform(-0.8, 0.8)
    if kind == 0:
        return list(_build_long_bone(rng, (0, 0, 0), rng.uniform(0.7, 1.3), flesh, tilt)), 0.0
    if kind == 1:
        x, z = flesh * 0.4 * np.cos(tilt), flesh * 0.4 * np.sin(tilt)
        pair = [_build_long_bone(rng, (s * x, 0, s * z), rng.uniform(0.7, 1.2), flesh * 0.7, tilt) for s in (-1, 1)]
        return [each for bone in pair for each in bone], 0.0
    joint = []
    for sign, turn in ((1, tilt), (-1, tilt + bend)):
        length = rng.uniform(0.5, 0.9)
        at = (-sign * length * np.sin(turn), 0.0, sign * length * np.cos(turn))
        joint += list(_build_long_bone(rng, at, length, flesh, turn))
    return joint, 0.0


def _build_hand(rng: Random) -> tuple[list[Ellipsoid], float]:
    """Build a hand or foot: five rays of four bones from a palm, its wrist, and often the other one beside it."""
    turn, size = rng.uniform(-3.2, 3.2), rng.uniform(0.6, 1.1)
    spread, thin = rng.uniform(0.05, 0.3), rng.uniform(0.035, 0.07)
    body = [Ellipsoid((0, 0, -0.2 * size), (0.33 * size, 0.1, 0.4 * size), 0.8)]
    body += [Ellipsoid((s * 0.13 * size, 0, -0.95 * size), (0.07, 0.07, 0.5 * size), BONE) for s in (-1, 1)]
    body.append(Ellipsoid((0, 0, -0.95 * size), (0.24 * size, 0.14, 0.6 * size), 0.8))
    for finger in range(-2, 3):
        lean, at, start = -finger * spread, finger * 0.12 * size, -0.4 * size
        for length in np.array([0.34, 0.24, 0.16, 0.11]) * size * (1 - 0.08 * finger**2):
            middle = start + length / 2
            centre = (at - middle * np.sin(lean), 0.0, middle * np.cos(lean))
            body.append(Ellipsoid(centre, (thin * size, thin, length * 0.47), BONE, lean))
            body.append(Ellipsoid(centre, (thin * 1.9 * size, thin * 1.6, length * 0.7), 0.7, lean))
            start += length * 1.08
    body += [Ellipsoid((x * size, 0, -0.48 * size), (0.05, 0.06, 0.05), BONE) for x in (-0.2, -0.07, 0.07, 0.2)]
    hand = [_turn(each, turn) for each in body]
    if rng.random() < 0.3:
        pair = [(_shift(_scale(each, 0.6), -0.45), _shift(_scale(_turn(each, 0.1), 0.6), 0.45)) for each in hand]
        return [each for both in pair for each in both], 0.0
    return hand, 0.0


def _turn(part: Ellipsoid, angle: float) -> Ellipsoid:
    x, y, z = part.centre
    turned = (x * np.cos(angle) - z * np.sin(angle), y, x * np.sin(angle) + z * np.cos(angle))
    return part._replace(centre=turned, tilt=part.tilt + angle)


def _shift(part: Ellipsoid, by: float) -> Ellipsoid:
    x, y, z = part.centre
    return part._replace(centre=(x + by, y, z))


def _scale(part: Ellipsoid, by: float) -> Ellipsoid:
    (x, y, z), (a, b, c) = part.centre, part.radii
    return part._replace(centre=(x * by, y * by, z * by), radii=(a * by, b, c * by))


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
    body += [
        Ellipsoid((0, -0.4, -0.25), (0.32, 0.25, 0.3), BONE * 0.7),
        Ellipsoid((0, -0.5, -0.1), (0.1, 0.2, 0.2), AIR),
    ]
    body += [Ellipsoid((0, 0.2, z), (0.11, 0.12, 0.06), BONE) for z in np.arange(-1.3, -0.3, 0.14)]
    body.append(Ellipsoid((0, 0.1, -0.8), (0.3, 0.3, 0.7), SOFT * 0.6))
    return body, rng.choice([0, np.pi / 2, -np.pi / 2]) + rng.uniform(-0.2, 0.2)


PARTS: dict[str, Callable[[Random], tuple[list[Ellipsoid], float]]] = {
    "chest": _build_frontal_chest,
    "lateral chest": _build_lateral_chest,
    "limb": _build_limb,
    "hand": _build_hand,
    "abdomen": _build_abdomen,
    "skull": _build_skull,
}
