"""The notebook that explores the data runs from top to bottom on phantoms."""

import shutil
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the project without its data, so that nothing is written to the checkout."""
    for name in ("conf", "notebooks", "src"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", ".telemetry"):
        shutil.copy(ROOT / name, tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "src"))
    monkeypatch.setenv("KEDRO_ENV", "test")
    return tmp_path


# The kernel of a test listens on this machine alone, for seconds.
@pytest.mark.filterwarnings("ignore:Kernel is running over TCP without encryption")
def test_exploration_prepares_the_phantoms_and_shows_them(project: Path) -> None:
    notebook = nbformat.read(project / "notebooks" / "exploration.ipynb", as_version=4)  # type: ignore[no-untyped-call]
    NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": project / "notebooks"}}
    ).execute()

    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert (project / "data" / "test" / "03_primary" / "image_split.parquet").is_file()
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 3
    text = "".join(output.get("text", "") for output in outputs)
    assert "SYNTHETIC phantoms drawn by this project, not radiographs: 110 images" in text
    assert "None yet: kedro run --env=test" in text
