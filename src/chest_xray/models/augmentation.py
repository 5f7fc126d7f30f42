"""The only definition of augmentation; no network contains it, so it is inactive in tests and predictions."""

from functools import cache
from typing import Annotated, Any

from pydantic import Field

from chest_xray.core.libraries import tf
from chest_xray.core.types import Options, Tensor

Share = Annotated[float, Field(ge=0, le=0.5)]
NUM_DRAWS = 13  # of each image: six of geometry, one of blur, four of intensity, two of collimation
MIN_SHARE = 0.5  # of a side after collimation


class Augmentation(Options):
    """Ranges of the differences between an image and its copies; all are symmetric, and 0 disables a transform.

    Within these limits the label of a radiograph does not change. The reason for each transform, and its risk:

    - `horizontal_flip`: opacities occur on either side; but the heart then is on the right, as in dextrocardia (about 1
      in 10,000), so a network trained with it cannot distinguish left from right.
    - `zoom` and `translation`: distance to the tube, body size and collimation vary; too strong, the lung bases are
      lost.
    - `tilt`: a child is seldom held straight; beyond about 15 degrees a technician would repeat the image.
    - `aspect`: collimation varies, and images are resized to the network's input; too strong, a hyperinflated chest
      and a flat one look alike.
    - `collimation`: a copy is cut in height or in width, by half a side at most, to a width / height drawn from 1 to
      this, independent of the original's. Where the shape of images depends on the class, a network trained on
      originals learns the shape; too strong, the lung bases are lost.
    - `brightness`, `contrast` and `gamma`: exposure and the detector's tone curve vary between rooms; too strong, faint
      viral opacities vanish.
    - `noise` and `blur`: dose, movement and compression vary; too strong, fine markings vanish.
    """

    copies: Annotated[int, Field(ge=0, le=8)] = 0  # altered copies beside each original, drawn anew at each use
    horizontal_flip: bool = False  # of half of the copies
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
    def is_geometric(self) -> bool:
        """Whether any transform is geometric."""
        return self.horizontal_flip or any((self.zoom, self.translation, self.tilt, self.aspect, self.collimation))


def augment(images: Tensor, options: Augmentation, seed: Any, aspects: Tensor = None) -> Tensor:
    """Return the images, each altered at random, float32 in [0, 1] of shape (batch, height, width, 1) as before.

    Args:
        images: Originals.
        options: Ranges.
        seed: int64 of shape (2,).
        aspects: Width / height of what each image shows, float32 of shape (batch,); needed by collimation alone.
    """
    draws = tf.random.stateless_uniform([NUM_DRAWS, tf.shape(images)[0]], seed, minval=-1.0, maxval=1.0)
    return alter(images, options, draws, seed, aspects)


def alter(images: Tensor, options: Augmentation, draws: Tensor, seed: Any, aspects: Tensor = None) -> Tensor:
    """Return the result of `augment` for given draws.

    Args:
        images: Originals.
        options: Ranges.
        draws: In [-1, 1], which spans each range, of shape (NUM_DRAWS, batch): those of `affine_matrices`, then for
            blur, brightness, contrast, gamma and noise, then those of `collimate`. For blur and noise the absolute
            value is used.
        seed: Of the noise in each pixel, shape (2,).
        aspects: As for `augment`.
    """
    if options.is_geometric:
        matrices = affine_matrices(options, draws[:6], images.shape[1:3])
        if options.collimation:
            matrices = collimate(matrices, options.collimation, draws[11:], aspects, images.shape[1:3])
        images = warp(images, matrices)
    if options.blur:
        images = _blur(images, tf.abs(draws[6]) * options.blur, options.blur)
    return _change_intensity(images, options, draws[7:11], seed)


def affine_matrices(options: Augmentation, draws: Tensor, size: tuple[int, int]) -> Tensor:
    """Compute one matrix per image for flip, zoom, aspect, tilt and translation, so that pixels are interpolated once.

    Args:
        options: Ranges.
        draws: In [-1, 1], of shape (6, batch): for flip (below 0), zoom, tilt, aspect, and translation across and down.
        size: Height and width of the images, in pixels.

    Returns:
        float32 of shape (batch, 8): the first eight entries of the projective matrix from a pixel (x, y) of the result
        to its position in the source, as for TensorFlow's ImageProjectiveTransformV3.
    """
    flip = tf.where(draws[0] < 0, -1.0, 1.0) if options.horizontal_flip else tf.ones_like(draws[0])
    zoom = 1.0 + options.zoom * draws[1]
    angle = draws[2] * (options.tilt * 3.14159265 / 180)
    stretch = tf.sqrt(1.0 + options.aspect * draws[3])
    across, down = flip / (zoom * stretch), stretch / zoom
    a, b = tf.cos(angle) * across, -tf.sin(angle) * down
    c, d = tf.sin(angle) * across, tf.cos(angle) * down
    x, y = (size[1] - 1) / 2, (size[0] - 1) / 2  # the centre, which stays in place
    x_shift = x - a * x - b * y + options.translation * draws[4] * size[1]
    y_shift = y - c * x - d * y + options.translation * draws[5] * size[0]
    return tf.stack([a, b, x_shift, c, d, y_shift, tf.zeros_like(a), tf.zeros_like(a)], axis=1)


def collimate(matrices: Tensor, widest: float, draws: Tensor, aspects: Tensor, size: tuple[int, int]) -> Tensor:
    """Return matrices that also cut each image in height or in width, to a shape independent of the original's.

    Args:
        matrices: From `affine_matrices`.
        widest: Width / height is drawn from 1 to this, log-uniformly; at least `MIN_SHARE` of a side remains.
        draws: In [-1, 1], of shape (2, batch): for width / height, and for the position of the cut.
        aspects: As for `augment`.
        size: Height and width of the images, in pixels.
    """
    relative_aspect = tf.exp(tf.math.log(widest) * (draws[0] + 1) / 2) / aspects
    across, down = (tf.clip_by_value(share, MIN_SHARE, 1.0) for share in (relative_aspect, 1 / relative_aspect))
    # Pixels that are cut off at the left and at the top.
    left, top = ((1 + draws[1]) / 2 * (1 - share) * (side - 1) for share, side in ((across, size[1]), (down, size[0])))
    a, b, x_shift, c, d, y_shift, *rest = tf.unstack(matrices, axis=1)
    x_shift, y_shift = a * left + b * top + x_shift, c * left + d * top + y_shift
    return tf.stack([a * across, b * down, x_shift, c * across, d * down, y_shift, *rest], axis=1)


def warp(images: Tensor, matrices: Tensor) -> Tensor:
    """Warp float32 images (batch, height, width, channels) by `affine_matrices`: bilinear, with mirrored borders.

    Equal to TensorFlow's ImageProjectiveTransformV3 to 1e-6; compiled by XLA it takes 3.6 instead of 9.1 ms of
    processor time for a batch of 32 at 128 px (2026-11-25).
    """
    return _compile_warp()(images, matrices)


@cache
def _compile_warp() -> Any:
    def mirror(index: Tensor, side: int) -> Tensor:
        """Map integers into [0, side) by reflection."""
        folded = index - 2 * side * tf.floor(index / (2 * side))
        return tf.cast(tf.minimum(folded, 2 * side - 1 - folded), tf.int32)

    @tf.function(jit_compile=True)  # type: ignore[untyped-decorator]
    def sample(images: Tensor, matrices: Tensor) -> Tensor:
        num_images, height, width, channels = images.shape
        y, x = tf.meshgrid(tf.range(height, dtype=tf.float32), tf.range(width, dtype=tf.float32), indexing="ij")
        a, b, x_shift, c, d, y_shift = (matrices[:, entry, None, None] for entry in range(6))
        source_x, source_y = a * x + b * y + x_shift, c * x + d * y + y_shift
        column, row = tf.floor(source_x), tf.floor(source_y)
        first_row = tf.range(tf.shape(images)[0])[:, None, None] * height
        pixels = tf.reshape(images, [-1, channels])

        def read(row: Tensor, column: Tensor) -> Tensor:
            return tf.gather(pixels, (first_row + mirror(row, height)) * width + mirror(column, width))

        right, below = (source_x - column)[..., None], (source_y - row)[..., None]  # weights of these neighbours
        upper = read(row, column) * (1 - right) + read(row, column + 1) * right
        lower = read(row + 1, column) * (1 - right) + read(row + 1, column + 1) * right
        return tf.ensure_shape(upper * (1 - below) + lower * below, (num_images, height, width, channels))

    return sample


def _change_intensity(images: Tensor, options: Augmentation, draws: Tensor, seed: Any) -> Tensor:
    brightness, contrast, gamma, noise = (draw[:, None, None, None] for draw in tf.unstack(draws))
    if options.gamma:
        # tf.pow takes six times as long: 6.4 instead of 1.1 ms a batch of 32 at 128 px (2026-11-24).
        images = tf.exp(tf.exp(options.gamma * gamma) * tf.math.log(tf.maximum(images, 1e-6)))
    if options.contrast or options.brightness:
        mean = tf.reduce_mean(images, axis=[1, 2, 3], keepdims=True)
        images = (images - mean) * (1.0 + options.contrast * contrast) + mean + options.brightness * brightness
    if options.noise:
        # With the seed of the draws, the noise would depend on them.
        grain = tf.random.stateless_normal(tf.shape(images), tf.random.fold_in(seed, 1))
        images += grain * tf.abs(noise) * options.noise
    return tf.clip_by_value(images, 0.0, 1.0)


def _blur(images: Tensor, sigmas: Tensor, largest: float) -> Tensor:
    """Gaussian blur by two passes with a kernel for each image, with the batch as channels."""
    offsets = tf.range(-round(2 * largest), round(2 * largest) + 1, dtype=tf.float32)
    kernels = tf.nn.softmax(-(offsets[:, None] ** 2) / (2 * tf.maximum(sigmas, 0.05)[None, :] ** 2), axis=0)
    stacked = tf.transpose(images, [3, 1, 2, 0])
    half = tf.shape(offsets)[0] // 2
    stacked = tf.pad(stacked, [[0, 0], [half, half], [half, half], [0, 0]], "SYMMETRIC")
    for kernel in (kernels[:, None, :, None], kernels[None, :, :, None]):
        stacked = tf.nn.depthwise_conv2d(stacked, kernel, [1, 1, 1, 1], "VALID")
    return tf.transpose(stacked, [3, 1, 2, 0])
