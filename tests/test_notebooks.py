"""The notebooks run from top to bottom on phantoms, and the report is committed with its output."""

import hashlib
import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
import yaml
from nbclient import NotebookClient
from nbconvert.exporters import NotebookExporter
from traitlets import TraitError
from traitlets.config import Config

from chest_xray.reporting.i18n import languages, read_messages
from tests import commands

ROOT = Path(__file__).parents[1]
REPORT = ROOT / "notebooks" / "xray_nn.ipynb"
LARGEST = 1_500_000  # bytes of the committed report
OTHER_LANGUAGES = sorted(set(languages()) - {"en"})
SYNTHETIC = "SYNTHETIC phantoms drawn by this project, not radiographs"
PIPELINES = ("data_processing", "modeling", "evaluation", "augmentation")
SOMEWHERE = re.compile(r"(?<![\w.])/(?:home|root|Users|private|tmp|var|work|mnt|opt)/[\w.-]+|[A-Z]:\\\\\w+")

# The kernel of a test listens on this machine alone, for seconds.
pytestmark = pytest.mark.filterwarnings("ignore:Kernel is running over TCP without encryption")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of the project without its data, so that nothing is written to the checkout."""
    for name in ("conf", "notebooks", "src"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", ".telemetry"):
        shutil.copy(ROOT / name, tmp_path)
    for name in ("CHEST_XRAY_DATA_ROOT", "CHEST_XRAY_RERUN", "KEDRO_LOGGING_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "src"))
    monkeypatch.setenv("KEDRO_ENV", "test")
    monkeypatch.setattr("jupyter_client.provisioning.local_provisioner.launch_kernel", launch_kernel)
    return tmp_path


def launch_kernel(command: list[str], env: dict[str, str], cwd: Path, **_: Any) -> Any:
    """Start a kernel in place of Jupyter."""
    # The kernel sets it before anything can be imported.
    environment = {"MPLBACKEND": "module://matplotlib_inline.backend_inline"} | env
    module = command[command.index("-m") :]  # behind options of Python
    return commands.start([sys.executable, *module], cwd=cwd, env=environment, start_new_session=True)


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]


def execute(path: Path) -> Any:
    """Execute a notebook as Jupyter would, in its own folder."""
    notebook = read(path)
    for cell in code_cells(notebook):
        cell.outputs, cell.execution_count = [], None
    NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": path.parent}}
    ).execute()
    return notebook


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def texts(notebook: Any) -> dict[str, str]:
    return {cell.id: cell.source for cell in notebook.cells if cell.cell_type == "markdown"}


def translate(language: str) -> Any:
    """Pass the report through nbconvert as `make notebook` does, without executing it."""
    config = Config({"NotebookExporter": {"preprocessors": ["chest_xray.reporting.notebook.Translate"]}})
    config.Translate.language = language
    body, _ = NotebookExporter(config=config).from_filename(str(REPORT))  # type: ignore[no-untyped-call]
    return nbformat.reads(body, as_version=4)  # type: ignore[no-untyped-call]


def outputs(notebook: Any) -> list[Any]:
    return [output for cell in code_cells(notebook) for output in cell.outputs]


def images(cell: Any) -> list[str]:
    """Media types of the images that a cell shows."""
    return [kind for output in cell.get("outputs", []) for kind in output.get("data", {}) if kind.startswith("image/")]


def told(cell: Any) -> str:
    """Return what a code cell prints, as text or Markdown."""
    parts = [output.get("text") or output.get("data", {}).get("text/markdown", "") for output in cell.outputs]
    return "\n".join(parts)


def printed(notebook: Any) -> str:
    return "".join(output.get("text", "") for output in outputs(notebook))


def unlike_a_report(notebook: Any) -> list[str]:
    """List what a report must not contain: errors, warnings, logs, and images without their source."""
    wrong = [f"{output.output_type}: {output.ename}" for output in outputs(notebook) if output.output_type == "error"]
    wrong += [output.text for output in outputs(notebook) if output.get("name") == "stderr"]
    return wrong + [f"image without source: {cell.id}" for cell in code_cells(notebook) if unsaid(cell)]


def unsaid(cell: Any) -> bool:
    return bool(images(cell)) and SYNTHETIC not in told(cell)


def test_exploration_prepares_the_phantoms_and_shows_them(project: Path) -> None:
    notebook = execute(project / "notebooks" / "exploration.ipynb")
    assert (project / "data" / "test" / "03_primary" / "image_split.parquet").is_file()
    assert sum("image/png" in output.get("data", {}) for output in outputs(notebook)) == 3
    assert f"{SYNTHETIC}: 110 images" in printed(notebook)
    assert "None yet: kedro run --env=test" in printed(notebook)


def test_report_runs_missing_pipelines_shows_the_results_and_then_loads_them(project: Path) -> None:
    notebook = execute(project / "notebooks" / REPORT.name)
    assert re.findall(r"(\w+): ran in \d+ s\.", printed(notebook)) == list(PIPELINES)
    assert unlike_a_report(notebook) == []
    everything = "\n".join(map(told, code_cells(notebook)))
    reporting = project / "data" / "test" / "08_reporting"
    for page in ("baseline/conclusions.md", "augmented/conclusions.md", "comparison_conclusions.md"):
        for sentence in re.findall("^- .*", (reporting / page).read_text(encoding="utf-8"), flags=re.MULTILINE):
            assert sentence in everything

    again = execute(project / "notebooks" / REPORT.name)
    assert re.findall(r"(\w+): its outputs exist and are loaded\.", printed(again)) == list(PIPELINES)
    assert [images(cell) for cell in code_cells(again)] == [images(cell) for cell in code_cells(notebook)]


def test_report_reruns_pipelines_when_the_files_change_or_on_request(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notebook = read(project / "notebooks" / REPORT.name)
    cells = code_cells(notebook)
    end = next(place for place, cell in enumerate(cells) if 'run_where_missing("data_processing"' in cell.source) + 1
    notebook.cells = cells[:end]
    path = project / "notebooks" / "beginning.ipynb"
    nbformat.write(notebook, path)  # type: ignore[no-untyped-call]
    assert "data_processing: ran" in printed(execute(path))

    phantoms = project / "data" / "test" / "01_raw" / "phantoms" / "test" / "NORMAL"
    first = min(phantoms.iterdir())
    first.rename(first.with_name("IM-9000-0001.jpeg"))
    assert "data_processing: ran" in printed(execute(path))
    monkeypatch.setenv("CHEST_XRAY_RERUN", "1")
    assert "data_processing: ran" in printed(execute(path))


def test_committed_report_has_the_output_of_a_run_on_phantoms() -> None:
    notebook = read(REPORT)
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    digest = hashlib.sha256("\n".join(cell.source for cell in cells[:-1]).encode()).hexdigest()
    assert f"as executed: `{digest[:16]}`" in told(cells[-1]), "edited since: execute it again, see CONTRIBUTING.md"
    assert unlike_a_report(notebook) == []
    assert re.findall(r"(\w+): ran in \d+ s\.", printed(notebook)) == list(PIPELINES)
    assert sum(len(images(cell)) for cell in cells) == 14
    assert "Environment: `demo`" in "\n".join(map(told, cells))


def test_text_before_each_image_of_the_committed_report_states_that_it_is_synthetic() -> None:
    cells = read(REPORT).cells
    shows_pictures = [place for place, cell in enumerate(cells) if "image/jpeg" in images(cell)]
    assert len(shows_pictures) == 4
    for place in shows_pictures:
        assert cells[place - 1].cell_type == "markdown"
        assert "synthetic phantom" in cells[place - 1].source


def test_committed_report_is_small_and_contains_no_local_path() -> None:
    assert REPORT.stat().st_size < LARGEST
    notebook = read(REPORT)
    for output in outputs(notebook):
        output.get("data", {}).pop("image/png", None)
        output.get("data", {}).pop("image/jpeg", None)
    text = json.dumps(notebook).replace("\\n", "\n")
    assert str(ROOT) not in text
    assert SOMEWHERE.findall(text) == []


@pytest.mark.parametrize("language", OTHER_LANGUAGES)
def test_each_translated_text_has_the_same_headings_code_and_links(language: str) -> None:
    file = REPORT.with_suffix(f".{language}.yml")
    translated, english = yaml.safe_load(file.read_text(encoding="utf-8")), texts(read(REPORT))
    assert translated.pop("title").strip()
    assert list(translated) == list(english)
    for cell, text in translated.items():
        assert text.strip(), cell
        for pattern in (r"^#+(?= )", r"`[^`]+`", r"\]\([^)]+\)", r"^(?:-|\d\.)(?= )"):
            found = [re.findall(pattern, each, flags=re.MULTILINE) for each in (text, english[cell])]
            assert sorted(found[0]) == sorted(found[1]), cell


@pytest.mark.parametrize("language", OTHER_LANGUAGES)
def test_translated_report_differs_only_in_its_texts(language: str) -> None:
    translated, english = translate(language), read(REPORT)
    nbformat.validate(translated)
    assert code_cells(translated) == code_cells(english)
    assert [cell.id for cell in translated.cells] == [cell.id for cell in english.cells]
    assert not set(texts(translated).values()) & set(texts(english).values())
    assert translated.metadata.pop("title") != english.metadata.pop("title")
    assert translated.metadata == english.metadata


def test_english_report_is_not_changed() -> None:
    assert translate("en") == read(REPORT)


def test_a_language_without_translation_is_refused_before_anything_runs() -> None:
    with pytest.raises(TraitError, match=r"'language' trait .* expected any of \['en', 'ru'\], not the str 'tlh'"):
        translate("tlh")


def test_report_uses_every_message_of_its_section() -> None:
    code = "\n".join(cell.source for cell in code_cells(read(REPORT)))
    assert set(re.findall(r'\bexplain\(\s*"(\w+)"', code)) == set(read_messages("en")["notebook"])
