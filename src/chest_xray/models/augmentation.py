"""The only definition of augmentation: what may happen to a training image, how strongly, and why.

Nothing here is part of a network, so nothing here can act when a network is tested or used.
"""

from functools import cache
from typing import Annotated, Any

from pydantic import Field

from chest_xray.core.options import Options
from chest_xray.core.types import Tensor

Share = Annotated[float, Field(ge=0, le=0.5)]
NUM_DRAWS = 13  # of each image: six of geometry, one of blur, four of intensity, two of collimation
LEAST_SHARE = 0.5  # of a side that collimation leaves


class Augmentation(Options):
    """How the copies of an image may differ from it; every range is symmetric, and 0 switches its transform off.

    A radiograph's label survives all of these within the limits allowed here. Unit and limit of each, and what speaks
    for and against it:

    - `horizontal_flip`, on or off: opacities occur on either side; but it puts the heart on the right, as in
      dextrocardia (about 1 in 10,000), so a network trained on it must not be asked about the side of anything.
    - `zoom`, a share of the size up to 0.5, and `translation`, a share of the side up to 0.5: distance to the tube,
      body size and collimation vary; too strong, the lung bases are lost.
    - `tilt`, degrees up to 45: a child is seldom held straight; beyond about 15 degrees a technician would repeat the
      picture.
    - `aspect`, a share of width / height up to 0.5: collimation varies, and pictures are squeezed to the network's
      input; too strong, a hyperinflated chest and a flat one look alike.
    - `collimation`, the widest width / height, up to 4: a copy is cut in height or in width, by half a side at most, to
      a width / height drawn from 1 to this, whatever the original's. Where shape goes with the class for reasons that
      are none of the lungs', a network trained on originals learns the shape; too strong, the lung bases are lost.
    - `brightness`, a share of the full range up to 0.5, `contrast`, a share of the contrast below 1, and `gamma`, a
      logarithm of the exponent up to 2: exposure and the detector's tone curve vary between rooms; too strong, faint
      viral opacities vanish.
    - `noise`, a share of the full range up to 0.5, and `blur`, pixels up to 5: dose, movement and compression vary; too
      strong, fine markings vanish.
    """

    copies: Annotated[int, Field(ge=0, le=8)] = 0  # altered copies beside each original, drawn anew at each use
    horizontal_flip: bool = False  # mirrors half of the copies
    zoom: Share = 0.0  # factor from 1 - zoom to 1 + zoom
    translation: Share = 0.0  # of the side, either way
    tilt: Annotated[float, Field(ge=0, le=45)] = 0.0  # degrees, either way
    aspect: Share = 0.0  # width / height times 1 - aspect to 1 + aspect
    collimation: Annotated[float, Field(gt=1, le=4)] | None = None  # cut to a width / height from 1 to this
    brightness: Share = 0.0  # added, of the full range
    contrast: Annotated[float, Field(ge=0, lt=1)] = 0.0  # factor around the mean, from 1 - contrast to 1 + contrast
    gamma: Annotated[float, Field(ge=0, le=2)] = 0.0  # exponent from exp(-gamma) to exp(gamma)
    noise: Share = 0.0  # largest standard deviation, of the full range
    blur: Annotated[float, Field(ge=0, le=5)] = 0.0  # largest standard deviation of the Gaussian, in pixels

    @property
    def moves(self) -> bool:
        """Whether any transform changes where things are."""
        return self.horizontal_flip or any((self.zoom, self.translation, self.tilt, self.aspect, self.collimation))


def augment(images: Tensor, options: Augmentation, seed: Any, aspects: Tensor = None) -> Tensor:
    """Alter every image of a batch, each by a draw of its own.

    Args:
        images: float32 in [0, 1], of shape (batch, height, width, 1).
        options: Which transforms, and how strong.
        seed: Two integers, int64 of shape (2,); the same seed gives the same images.
        aspects: Width / height of what each image shows, float32 of shape (batch,); for collimation alone.

    Returns:
        Images of the same shape, dtype and range.
    """
    import tensorflow as tf

    draws = tf.random.stateless_uniform([NUM_DRAWS, tf.shape(images)[0]], seed, minval=-1.0, maxval=1.0)
    return alter(images, options, draws, seed, aspects)


def alter(images: Tensor, options: Augmentation, draws: Tensor, seed: Any, aspects: Tensor = None) -> Tensor:
    """Alter images by draws that are given: -1 is the one end of each range, 1 the other, 0 the middle.

    Args:
        images: float32 in [0, 1], of shape (batch, height, width, 1).
        options: Which transforms, and how strong.
        draws: In [-1, 1], of shape (NUM_DRAWS, batch): those of `affine_matrices`, then for blur, brightness, contrast,
            gamma and noise, then those of `collimate`. Of blur and noise the absolute value counts; a negative draw
            mirrors.
        seed: Of the grain of the noise: two integers.
        aspects: Width / height of what each image shows, float32 of shape (batch,); for collimation alone.

    Returns:
        Images of the same shape, dtype and range.
    """
    import tensorflow as tf

    if options.moves:
        matrices = affine_matrices(options, draws[:6], images.shape[1:3])
        if options.collimation:
            matrices = collimate(matrices, options.collimation, draws[11:], aspects, images.shape[1:3])
        images = warp(images, matrices)
    if options.blur:
        images = _blur(images, tf.abs(draws[6]) * options.blur, options.blur)
    return _change_intensity(images, options, draws[7:11], seed)


def affine_matrices(options: Augmentation, draws: Tensor, size: tuple[int, int]) -> Tensor:
    """Fuse flip, zoom, aspect, tilt and shift into one matrix an image, so that pixels are interpolated once.

    Args:
        options: Which transforms, and how strong.
        draws: In [-1, 1], of shape (6, batch): for flip, zoom, tilt, aspect and the shift across and down.
        size: Height and width of the images, in pixels.

    Returns:
        float32 of shape (batch, 8): for each image the first eight entries of the projective matrix that leads from a
        pixel (x, y) of the result to the place in the source that it shows, as TensorFlow's
        ImageProjectiveTransformV3 takes it.
    """
    import tensorflow as tf

    flip = tf.where(draws[0] < 0, -1.0, 1.0) if options.horizontal_flip else tf.ones_like(draws[0])
    zoom = 1.0 + options.zoom * draws[1]
    angle = draws[2] * (options.tilt * 3.14159265 / 180)
    stretch = tf.sqrt(1.0 + options.aspect * draws[3])
    across, down = flip / (zoom * stretch), stretch / zoom
    a, b = tf.cos(angle) * across, -tf.sin(angle) * down
    c, d = tf.sin(angle) * across, tf.cos(angle) * down
    x, y = (size[1] - 1) / 2, (size[0] - 1) / 2  # Everything turns about the centre.
    right = x - a * x - b * y + options.translation * draws[4] * size[1]
    below = y - c * x - d * y + options.translation * draws[5] * size[0]
    return tf.stack([a, b, right, c, d, below, tf.zeros_like(a), tf.zeros_like(a)], axis=1)


def collimate(matrices: Tensor, widest: float, draws: Tensor, aspects: Tensor, size: tuple[int, int]) -> Tensor:
    """Cut what each matrix shows in height or in width, to a shape that does not depend on the original's.

    Args:
        matrices: float32 of shape (batch, 8), from `affine_matrices`.
        widest: Width / height is drawn from 1 to this, on a logarithmic scale. `LEAST_SHARE` of a side is left.
        draws: In [-1, 1], of shape (2, batch): for width / height, and for the place of the cut.
        aspects: Width / height of what each image shows, float32 of shape (batch,).
        size: Height and width of the images, in pixels.

    Returns:
        Matrices of the same shape.
    """
    import tensorflow as tf

    wanted = tf.exp(tf.math.log(widest) * (draws[0] + 1) / 2) / aspects
    across, down = (tf.clip_by_value(share, LEAST_SHARE, 1.0) for share in (wanted, 1 / wanted))
    # Of what is cut off, this share lies at the left or at the top.
    left, top = ((1 + draws[1]) / 2 * (1 - share) * (side - 1) for share, side in ((across, size[1]), (down, size[0])))
    a, b, right, c, d, below, *rest = tf.unstack(matrices, axis=1)
    moved = a * left + b * top + right, c * left + d * top + below
    return tf.stack([a * across, b * down, moved[0], c * across, d * down, moved[1], *rest], axis=1)


def warp(images: Tensor, matrices: Tensor) -> Tensor:
    """Warp each image by its matrix: bilinear, and mirrored where the source ends, so that no black wedge appears.

    The same as TensorFlow's ImageProjectiveTransformV3 to 1e-6; compiled by XLA it takes 3.6 instead of 9.1 ms of
    processor time for a batch of 32 at 128 px (2026-11-25).

    Args:
        images: float32 of shape (batch, height, width, channels).
        matrices: float32 of shape (batch, 8); see `affine_matrices`.

    Returns:
        Images of the same shape.
    """
    return _compile_sample()(images, matrices)


@cache
def _compile_sample() -> Any:
    import tensorflow as tf

    return tf.function(_sample, jit_compile=True)


def _sample(images: Tensor, matrices: Tensor) -> Tensor:
    import tensorflow as tf

    num_images, height, width, channels = images.shape
    y, x = tf.meshgrid(tf.range(height, dtype=tf.float32), tf.range(width, dtype=tf.float32), indexing="ij")
    a, b, right, c, d, below = (matrices[:, place, None, None] for place in range(6))
    across, down = a * x + b * y + right, c * x + d * y + below
    column, row = tf.floor(across), tf.floor(down)
    first = tf.range(tf.shape(images)[0])[:, None, None] * height
    pixels = tf.reshape(images, [-1, channels])

    def read(row: Tensor, column: Tensor) -> Tensor:
        return tf.gather(pixels, (first + _mirror(row, height)) * width + _mirror(column, width))

    beside, beyond = (across - column)[..., None], (down - row)[..., None]
    upper = read(row, column) * (1 - beside) + read(row, column + 1) * beside
    lower = read(row + 1, column) * (1 - beside) + read(row + 1, column + 1) * beside
    return tf.ensure_shape(upper * (1 - beyond) + lower * beyond, (num_images, height, width, channels))


def _mirror(place: Tensor, side: int) -> Tensor:
    """Fold whole numbers of any size into [0, side), as a picture between mirrors is."""
    import tensorflow as tf

    folded = place - 2 * side * tf.floor(place / (2 * side))
    return tf.cast(tf.minimum(folded, 2 * side - 1 - folded), tf.int32)


def _change_intensity(images: Tensor, options: Augmentation, draws: Tensor, seed: Any) -> Tensor:
    import tensorflow as tf

    brightness, contrast, gamma, noise = (draw[:, None, None, None] for draw in tf.unstack(draws))
    if options.gamma:
        # The same as tf.pow in a sixth of its time: 1.1 instead of 6.4 ms a batch of 32 at 128 px (2026-11-24).
        images = tf.exp(tf.exp(options.gamma * gamma) * tf.math.log(tf.maximum(images, 1e-6)))
    if options.contrast or options.brightness:
        mean = tf.reduce_mean(images, axis=[1, 2, 3], keepdims=True)
        images = (images - mean) * (1.0 + options.contrast * contrast) + mean + options.brightness * brightness
    if options.noise:
        # A seed of its own, or the grain would follow from the draws.
        grain = tf.random.stateless_normal(tf.shape(images), tf.random.fold_in(seed, 1))
        images += grain * tf.abs(noise) * options.noise
    return tf.clip_by_value(images, 0.0, 1.0)


def _blur(images: Tensor, sigmas: Tensor, largest: float) -> Tensor:
    """Gaussian blur by two passes of a kernel of each image's own width, the batch standing as channels."""
    import tensorflow as tf

    reach = tf.range(-round(2 * largest), round(2 * largest) + 1, dtype=tf.float32)
    kernels = tf.nn.softmax(-(reach[:, None] ** 2) / (2 * tf.maximum(sigmas, 0.05)[None, :] ** 2), axis=0)
    stacked = tf.transpose(images, [3, 1, 2, 0])
    half = tf.shape(reach)[0] // 2
    stacked = tf.pad(stacked, [[0, 0], [half, half], [half, half], [0, 0]], "SYMMETRIC")
    for kernel in (kernels[:, None, :, None], kernels[None, :, :, None]):
        stacked = tf.nn.depthwise_conv2d(stacked, kernel, [1, 1, 1, 1], "VALID")
    return tf.transpose(stacked, [3, 1, 2, 0])
