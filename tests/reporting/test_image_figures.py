"""Figures show the images they should, side by side, at the stated strength and in their own proportions."""

from pathlib import Path

import numpy as np
import pytest

from chest_xray.core.types import Array, Figure
from chest_xray.images.decoding import read_pixels
from chest_xray.images.preprocessing import Preparation
from chest_xray.models.augmentation import Augmentation
from chest_xray.reporting.i18n import languages, read_messages
from chest_xray.reporting.image_figures import (
    draw_augmented_examples,
    draw_example_radiographs,
    draw_transform_ranges,
    draw_transforms,
)
from chest_xray.reporting.style import Labels
from tests.builders import axes_of, make_pixels, make_run, make_split
from tests.image_folders import draw_image_folders, process

LABELS = Labels("phantoms")
PREPARATION = Preparation(width=16, height=16)
PIXELS = make_pixels(4)
SPLIT = make_split([0, 0, 1, 1], ["test", "train", "train", "train"])
NORMAL, PNEUMONIA = PIXELS[1] / np.float32(255), PIXELS[2] / np.float32(255)  # the first of each class in train
RUN = make_run(copies=1, horizontal_flip=True, brightness=0.5, noise=0.2)


def test_a_row_shows_two_train_images_of_a_class_in_their_own_proportions(tmp_path: Path) -> None:
    draw_image_folders(tmp_path / "chest_xray")
    index, _, _ = process(tmp_path / "chest_xray")
    figure = draw_example_radiographs(index, LABELS)
    assert figure.get_supxlabel() == "Data: phantoms"
    assert [axes.get_title() for axes in axes_of(figure)] == [
        *("NORMAL\nIM-0001, 48 x 40 px", "NORMAL\nIM-0002, 48 x 40 px"),
        *("PNEUMONIA (viral)\nperson1_virus, 48 x 40 px", "PNEUMONIA (viral)\nperson2_virus, 48 x 40 px"),
    ]
    first = index[(index["group"] == "IM-0001") & (index["split"] == "train")].iloc[0]
    shown = np.asarray(axes_of(figure)[0].images[0].get_array())
    np.testing.assert_array_equal(shown, read_pixels(first["path"], 48, 40))


@pytest.mark.parametrize("group", ["IM-0001", "person1_virus"])
def test_one_patient_alone_leaves_a_place_empty(tmp_path: Path, group: str) -> None:
    draw_image_folders(tmp_path / "chest_xray")
    index, _, _ = process(tmp_path / "chest_xray")
    alone = index[(index["group"] == group) | (index["label"] != index.loc[index["group"] == group, "label"].iloc[0])]
    places = axes_of(draw_example_radiographs(alone, LABELS))
    assert sorted(len(axes.images) for axes in places) == [0, 1, 1, 1]
    assert not any(axes.axison for axes in places)


def titles_of(figure: Figure) -> list[str]:
    return [axes.get_title() for axes in axes_of(figure)]


def shown_in(figure: Figure) -> list[Array]:
    return [np.asarray(axes.images[0].get_array()) for axes in axes_of(figure)]


def test_the_examples_show_an_original_of_each_class_beside_altered_copies_and_the_source() -> None:
    figure = draw_augmented_examples(PIXELS, SPLIT, PREPARATION, make_run(copies=1, brightness=0.5), LABELS)
    assert figure.get_supxlabel() == "Data: phantoms"
    assert titles_of(figure) == [
        *("NORMAL: original", *["augmented copy"] * 5),
        *("PNEUMONIA: original", *["augmented copy"] * 5),
    ]
    shown = shown_in(figure)
    for place, original in ((0, NORMAL), (6, PNEUMONIA)):
        np.testing.assert_allclose(shown[place], original)
        for copy in shown[place + 1 : place + 6]:
            assert np.abs(copy - shown[place]).mean() > 0.01


def test_each_active_transform_is_beside_its_original_at_full_strength() -> None:
    figure = draw_transforms(PIXELS, SPLIT, PREPARATION, RUN, LABELS)
    assert figure.get_supxlabel() == "Data: phantoms"
    transforms = ["horizontal flip:\nmirrored", "brightness:\n+0.50 of 1", "noise:\ndeviation 0.200"]
    assert titles_of(figure) == ["NORMAL:\noriginal", *transforms, "PNEUMONIA:\noriginal", *transforms]
    for original, shown in ((NORMAL, shown_in(figure)[:4]), (PNEUMONIA, shown_in(figure)[4:])):
        np.testing.assert_allclose(shown[0], original)
        np.testing.assert_allclose(shown[1], original[:, ::-1], atol=1e-6)
        np.testing.assert_allclose(shown[2], np.minimum(original + 0.5, 1), atol=1e-6)
        inside = (original > 0.4) & (original < 0.6)
        assert 0.1 < (shown[3] - original)[inside].std() < 0.3


def test_the_strip_goes_from_one_end_of_each_range_to_the_other() -> None:
    figure = draw_transform_ranges(PIXELS, SPLIT, PREPARATION, RUN, LABELS)
    assert titles_of(figure) == [
        *("horizontal flip:\nmirrored", "horizontal flip:\nmirrored", *["horizontal flip:\nunchanged"] * 3),
        *(
            f"brightness:\n{added} of 1"
            for added in ("\N{MINUS SIGN}0.50", "\N{MINUS SIGN}0.25", "+0.00", "+0.25", "+0.50")
        ),
        *(f"noise:\ndeviation {deviation}" for deviation in ("0.000", "0.050", "0.100", "0.150", "0.200")),
    ]
    shown = shown_in(figure)
    np.testing.assert_allclose(shown[0], PNEUMONIA[:, ::-1], atol=1e-6)
    for place, added in enumerate((-0.5, -0.25, 0, 0.25, 0.5), start=5):
        np.testing.assert_allclose(shown[place], np.clip(PNEUMONIA + added, 0, 1), atol=1e-6)
    strengths = [np.abs(picture - PNEUMONIA).mean() for picture in shown[10:]]
    assert strengths == sorted(strengths)
    assert strengths[0] < 1e-6


def test_collimation_is_described_by_the_shape_that_it_cuts_to() -> None:
    # The original shows a square: of that half the height is left at the widest, and all of it at the other end.
    run = make_run(copies=1, collimation=2.0)
    figure = draw_transform_ranges(PIXELS, SPLIT, PREPARATION, run, LABELS)
    shapes = ("1.00", "1.19", "1.41", "1.68", "2.00")
    assert titles_of(figure) == [f"collimation:\ncut to {shape} : 1" for shape in shapes]
    np.testing.assert_allclose(shown_in(figure)[0], PNEUMONIA, atol=1e-5)
    widest = shown_in(draw_transforms(PIXELS, SPLIT, PREPARATION, run, LABELS))[3]
    np.testing.assert_allclose(widest[-1], PNEUMONIA[-1], atol=1e-5)  # cut at the top
    np.testing.assert_allclose(widest[0], PNEUMONIA[7:9].mean(axis=0), atol=1e-5)


def test_a_run_without_augmentation_has_its_originals_alone() -> None:
    assert titles_of(draw_transforms(PIXELS, SPLIT, PREPARATION, make_run(), LABELS)) == [
        "NORMAL:\noriginal",
        "PNEUMONIA:\noriginal",
    ]
    unaltered = draw_transform_ranges(PIXELS, SPLIT, PREPARATION, make_run(), LABELS)
    assert titles_of(unaltered) == ["horizontal flip:\nunchanged"] * 5
    for picture in shown_in(unaltered):
        np.testing.assert_allclose(picture, PNEUMONIA, atol=1e-6)


@pytest.mark.parametrize("language", languages())
def test_every_transform_has_a_name_and_a_unit(language: str) -> None:
    labels = read_messages(language)["labels"]
    for name in set(Augmentation.model_fields) - {"copies"}:
        assert {f"transform_{name}", f"strength_of_{name}"} <= set(labels)
