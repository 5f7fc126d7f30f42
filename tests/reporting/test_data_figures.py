"""Two radiographs of each class are shown, of different patients and of a usual width."""

from pathlib import Path

import numpy as np
import pytest

from chest_xray.images.decoding import read_pixels
from chest_xray.reporting.data_figures import draw_example_radiographs
from chest_xray.reporting.style import Labels
from tests.builders import axes_of
from tests.image_folders import draw_image_folders, process

LABELS = Labels("phantoms")


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
