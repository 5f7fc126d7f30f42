"""The notebooks run from top to bottom on phantoms, and the report is committed with its output."""

import ast
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
from bs4 import BeautifulSoup
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbconvert.exporters import NotebookExporter
from traitlets import TraitError
from traitlets.config import Config

from chest_xray.reporting.i18n import languages, read_messages
from tests import commands

ROOT = Path(__file__).parents[1]
REPORT = ROOT / "notebooks" / "xray_nn.ipynb"
LARGEST = 1_500_000  # bytes of the committed report
OTHER_LANGUAGES = sorted(set(languages()) - {"en"})
SYNTHETIC = {
    "en": "SYNTHETIC phantoms drawn by this project, not radiographs",
    "ru": "СИНТЕТИЧЕСКИЕ фантомы, нарисованные этим проектом, а не рентгеновские снимки",  # noqa: RUF001
}
NUM_EPOCHS, NUM_IMAGES = 20, 5
# Latin words in the output of the Russian report: classes, programs, settings, columns and log of Keras
LATIN = (
    "NORMAL PNEUMONIA AUC ROC PPV NPV n p demo float uint dtype copies horizontal flip zoom translation tilt aspect "
    "None True collimation brightness contrast gamma noise blur Epoch step ms s loss accuracy precision recall val "
    "Model sequential Layer type Output Shape Param Conv D MaxPooling Flatten Dense Dropout conv d max pooling "
    "flatten dense dropout Total Trainable Non trainable params KB B SHA chest xray kedro keras tensorflow Python "
    "Keras RandomFlip RandomZoom RandomRotation "
)
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
    for name in ("CHEST_XRAY_DATA_ROOT", "CHEST_XRAY_LANGUAGE", "KEDRO_LOGGING_CONFIG"):
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


def translate(language: str, path: Path = REPORT) -> Any:
    """Pass the report through nbconvert as `make notebook` does, without executing it."""
    config = Config({"NotebookExporter": {"preprocessors": ["chest_xray.pipelines.notebook.Translate"]}})
    config.Translate.language = language
    body, _ = NotebookExporter(config=config).from_filename(str(path))  # type: ignore[no-untyped-call]
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


def unlike_a_report(notebook: Any, source: str) -> list[str]:
    """List what a report must not contain: errors, warnings, logs, and images without the source of their data."""
    wrong = [f"{output.output_type}: {output.ename}" for output in outputs(notebook) if output.output_type == "error"]
    wrong += [output.text for output in outputs(notebook) if output.get("name") == "stderr"]
    wrong += [
        text for output in outputs(notebook) if " INFO " in (text := output.get("data", {}).get("text/plain", ""))
    ]
    cells = [cell for cell in code_cells(notebook) if images(cell) and told(cell).count(source) < len(images(cell))]
    return wrong + [f"image without source: {cell.id}" for cell in cells]


@pytest.fixture
def small_project(project: Path) -> Path:
    """Return a project with the network of the demo, and few images and epochs."""
    shutil.copy(project / "conf/demo/parameters.yml", project / "conf/test/parameters.yml")
    path = project / "notebooks" / REPORT.name
    source = path.read_text(encoding="utf-8")
    assert f"EPOCHS, BATCH_SIZE = {NUM_EPOCHS}, 32" in source
    path.write_text(source.replace(f"EPOCHS, BATCH_SIZE = {NUM_EPOCHS}, 32", "EPOCHS, BATCH_SIZE = 2, 16"), "utf-8")
    return project


def test_exploration_prepares_the_phantoms_and_shows_them(project: Path) -> None:
    notebook = execute(project / "notebooks" / "exploration.ipynb")
    assert (project / "data" / "test" / "03_primary" / "image_split.parquet").is_file()
    assert sum("image/png" in output.get("data", {}) for output in outputs(notebook)) == 3
    assert f"{SYNTHETIC['en']}: 110 images" in printed(notebook)
    assert "None yet: kedro run --env=test" in printed(notebook)


def test_report_runs_on_images_of_either_kind_and_names_them(small_project: Path) -> None:
    configured = small_project / "conf/test/parameters.yml"
    source = "Radiographs of our own"
    configured.write_text(re.sub("data_source: .*", f"data_source: {source}", configured.read_text("utf-8")), "utf-8")
    notebook = execute(small_project / "notebooks" / REPORT.name)
    assert unlike_a_report(notebook, source) == []
    everything = "\n".join(map(told, code_cells(notebook)))
    assert "synthetic" not in everything.lower()
    assert everything.count("val_loss") == 2 * 2
    for heading in ("### Conclusions, without augmentation", "### Conclusions, with augmentation", "What to try next"):
        assert heading in everything
    for first, second in (("evaluate", "table"), ("evaluate-again", "evaluate-again")):
        by_keras = read_tables(notebook, first)["test, threshold 0.5"]
        counted = read_tables(notebook, second)["test at 0.5"]
        for column, name in (("accuracy", "accuracy"), ("precision", "precision"), ("recall (sensitivity)", "recall")):
            # Precision is blank if no image is classified as PNEUMONIA; Keras says 0.
            assert float(counted[column].split(" ")[0] or 0) == float(by_keras[name])


def read_tables(notebook: Any, name: str) -> dict[str, dict[str, str]]:
    """Read the rows of the tables that a cell shows, by the name of the row."""
    (cell,) = [cell for cell in notebook.cells if cell.id == name]
    rows = {}
    for output in cell.outputs:
        page: Any = BeautifulSoup(output.get("data", {}).get("text/html", ""), "html.parser")
        for table in page.find_all("table"):
            columns = [head.text for head in table.thead.tr.find_all("th")][1:]
            for row in table.tbody.find_all("tr"):
                rows[row.th.text] = dict(zip(columns, (each.text for each in row.find_all("td")), strict=True))
    return rows


def test_report_refuses_a_network_that_is_not_the_one_it_shows(small_project: Path) -> None:
    parameters = small_project / "conf/test/parameters.yml"
    parameters.write_text(parameters.read_text("utf-8") + "\nmodel: {dense_units: 64}\n", "utf-8")
    with pytest.raises(CellExecutionError) as caught:
        execute(small_project / "notebooks" / REPORT.name)
    assert caught.value.ename == "AssertionError"
    assert caught.value.evalue == "conf/base/parameters_modeling.yml: another network"


def test_committed_report_has_the_output_of_a_run_on_phantoms() -> None:
    notebook = read(REPORT)
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    digest = hashlib.sha256("\n".join(cell.source for cell in cells[:-1]).encode()).hexdigest()
    assert f"`{digest[:16]}`" in told(cells[-1]), "edited since: execute it again, see CONTRIBUTING.md"
    assert unlike_a_report(notebook, SYNTHETIC["en"]) == []
    assert sum(len(images(cell)) for cell in cells) == NUM_IMAGES
    assert printed(notebook).count("val_loss") == 2 * NUM_EPOCHS
    assert "`demo`" in told(cells[0])


def test_committed_report_reaches_what_the_assignment_requires_at_the_chosen_threshold() -> None:
    notebook = read(REPORT)
    for name in ("table", "evaluate-again"):
        chosen = read_tables(notebook, name)["test"]
        for column in ("accuracy", "precision", "recall (sensitivity)"):
            assert float(chosen[column].split(" ")[0]) > 0.8, (name, column)


def test_committed_report_is_small_and_contains_no_local_path() -> None:
    assert REPORT.stat().st_size < LARGEST
    notebook = read(REPORT)
    for output in outputs(notebook):
        output.get("data", {}).pop("image/png", None)
        output.get("data", {}).pop("image/jpeg", None)
    text = json.dumps(notebook).replace("\\n", "\n")
    assert str(ROOT) not in text
    assert SOMEWHERE.findall(text) == []


def test_no_number_is_typed_into_the_text_of_the_report() -> None:
    """Except for those of tasks, the range of pixels, the level of intervals and the usual threshold."""
    allowed = r"`[^`]*`|^\d\. |Task \d|\[0, 1\]|0 to 255|by 255|between 0 and 1|95%|0\.5:|includes 0"
    for name, text in texts(read(REPORT)).items():
        assert re.findall(r"\d+", re.sub(allowed, "", text, flags=re.MULTILINE)) == [], name


def is_table(output: Any) -> bool:
    """Whether a cell shows a table of pandas."""
    return "dataframe" in output.get("data", {}).get("text/html", "")


def test_report_runs_in_russian_without_english_text(small_project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHEST_XRAY_LANGUAGE", "ru")
    path = small_project / "notebooks" / REPORT.name
    nbformat.write(translate("ru", path), path)  # type: ignore[no-untyped-call]
    notebook = execute(path)
    assert unlike_a_report(notebook, SYNTHETIC["ru"]) == []
    latin = {}
    for cell in code_cells(notebook):
        comments = re.findall(r"# .*|\"\"\".*?\"\"\"", cell.source)
        assert [each for each in comments if not re.search("[\u0430-\u044f]", each)] == [], cell.id
        bundles = [output.get("data", {}) for output in cell.outputs]
        shown = [told(cell), *(each.get("text/plain", "") for each in bundles if "text/markdown" not in each)]
        # pandas adds the size to the plain text of a wide table, which a notebook shows as HTML.
        hidden = r"`[^`]*`|\x1b\[[\d;]*m|<[^>]*>|Kermany et al|\[\d+ rows x \d+ columns\]"
        plain = re.sub(hidden, "", "\n".join(shown))
        subsets = {"train", "validation", "test"} if cell.id in ("prepare", "load") else set()  # as in the code
        latin[cell.id] = set(re.findall("[A-Za-z]+", plain)) - set(LATIN.split()) - subsets
    assert {cell: words for cell, words in latin.items() if words} == {}
    tables = [
        output["data"]["text/html"] for cell in code_cells(notebook) for output in cell.outputs if is_table(output)
    ]
    assert re.search(r"\d,\d{3} \[\d,\d{3}; \d,\d{3}\]", "".join(tables))
    assert re.findall(r">[^<]*\d\.\d[^<]*<", "".join(tables)) == []


@pytest.mark.parametrize("language", OTHER_LANGUAGES)
def test_each_translated_text_has_the_same_headings_code_and_links(language: str) -> None:
    file = REPORT.with_suffix(f".{language}.yml")
    translated, english = yaml.safe_load(file.read_text(encoding="utf-8")), texts(read(REPORT))
    assert translated.pop("title").strip()
    translated = {cell: text for cell, text in translated.items() if isinstance(text, str)}
    assert list(translated) == list(english)
    for cell, text in translated.items():
        assert text.strip(), cell
        for pattern in (r"^#+(?= )", r"`[^`]+`", r"\]\([^)]+\)", r"^(?:-|\d\.)(?= )"):
            found = [re.findall(pattern, each, flags=re.MULTILINE) for each in (text, english[cell])]
            assert sorted(found[0]) == sorted(found[1]), cell


@pytest.mark.parametrize("language", OTHER_LANGUAGES)
def test_translated_code_differs_only_in_comments_and_labels(language: str) -> None:
    translated, english = translate(language), read(REPORT)
    nbformat.validate(translated)
    assert [cell.id for cell in translated.cells] == [cell.id for cell in english.cells]
    for cell, original in zip(code_cells(translated), code_cells(english), strict=True):
        assert plain_code(cell.source) == plain_code(original.source)
    assert translated.metadata.pop("title") != english.metadata.pop("title")
    assert translated.metadata == english.metadata


def plain_code(source: str) -> str:
    """Return code without comments, texts and names of columns."""
    code = ast.parse(source)
    for node in ast.walk(code):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node.value = ""
        if isinstance(node, ast.keyword) and isinstance(node.value, ast.Tuple):  # a column of `agg`
            node.arg = ""
        if isinstance(node, ast.JoinedStr):
            node.values = [each for each in node.values if isinstance(each, ast.FormattedValue)]
    return ast.dump(code)


def test_a_translation_of_a_label_that_is_not_in_the_code_is_refused(tmp_path: Path) -> None:
    shutil.copy(REPORT, tmp_path)
    texts = REPORT.with_suffix(".ru.yml").read_text(encoding="utf-8")
    (tmp_path / "xray_nn.ru.yml").write_text(texts.replace("flipped", "mirrored"), "utf-8")
    with pytest.raises(KeyError, match=r"altered: .*mirrored.* is not in the cell; change xray_nn.ru.yml"):
        translate("ru", tmp_path / REPORT.name)


def test_english_report_is_not_changed() -> None:
    assert translate("en") == read(REPORT)


def test_a_language_without_translation_is_refused_before_anything_runs() -> None:
    with pytest.raises(TraitError, match=r"'language' trait .* expected any of \['en', 'ru'\], not the str 'tlh'"):
        translate("tlh")


def test_report_uses_every_message_of_its_section() -> None:
    code = (ROOT / "src/chest_xray/pipelines/notebook.py").read_text(encoding="utf-8")
    used = set(re.findall(r'_translate\(\s*"(\w+)"', code)) | set(re.findall(r'\["notebook"\]\["(\w+)"\]', code))
    assert used == set(read_messages("en")["notebook"])
