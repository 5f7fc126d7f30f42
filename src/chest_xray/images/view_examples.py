"""Examples of upright frontal chests and of other images, built from training radiographs and from phantoms.

The Kermany set has upright frontal chests alone. What the input checks must refuse is built from the same pictures
(turned, cropped, inverted, put together wrongly), so that sharpness, grain and markers do not depend on the view.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from chest_xray.core.types import Array
from chest_xray.images.phantoms import PARTS, draw_body_part, draw_phantom

Random = np.random.Generator
VIEWS = ("frontal", "upside_down", "lying", "cropped", "inverted", "not_frontal_chest")
SIDE = 48  # pixels of an example
PHANTOM_SIDE = 64  # pixels of a phantom
Build = Callable[[Array, Random], Array]


def draw_views(radiographs: Array, num_examples: dict[str, int], num_phantoms: int, rng: Random) -> tuple[Array, Array]:
    """Draw examples of every view.

    Args:
        radiographs: Upright frontal chests, uint8 of shape (n, height, width).
        num_examples: How many of each kind in `KINDS`.
        num_phantoms: How many of each body part are drawn; each is used several times, in other poses.
        rng: The random generator.

    Returns:
        uint8 of shape (m, SIDE, SIDE), and int64 indices of `VIEWS`, (m,), both in random order.
    """
    phantoms = {part: [draw_body_part(rng, part, PHANTOM_SIDE) for _ in range(num_phantoms)] for part in PARTS}
    simple = [draw_phantom(rng, aetiology) for aetiology in ("none", "bacterial", "viral") * (num_phantoms // 3)]
    chests, laterals = phantoms.pop("chest") + simple, phantoms.pop("lateral chest")
    others = [phantom for group in phantoms.values() for phantom in group]
    sources = {"radiographs": list(radiographs), "chests": chests, "laterals": laterals, "others": others}
    examples, labels = [], []
    for kind, number in num_examples.items():
        images = sources[KINDS[kind].source]
        for index in rng.integers(len(images), size=number):
            examples.append(_vary_acquisition(KINDS[kind].build(images[index], rng), rng))
            labels.append(VIEWS.index(KINDS[kind].view))
    order = rng.permutation(len(examples))
    return np.stack(examples)[order], np.array(labels)[order]


def _pose(image: Array, rng: Random) -> Array:
    """Zoom, stretch, shift and tilt as patients, tables and formats vary, and mirror half of the images."""
    width, height = rng.uniform(0.85, 1.2) * rng.uniform(0.92, 1.08, 2)
    x, y = 0.5 + rng.uniform(-0.06, 0.06, 2)
    if rng.random() < 0.35:  # A picture that is less wide, and shows more of neck and abdomen.
        # It continues above and below by its first and last rows, a little smoothed, to twice its height.
        above, below = (
            np.asarray(Image.fromarray(rows).resize((image.shape[1], len(image) // 2), Image.Resampling.BICUBIC))
            for rows in (image[: rng.integers(2, 5)], image[-rng.integers(2, 8) :])
        )
        image, height, width = np.vstack([above, image, below]), height * rng.uniform(0.6, 0.85), min(width, 1)
    posed = _cut(image, (x, y), (width, height), rng, tilt=np.radians(rng.normal(0, 5)))
    return posed[:, ::-1] if rng.random() < 0.5 else posed


def _cut(image: Array, centre: tuple[float, float], size: tuple[float, float], rng: Random, tilt: float = 0.0) -> Array:
    """Cut out a part, in fractions of width and height, as (2 SIDE, 2 SIDE) pixels; the outside is of one grey."""
    rows, columns = image.shape
    (x, y), (width, height), side = centre, size, 2 * SIDE
    a, b = np.cos(tilt) * width * columns / side, -np.sin(tilt) * height * columns / side
    c, d = np.sin(tilt) * width * rows / side, np.cos(tilt) * height * rows / side
    matrix = (a, b, x * columns - (a + b) * SIDE, c, d, y * rows - (c + d) * SIDE)
    fill = int(rng.choice([0, 0, 0, 255, int(rng.integers(256))]))
    picture = Image.fromarray(image).transform(
        (side, side), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR, fillcolor=fill
    )
    return np.asarray(picture)


def _crop(image: Array, rng: Random) -> Array:
    """Cut out at most two thirds of width and height, or one lung, now and then turned."""
    size = rng.uniform(0.3, 0.65, 2)
    if rng.random() < 0.25:
        size = np.array([rng.uniform(0.35, 0.55), rng.uniform(0.65, 1.0)])
    centre = [rng.uniform(share / 2, 1 - share / 2) for share in size]
    if rng.random() < 0.4:
        centre = [0.5 + rng.uniform(-0.03, 0.03) for _ in size]
        size = np.minimum(size, 0.65)
    part = _cut(image, (centre[0], centre[1]), (size[0], size[1]), rng, tilt=np.radians(rng.normal(0, 5)))
    return _turn_any_way(part, rng) if rng.random() < 0.3 else part


def _turn_any_way(image: Array, rng: Random) -> Array:
    turned = np.rot90(image, int(rng.integers(4)))
    return turned[:, ::-1] if rng.random() < 0.5 else turned


def _invert(image: Array, rng: Random) -> Array:
    return _turn_any_way(255 - _pose(image, rng), rng) if rng.random() < 0.3 else 255 - _pose(image, rng)


def _shuffle(image: Array, rng: Random) -> Array:
    """Exchange quarters or halves of a radiograph."""
    posed = _pose(image, rng)
    quarters = [posed[:SIDE, :SIDE], posed[:SIDE, SIDE:], posed[SIDE:, :SIDE], posed[SIDE:, SIDE:]]
    order = list(rng.permutation(4))
    if order in ([0, 1, 2, 3], [1, 0, 3, 2]):  # A chest, or one with its sides exchanged.
        order = [2, 3, 0, 1]
    a, b, c, d = (quarters[index] for index in order)
    return np.vstack([np.hstack([a, b]), np.hstack([c, d])])


def _imitate_lateral(image: Array, rng: Random) -> Array:
    """Rebuild a chest as in a lateral view, on a dark ground: one lung, both on one another, or one much narrower."""
    width, height, left = rng.uniform(0.4, 0.58), rng.uniform(0.85, 1.1), rng.uniform(0.0, 0.12)
    kind = rng.integers(3)
    half = _cut(image, (left + width / 2, 0.5), (width, height), rng)
    if kind == 1:
        other = _cut(image[:, ::-1], (left + width / 2 + rng.uniform(-0.05, 0.05), 0.5), (width, height), rng)
        half = ((half.astype(np.float32) + other) / 2).astype(np.uint8)
    if kind == 2:
        # One side is squeezed and the other stretched, beyond which a bright band stands for the spine.
        whole = _cut(image, (0.5, 0.5), (1 - 2 * left, height), rng)
        middle, places = rng.uniform(0.22, 0.38), np.linspace(0, 1, 2 * SIDE)
        source = np.interp(places, [0, middle, 1], [0, 0.5, rng.uniform(0.85, 1)])
        moved = whole[:, np.rint(source * (2 * SIDE - 1)).astype(int)].astype(np.float32)
        band = np.exp(-np.square((places - rng.uniform(0.75, 1)) / rng.uniform(0.05, 0.15)))
        half = np.asarray(np.clip(moved + rng.uniform(0, 120) * band, 0, 255), np.uint8)
    across = int(SIDE * rng.uniform(1.0, 2))
    picture = np.full_like(half, rng.integers(0, 40))
    start = rng.integers(0, 2 * SIDE - across + 1)
    picture[:, start : start + across] = Image.fromarray(half).resize((across, 2 * SIDE))
    picture = _cut(picture, (0.5, 0.5), (1.0, rng.uniform(0.8, 1.0)), rng, tilt=np.radians(rng.normal(0, 8)))
    return _turn_any_way(picture, rng) if rng.random() < 0.15 else picture[:, :: rng.choice([-1, 1])]


def _pose_other(image: Array, rng: Random) -> Array:
    """Pose a phantom of another body part in any direction, at any zoom, on a ground of any grey."""
    lift = rng.integers(0, 80) if rng.random() < 0.4 else 0
    lifted = np.maximum(image, np.uint8(lift))
    zoom = rng.uniform(0.45, 1.15) if rng.random() < 0.5 else rng.uniform(0.85, 1.15)
    centre = 0.5 + rng.uniform(-0.5, 0.5, 2) * max(1 - zoom, 0.1)
    posed = _cut(
        lifted, (centre[0], centre[1]), (zoom, zoom * rng.uniform(0.8, 1.25)), rng, np.radians(rng.normal(0, 8))
    )
    posed = 255 - posed if rng.random() < 0.15 else posed
    return _turn_any_way(posed, rng) if rng.random() < 0.3 else posed[:, :: rng.choice([-1, 1])]


def _draw_no_radiograph(_: Array, rng: Random) -> Array:
    """Draw an image that is no radiograph: a gradient, often with fractal noise, and a few shapes on it."""
    side, picture = 2 * SIDE, np.zeros((2 * SIDE, 2 * SIDE))
    decay = rng.uniform(0.4, 1.2)
    for power in range(1, 6):
        noise = Image.fromarray(rng.normal(size=(2**power, 2**power)).astype(np.float32))
        picture += decay**power * np.asarray(noise.resize((side, side), Image.Resampling.BICUBIC))
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    picture = picture * rng.choice([0, 1]) + rng.normal() * x + rng.normal() * y
    low, high = picture.min(), picture.max()
    drawn = Image.fromarray((255 * (picture - low) / max(high - low, 1e-6)).astype(np.uint8))
    pen = ImageDraw.Draw(drawn)
    for _shape in range(rng.integers(0, 9)):
        corners = np.sort(rng.integers(0, side, (2, 2)), axis=0).ravel().tolist()
        draw = pen.ellipse if rng.random() < 0.5 else pen.rectangle
        draw(corners, fill=int(rng.integers(256)) if rng.random() < 0.6 else None, outline=int(rng.integers(256)))
    return np.asarray(drawn)


def _vary_acquisition(image: Array, rng: Random) -> Array:
    """Vary exposure, window, sharpness, grain, shading, markers and remains of a frame, then reduce to SIDE."""
    picture = Image.fromarray(image)
    if rng.random() < 0.3:
        picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0, 2.5)))
    if rng.random() < 0.5:
        _burn_in_marks(picture, rng)
    grey = np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BOX), np.float32) / 255
    low, high = np.quantile(grey, [rng.uniform(0, 0.08), 1 - rng.uniform(0, 0.08)])
    grey = np.clip((grey - low) / max(high - low, 0.05), 0, 1) ** np.exp(rng.normal(0, 0.35))
    if rng.random() < 0.4:
        slope = np.linspace(-1, 1, SIDE, dtype=np.float32) * rng.uniform(-0.25, 0.25)
        grey = grey + (slope if rng.random() < 0.5 else slope[:, None])
    if rng.random() < 0.4:
        grey = grey + rng.normal(0, rng.uniform(0, 0.05), grey.shape)
    if rng.random() < 0.25:
        # what trimming leaves of a border or a collimator, on some sides
        level = rng.choice([0, 0, 1, rng.random()])
        for turned in (grey, grey[::-1], grey.T, grey.T[::-1]):
            if rng.random() < 0.5:
                turned[: rng.integers(0, 4)] = level
    return (255 * np.clip(grey, 0, 1)).astype(np.uint8)


def _burn_in_marks(picture: Image.Image, rng: Random) -> None:
    """Burn in letters, tubes or tags."""
    pen, side = ImageDraw.Draw(picture), picture.size[0]
    for _ in range(rng.integers(1, 4)):
        x, y = rng.integers(0, side, 2).tolist()
        grey = int(rng.choice([0, 255, 200]))
        if rng.random() < 0.6:
            pen.text((x, y * rng.choice([0.1, 1])), "".join(rng.choice(list("LRAP-0123"), 3)), fill=grey)
        else:
            pen.line([(x, y), tuple(rng.integers(0, side, 2).tolist())], fill=grey, width=1)


def _overlay_turned(image: Array, rng: Random) -> Array:
    """Overlay a chest with itself after a quarter turn: dense and dark regions, but no chest."""
    posed = _pose(image, rng).astype(np.float32)
    return ((posed + np.rot90(posed, int(rng.choice([1, 3])))) / 2).astype(np.uint8)


def _turn_upside_down(image: Array, rng: Random) -> Array:
    return _pose(image, rng)[::-1]


def _lay_on_side(image: Array, rng: Random) -> Array:
    return np.rot90(_pose(image, rng), int(rng.choice([1, 3])))


class Kind(NamedTuple):
    """The images that examples are built from, their view, and how one is built."""

    source: str
    view: str
    build: Build


KINDS: dict[str, Kind] = {
    "frontal": Kind("radiographs", "frontal", _pose),
    "upside down": Kind("radiographs", "upside_down", _turn_upside_down),
    "lying": Kind("radiographs", "lying", _lay_on_side),
    "cropped": Kind("radiographs", "cropped", _crop),
    "inverted": Kind("radiographs", "inverted", _invert),
    "shuffled": Kind("radiographs", "not_frontal_chest", _shuffle),
    "half": Kind("radiographs", "not_frontal_chest", _imitate_lateral),
    "overlaid": Kind("radiographs", "not_frontal_chest", _overlay_turned),
    "picture": Kind("radiographs", "not_frontal_chest", _draw_no_radiograph),
    "chest phantom": Kind("chests", "frontal", _pose),
    "chest phantom upside down": Kind("chests", "upside_down", _turn_upside_down),
    "chest phantom lying": Kind("chests", "lying", _lay_on_side),
    "chest phantom inverted": Kind("chests", "inverted", _invert),
    "lateral phantom": Kind("laterals", "not_frontal_chest", _pose_other),
    "other phantom": Kind("others", "not_frontal_chest", _pose_other),
}
