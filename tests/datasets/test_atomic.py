"""Tables, plain values and texts survive a failed overwrite on a full disk."""

import json
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from kedro.io import DatasetError

from chest_xray.datasets.atomic import CSVDataset, JSONDataset, ParquetDataset, ResultDataset, TextDataset
from tests import commands
from tests.builders import make_point

POINT_TYPE = "chest_xray.metrics.operating_point.OperatingPoint"
TABLE = pd.DataFrame({"a": range(3), "b": ["x", "y", "z"]})


@pytest.mark.parametrize(
    ("kind", "data"), [(CSVDataset, TABLE), (ParquetDataset, TABLE), (JSONDataset, {"a": 1}), (TextDataset, "text")]
)
def test_a_failed_save_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Any, data: Any
) -> None:
    arguments = {"save_args": {"index": False}} if kind is CSVDataset else {}
    dataset = kind(filepath=str(tmp_path / "new/file"), **arguments)
    dataset.save(data)
    before = (tmp_path / "new/file").read_bytes()
    assert dataset.exists()
    loaded = dataset.load()
    assert loaded.equals(data) if isinstance(data, pd.DataFrame) else loaded == data

    def tear(plain: Any, _: Any) -> None:
        Path(plain._filepath).write_bytes(b"ha")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(kind.plain, "save", tear)
    with pytest.raises(DatasetError, match="No space left on device"):
        dataset.save(data)
    assert (tmp_path / "new/file").read_bytes() == before
    assert [each.name for each in (tmp_path / "new").iterdir()] == ["file"]


def test_files_are_also_written_to_an_in_memory_filesystem() -> None:
    dataset = JSONDataset(filepath="memory:///whole/file.json")
    dataset.save({"a": 1})
    dataset.save({"a": 2})
    assert dataset.load() == {"a": 2}


FILL = """
import resource, signal, sys
from chest_xray.datasets.atomic import CSVDataset
import pandas as pd
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
try:
    CSVDataset(filepath=sys.argv[1]).save(pd.DataFrame({"a": range(100_000)}))
except Exception as error:
    print(error)
"""


def test_a_system_file_size_limit_keeps_the_old_file(tmp_path: Path) -> None:
    CSVDataset(filepath=str(tmp_path / "table.csv")).save(TABLE)
    before = (tmp_path / "table.csv").read_bytes()
    run = commands.run([sys.executable, "-c", FILL, str(tmp_path / "table.csv")])
    assert run.returncode == 0, run.stderr
    assert "table.csv: File too large. The old file is untouched." in run.stdout
    assert (tmp_path / "table.csv").read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["table.csv"]


def test_a_typed_result_survives_a_round_trip(tmp_path: Path) -> None:
    dataset = ResultDataset(filepath=str(tmp_path / "point.json"), result=POINT_TYPE)
    dataset.save(make_point(0.3))
    assert dataset.load() == make_point(0.3)


def test_a_typed_result_is_shown_as_its_json(tmp_path: Path) -> None:
    dataset = ResultDataset(filepath=str(tmp_path / "point.json"), result=POINT_TYPE)
    dataset.save(make_point(0.3))
    assert json.loads(dataset.preview()) == make_point(0.3).model_dump(mode="json")


def test_a_file_with_other_content_is_not_loaded_as_a_result(tmp_path: Path) -> None:
    (tmp_path / "point.json").write_text('{"threshold": 0.3}')
    dataset = ResultDataset(filepath=str(tmp_path / "point.json"), result=POINT_TYPE)
    with pytest.raises(DatasetError, match=r"json is not a OperatingPoint \(run: Field required.*writes it again"):
        dataset.load()
