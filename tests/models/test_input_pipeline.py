"""Batches: no image is lost or wrongly changed, and each batch depends only on its number and the seed."""

import time
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from chest_xray.core.types import Array
from chest_xray.models.augmentation import Augmentation
from chest_xray.models.input_pipeline import TrainingBatches, image_batches, scale
from tests.builders import make_pixels

ALTER = Augmentation(copies=1, horizontal_flip=True, zoom=0.2, tilt=10)
SUBSET = np.array([11, 3, 8, 0, 6])  # five of twelve images, in no order


def make_batches(augmentation: Augmentation = ALTER, *, batch_size: int = 2, seed: int = 1) -> TrainingBatches:
    labels = np.array([1, 0, 1, 0, 1])
    aspects = np.array([0.8, 1.0, 1.3, 1.6, 2.0])
    options: dict[str, Any] = {"augmentation": augmentation, "batch_size": batch_size, "seed": seed}
    return TrainingBatches(make_pixels(12), SUBSET, labels, aspects, **options)


def take(batches: TrainingBatches, num_batches: int, first_step: int = 0) -> list[tuple[Array, Array]]:
    return list(batches.dataset(first_step).take(num_batches).as_numpy_iterator())


def test_grey_values_are_scaled_to_float32_from_0_to_1_with_one_channel() -> None:
    scaled = scale(np.array([[[0, 51], [204, 255]]], np.uint8)).numpy()
    assert scaled.dtype == np.float32
    assert scaled.shape == (1, 2, 2, 1)
    np.testing.assert_allclose(scaled.ravel(), [0, 0.2, 0.8, 1])


@pytest.mark.parametrize("batch_size", [1, 2, 5, 64])
def test_image_batches_keep_the_order_and_lose_nothing(batch_size: int) -> None:
    pixels = make_pixels(12, height=8, width=16)
    found = list(image_batches(pixels, SUBSET, batch_size).as_numpy_iterator())
    assert [len(batch) for batch in found[:-1]] == [batch_size] * (len(found) - 1)
    np.testing.assert_array_equal(np.concatenate(found), pixels[SUBSET][..., None].astype(np.float32) / 255)


class SlowAtFirst:
    """Pixels of which the first batch takes longer to read than the second."""

    def __init__(self, pixels: Array):
        self.pixels, self.shape, self.num_read = pixels, pixels.shape, 0

    def __getitem__(self, rows: Array) -> Array:
        self.num_read += 1
        if self.num_read == 1:
            time.sleep(0.3)
        return self.pixels[rows]


def test_batches_keep_their_order_when_an_earlier_one_takes_longer() -> None:
    slow: Any = SlowAtFirst(make_pixels(12))
    found = np.concatenate(list(image_batches(slow, SUBSET, 2).as_numpy_iterator()))
    np.testing.assert_array_equal(found, make_pixels(12)[SUBSET][..., None].astype(np.float32) / 255)
    batches = make_batches()
    batches.pixels = slow
    slow.num_read = 0
    for (late, _), (images, _) in zip(take(batches, 4), take(make_batches(), 4), strict=True):
        np.testing.assert_array_equal(late, images)


def test_image_batches_have_a_static_shape_and_read_a_memory_map(tmp_path: Any) -> None:
    np.save(tmp_path / "pixels.npy", make_pixels(12, height=8, width=16))
    pixels = np.load(tmp_path / "pixels.npy", mmap_mode="r")
    batches = image_batches(pixels, SUBSET, 3)
    assert batches.element_spec == tf.TensorSpec((None, 8, 16, 1), tf.float32)
    np.testing.assert_allclose(next(iter(batches))[..., 0], pixels[SUBSET[:3]] / np.float32(255))


def test_batch_n_depends_only_on_n_and_the_seed() -> None:
    straight = take(make_batches(), 9)
    resumed = take(make_batches(), 5, first_step=4)
    for (images, labels), (images_again, labels_again) in zip(straight[4:], resumed, strict=True):
        np.testing.assert_array_equal(images, images_again)
        np.testing.assert_array_equal(labels, labels_again)


def test_another_seed_gives_another_order_and_other_copies() -> None:
    def items(seed: int) -> list[tuple[int, bool]]:
        picked = [make_batches(seed=seed).pick(step)[:2] for step in range(5)]
        return [item for places, is_copy in picked for item in zip(places.tolist(), is_copy.tolist(), strict=True)]

    assert items(1) == items(1)
    assert items(1) != items(2)
    assert sorted(items(1)) == sorted(items(2))


@pytest.mark.parametrize("batch_size", [1, 2, 3, 7, 10, 23])
def test_every_item_comes_once_in_each_pass(batch_size: int) -> None:
    batches = make_batches(batch_size=batch_size)
    num_steps = -(-3 * 10 // batch_size)
    picked = [batches.pick(step)[:2] for step in range(num_steps)]
    places, is_copy = (np.concatenate(part) for part in zip(*picked, strict=True))
    passes = [sorted(zip(places[i : i + 10], is_copy[i : i + 10], strict=True)) for i in (0, 10, 20)]
    whole = sorted((place, copy) for place in range(5) for copy in (False, True))
    assert passes == [whole] * 3


def test_each_pass_has_a_new_order() -> None:
    batches = make_batches(batch_size=10)
    assert batches.pick(0)[0].tolist() != batches.pick(1)[0].tolist()


def test_labels_match_their_images() -> None:
    batches = make_batches(Augmentation())
    label_of = {0: 1, 1: 0, 2: 1, 3: 0, 4: 1}
    pixels = make_pixels(12)[SUBSET].astype(np.float32) / 255
    for images, labels in take(batches, 5):
        assert labels.dtype == np.float32
        assert labels.shape == (2, 1)
        for image, label in zip(images[..., 0], labels[:, 0], strict=True):
            place = int(np.abs(pixels - image).sum(axis=(1, 2)).argmin())
            np.testing.assert_array_equal(image, pixels[place])
            assert label == label_of[place]


def test_originals_are_unchanged_beside_augmented_copies() -> None:
    batches = make_batches(batch_size=10)
    ((images, _),) = take(batches, 1)
    places, is_copy, _ = batches.pick(0)
    originals = make_pixels(12)[SUBSET[places]][..., None].astype(np.float32) / 255
    np.testing.assert_array_equal(images[~is_copy], originals[~is_copy])
    differences = np.abs(images - originals).mean(axis=(1, 2, 3))[is_copy]
    assert len(differences) == 5
    assert differences.min() > 0.01


def test_copies_are_redrawn_in_each_pass() -> None:
    batches = make_batches(batch_size=10)
    first, second = (
        images[np.argsort(batches.pick(step)[0] + 5 * batches.pick(step)[1])][5:]  # the copies, in the order of SUBSET
        for step, (images, _) in enumerate(take(batches, 2))
    )
    assert np.abs(first - second).mean(axis=(1, 2, 3)).min() > 0.01


def test_copies_of_one_image_differ_from_batch_to_batch_and_from_seed_to_seed() -> None:
    def copies(seed: int) -> list[Array]:
        batches = make_batches(batch_size=10, seed=seed)
        batches.rows = np.array([3] * 5)
        return [images[batches.pick(step)[1]] for step, (images, _) in enumerate(take(batches, 2))]

    (first, second), (other, _) = copies(1), copies(2)
    assert len(first) == len(second) == len(other) == 5
    for another in (second, other):
        assert np.abs(first - another).mean(axis=(1, 2, 3)).min() > 0.01


def test_copies_are_collimated_by_the_aspect_ratio_of_their_original() -> None:
    # All are cropped to nearly a square: the widest keeps half its width, the square is not cropped.
    batches = make_batches(Augmentation(copies=1, collimation=1.0001), batch_size=10)
    ((images, _),) = take(batches, 1)
    places, is_copy, _ = batches.pick(0)
    for image, place in zip(images[is_copy][..., 0], places[is_copy], strict=True):
        original = make_pixels(12)[SUBSET[place]].astype(np.float32) / 255
        assert np.allclose(image, original, atol=2e-3) == (place == 1)


def test_without_copies_only_the_originals_are_used() -> None:
    places, is_copy, _ = make_batches(Augmentation(tilt=10), batch_size=5).pick(0)
    assert not is_copy.any()
    assert sorted(places) == [0, 1, 2, 3, 4]


def test_the_autotuner_that_delays_the_end_of_a_dataset_is_off() -> None:
    for batches in (image_batches(make_pixels(12), SUBSET, 2), make_batches().dataset()):
        assert batches.options().autotune.enabled is False
