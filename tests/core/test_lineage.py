"""Outputs of different data or options are never combined, and damage is reported before a run starts."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from chest_xray.core.lineage import Lineage, digest_path
from chest_xray.core.options import InputError

MAKERS = dict.fromkeys(("pixels", "hashes", "split", "model"), "data_processing") | {"model": "modeling"}


class Outputs:
    """A data folder with a chain of outputs: pixels, then in memory hashes, then the split, then a model."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.lineage = Lineage(folder / "lineage.json")

    def path(self, name: str) -> Path:
        """Return the path of an output."""
        return self.folder / f"{name}.bin"

    def save(self, name: str, text: str, *inputs: str, memory: bool = False, **parameters: Any) -> None:
        """Write an output and its entry."""
        if not memory:
            self.path(name).write_text(text)
        given = [*((each, None) for each in inputs), *((f"params:{key}", value) for key, value in parameters.items())]
        self.lineage.record(name, None if memory else self.path(name), given)

    def make_all(self, pixels: str = "a", size: int = 128) -> None:
        """Run everything."""
        self.save("pixels", pixels, size=size)
        self.save("hashes", "", "pixels", memory=True)
        self.save("split", f"split of {pixels}", "hashes", seed=1)
        self.save("model", f"model of {pixels}", "pixels", "split")

    def read(self, *names: str, **parameters: Any) -> None:
        """Check the inputs, as a new process would."""
        given = {f"params:{key}": value for key, value in parameters.items()}
        Lineage(self.folder / "lineage.json").require_one_origin(
            {name: self.path(name) for name in names}, given, MAKERS
        )


@pytest.fixture
def outputs(tmp_path: Path) -> Outputs:
    made = Outputs(tmp_path)
    made.make_all()
    return made


def test_outputs_of_one_run_can_be_combined(outputs: Outputs) -> None:
    outputs.read("pixels", "split", "model", size=128, seed=1)


def test_a_split_made_from_older_pixels_is_refused_across_in_memory_datasets(outputs: Outputs) -> None:
    outputs.save("pixels", "b", size=128)  # and the run stopped here
    with pytest.raises(InputError, match=r"split was made from an earlier pixels.*`kedro run --pipelines=data_proc"):
        outputs.read("pixels", "split")


def test_a_conflict_among_distant_ancestors_is_found_from_the_model(outputs: Outputs) -> None:
    outputs.save("pixels", "b", size=128)
    with pytest.raises(InputError, match="was made from an earlier pixels"):
        outputs.read("model")


def test_recomputing_identical_bytes_is_not_a_conflict(outputs: Outputs) -> None:
    outputs.save("pixels", "a", size=128)
    outputs.read("pixels", "split", "model")


def test_parameters_that_differ_from_those_of_the_data_are_refused(outputs: Outputs) -> None:
    with pytest.raises(InputError, match=r"pixels was made with other values of size .* Run `kedro run --pipelines=d"):
        outputs.read("model", size=64)


def test_the_language_of_figures_may_differ(outputs: Outputs) -> None:
    outputs.save("pixels", "a", size=128, language="en")
    outputs.read("pixels", language="ru")


def test_a_data_folder_without_lineage_is_accepted(outputs: Outputs) -> None:
    (outputs.folder / "lineage.json").unlink()
    outputs.read("pixels", "split", "model")


@pytest.mark.parametrize("damage", ["", "{", '{"pixels": 3}', "\0\0"])
def test_damaged_lineage_entries_are_ignored(damage: str, outputs: Outputs) -> None:
    (outputs.folder / "lineage.json").write_text(damage)
    outputs.read("pixels", "split", "model")


@pytest.mark.parametrize("seed", range(25))
def test_any_damaged_input_is_reported(seed: int, outputs: Outputs) -> None:
    rng = random.Random(seed)
    name = rng.choice(["pixels", "split", "model"])
    whole = outputs.path(name).read_bytes()
    place = rng.randrange(len(whole))
    damaged = [b"", whole[:place], whole[:place] + bytes([whole[place] ^ 1 << rng.randrange(8)]) + whole[place + 1 :]]
    outputs.path(name).write_bytes(rng.choice(damaged))
    with pytest.raises(InputError, match=rf"{name} \(.*\) is not as it was written: it is damaged, or was changed by"):
        outputs.read("pixels", "split", "model")


def test_a_missing_output_is_reported(outputs: Outputs) -> None:
    outputs.path("split").unlink()
    with pytest.raises(InputError, match="is not as it was written"):
        outputs.read("split")


def test_the_digest_of_a_folder_depends_on_names_and_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").write_text("1")
    (tmp_path / "a" / ".lock").write_text("")
    first = digest_path(tmp_path / "a")
    (tmp_path / "a" / ".lock").write_text("held")
    assert digest_path(tmp_path / "a") == first
    (tmp_path / "a" / "x").rename(tmp_path / "a" / "y")
    assert digest_path(tmp_path / "a") != first


def test_lineage_entries_are_plain_json(outputs: Outputs) -> None:
    entries = json.loads((outputs.folder / "lineage.json").read_text())
    assert set(entries) == {"pixels", "split", "model"}
    assert set(entries["split"]["made_from"]) == {"pixels", "params:seed"}


def test_what_depends_on_a_replaced_output_is_stale_also_across_in_memory_datasets(outputs: Outputs) -> None:
    assert Lineage(outputs.folder / "lineage.json").list_stale(["pixels"]) == []
    outputs.save("pixels", "b", size=128)
    assert Lineage(outputs.folder / "lineage.json").list_stale(["pixels"]) == ["split", "model"]
    assert Lineage(outputs.folder / "lineage.json").list_stale(["split"]) == []


@pytest.mark.parametrize(
    ("parameters", "pixels", "is_current"),
    [
        ({}, "a", True),
        ({"params:seed": 2}, "a", False),
        ({}, "b", False),  # of which no split was made
    ],
)
def test_an_output_is_current_if_all_its_inputs_are(
    outputs: Outputs, parameters: dict[str, Any], pixels: str, is_current: bool
) -> None:
    outputs.save("pixels", pixels, size=128)
    values = {"params:size": 128, "params:seed": 1} | parameters
    assert outputs.lineage.is_current("model", values.__getitem__) == is_current
    assert not outputs.lineage.is_current("unknown", values.__getitem__)
