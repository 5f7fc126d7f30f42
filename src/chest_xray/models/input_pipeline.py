"""From prepared pixels to what a network reads: float32 in [0, 1], in batches; the same for training, test and use."""

from typing import Any

from chest_xray.core.types import Array, Dataset, Tensor
from chest_xray.models.augmentation import Augmentation, augment


def scale(pixels: Tensor) -> Tensor:
    """Turn uint8 grey values in [0, 255], (..., height, width), into float32 in [0, 1], (..., height, width, 1)."""
    import tensorflow as tf

    return tf.cast(pixels, tf.float32)[..., None] / 255


def image_batches(pixels: Array, rows: Array, batch_size: int) -> Dataset:
    """Read images in the order given, none left out, none altered.

    Args:
        pixels: Prepared images, uint8 of shape (images, height, width); may be a memory map, read batch by batch.
        rows: Which images, integers of shape (n,).
        batch_size: Images a batch; the last batch may be smaller.

    Returns:
        Batches of float32 in [0, 1], of shape (batch, height, width, 1).
    """
    import numpy as np
    import tensorflow as tf

    def read(batch: Array) -> Array:
        return np.ascontiguousarray(pixels[batch])

    def make(batch: Tensor) -> Tensor:
        return scale(tf.ensure_shape(tf.numpy_function(read, [batch], tf.uint8), (None, *pixels.shape[1:])))

    batches = tf.data.Dataset.from_tensor_slices(rows).batch(batch_size)
    return _read_ahead(batches.map(make, num_parallel_calls=2, deterministic=True))


def _read_ahead(batches: Dataset) -> Dataset:
    """Prefetch batches, and switch the autotuner off.

    The tuner of tf.data sleeps ever longer, and whoever drops a dataset waits until it wakes: 200 steps of 28 ms took
    10.2 s instead of 5.6 (TensorFlow 2.21, 2026-11-25).
    """
    import tensorflow as tf

    options = tf.data.Options()
    options.autotune.enabled = False
    return batches.prefetch(4).with_options(options)


class TrainingBatches:
    """An endless sequence of training batches in which batch number n depends on n and the seed alone.

    So training can stop after any step and go on later with what it would have seen. Each pass goes once, in a new
    order, over the enlarged set: the originals and `copies` altered copies of each, drawn anew.

    Args:
        pixels: Prepared images, uint8 of shape (images, height, width).
        rows: Which of them are for training, integers of shape (n,).
        labels: Of the images in `rows`: 0 or 1, shape (n,).
        aspects: Of the images in `rows`: width / height of what they show, shape (n,).
        augmentation: How the copies differ; with `copies` 0 there are only originals.
        batch_size: Images a batch; always full.
        seed: Of orders and copies.
    """

    def __init__(  # noqa: PLR0913
        self,
        pixels: Array,
        rows: Array,
        labels: Array,
        aspects: Array,
        *,
        augmentation: Augmentation,
        batch_size: int,
        seed: int,
    ):
        self.pixels, self.rows, self.labels, self.aspects = pixels, rows, labels, aspects.astype("float32")
        self.augmentation, self.batch_size, self.seed = augmentation, batch_size, seed
        self.num_enlarged = len(rows) * (1 + augmentation.copies)

    def pick(self, step: int) -> tuple[Array, Array, Array]:
        """Return the rows of batch number `step`, counted from 0.

        Returns:
            Positions in `rows` (batch,); which of the images are copies, bool (batch,); labels, float32 (batch, 1).
        """
        import numpy as np

        start = step * self.batch_size
        numbers = np.arange(start, start + self.batch_size)
        passes = {number: self._order(number) for number in np.unique(numbers // self.num_enlarged)}
        items = np.array([passes[n // self.num_enlarged][n % self.num_enlarged] for n in numbers])
        places, is_copy = items % len(self.rows), items >= len(self.rows)
        return places, is_copy, self.labels[places].astype(np.float32)[:, None]

    def dataset(self, first_step: int = 0) -> Dataset:
        """Return the batches from `first_step` on: images float32 in [0, 1] (batch, height, width, 1), labels."""
        import numpy as np
        import tensorflow as tf

        shape = (self.batch_size, *self.pixels.shape[1:])

        def read(step: Any) -> tuple[Array, Array, Array, Array]:
            places, is_copy, labels = self.pick(int(step))
            return np.ascontiguousarray(self.pixels[self.rows[places]]), is_copy, labels, self.aspects[places]

        def make(step: Tensor) -> tuple[Tensor, Tensor]:
            types = [tf.uint8, tf.bool, tf.float32, tf.float32]
            pixels, is_copy, labels, aspects = tf.numpy_function(read, [step], types)
            images = scale(tf.ensure_shape(pixels, shape))
            if self.augmentation.copies:
                seed = tf.stack([tf.cast(self.seed, tf.int64), step])
                altered = augment(images, self.augmentation, seed, tf.ensure_shape(aspects, shape[:1]))
                images = tf.where(tf.ensure_shape(is_copy, shape[:1])[:, None, None, None], altered, images)
            return images, tf.ensure_shape(labels, (self.batch_size, 1))

        steps = tf.data.Dataset.counter(first_step)
        return _read_ahead(steps.map(make, num_parallel_calls=2, deterministic=True))

    def _order(self, number: int) -> Array:
        import numpy as np

        return np.random.default_rng([self.seed, number]).permutation(self.num_enlarged)
